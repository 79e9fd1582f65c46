"""Two finished runs over the same rows, one in random folds and one by source: their scores side by side."""

import dataclasses
from collections.abc import Mapping

from competition.core.console import console
from competition.core.errors import UserError
from competition.core.settings import Config
from competition.ensemble.finished_runs import Run, check_same_rows, joined_data
from competition.ensemble.score import Result, score
from competition.report.side_by_side import score_table, source_table


def are_apart(runs: Mapping[str, Run]) -> bool:
    """Whether some of the runs hold out whole sources and others do not, so that they can be compared alone."""
    return len({run.by_source for run in runs.values()}) > 1


def compare_runs(config: Config, runs: Mapping[str, Run]) -> Result:
    """Print what random folds and folds by source make of the same members, and return the latter's result.

    Nothing is blended or written. Raises UserError for more than two runs, and for runs of other rows.
    """
    if len(runs) > 2:
        raise UserError(
            f"names={config.names} are runs in random folds and runs by source, which are compared two at a time: name "
            "one of each."
        )
    random, apart = sorted(runs, key=lambda name: runs[name].by_source)
    check_same_rows(f"The runs '{random}' and '{apart}' cannot be compared", runs[random], runs[apart])
    source = runs[apart].config.source
    results = {name: _judge(config, runs[name], source) for name in (random, apart)}
    first, second = results[random], results[apart]
    title = f"The same rows judged twice: {random} (random folds) and {apart} (by source)"
    out = console()
    out.print()
    out.print(score_table(first.scores, second.scores, title))
    out.print()
    out.print(source_table(first.analysis.sources, second.analysis.sources, "By source, at each submission's cut"))
    out.print()
    out.print(
        f"On the training set's own sources expect what {random} says, on new ones what {apart} says. Their folds "
        "differ, so nothing was blended."
    )
    return second


def _judge(config: Config, run: Run, source: str) -> Result:
    """Score a finished run as it stands, with the sources of its rows."""
    own, members = dataclasses.replace(run.config, data=config.data, source=source), run.members
    data = joined_data(own, run, next(iter(members.values())))
    return score(own, data, members, range(own.parts), trained_on=run.record.trained_on_test)
