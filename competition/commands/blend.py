"""Finished runs blended: every run's members side by side.

Nothing is trained or predicted: what is joined, by id, are the runs' own oof.csv and test.csv. Where the runs' folds
differ, each member's row is still from models that did not see its group, and weights and threshold are cross-fitted
over the folds of the first run.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from competition.commands.compare import are_apart, compare_runs
from competition.commands.finish import finish_run
from competition.core.config import CONFIG_FILE
from competition.core.errors import UserError
from competition.core.locks import only_one
from competition.core.paths import FOLDS_FILE, run_folder
from competition.core.settings import Config
from competition.ensemble.finished_runs import Run, check_alike, joined_data, open_run, run_names
from competition.ensemble.member import Member
from competition.ensemble.outside import Outsider, outside_notes, read_outsiders
from competition.ensemble.score import Result, check_decisions, score, settle_metric
from competition.inference.run_record import read_record


def first_settings(names: str) -> dict[str, str]:
    """Return the words that a blend of these runs starts from: the first one's settings, and a name of its own."""
    found = run_names(names)
    read_record(found[0])
    return {"config": str(run_folder(found[0]) / CONFIG_FILE), "name": "-".join(["blend", *found])}


def blend_runs(config: Config, words: Sequence[str], submit: bool = True) -> Result:
    """Blend the finished runs that ``config.names`` lists; else as the main job's end.

    Where one is in random folds and another by source, they are compared instead. Raises UserError unless they judge
    the same training rows, in as many folds that cross no group of the other, and predict the same test rows under the
    same test-time views.
    """
    check_decisions(config, test_rows=0)
    runs = {name: open_run(name) for name in run_names(config.names)}
    if config.name in runs:
        raise UserError(f"name={config.name} is one of the runs in names={config.names}: give the blend another name.")
    if (run_folder(config.name) / FOLDS_FILE).exists():
        raise UserError(f"name={config.name} is a trained run's: give the blend another name.")
    if are_apart(runs):
        return compare_runs(config, runs)
    first, *others = runs
    for other in others:
        check_alike(first, runs[first], other, runs[other])
    members = _members(runs)
    config = dataclasses.replace(config, members={name: member.recipe for name, member in members.items()})
    with only_one(run_folder(config.name) / ".lock", 0):
        data = joined_data(config, runs[first], next(iter(members.values())))
        config, said = settle_metric(config, data.dataset)
        check_decisions(config, len(data.test))
        parts = f"{config.folds} folds" if config.shares is None else f"one split ({config.split})"
        print(
            f"Blending {len(members)} members of {', '.join(runs)} over {parts}: {len(data.train):,} training rows, "
            f"{len(data.test):,} test rows"
        )
        outsiders = read_outsiders(config, data.dataset)
        data = dataclasses.replace(
            data, notes=[*said, *outside_notes(config, outsiders, data), *_left_out(runs, outsiders)]
        )
        print("".join(f"  Note: {note}.\n" for note in data.notes), end="")
        trained_on = any(run.record.trained_on_test for run in runs.values())
        result = score(config, data, {**members, **outsiders}, range(config.parts), trained_on=trained_on)
        finish_run(config, data, result, words, submit)
    return result


def _members(runs: Mapping[str, Run]) -> dict[str, Member]:
    """Return all members of the runs, each set of models once, for a blend among them has those of others."""
    members: dict[str, Member] = {}
    seen: set[Path] = set()
    for name, run in runs.items():
        for own, member in run.named_members(name.replace(".", "-")).items():
            if not seen.intersection(folders := {folder.resolve() for folder in member.folders}):
                members[own] = member
                seen |= folders
    return members


def _left_out(runs: Mapping[str, Run], outsiders: Mapping[str, Outsider]) -> list[str]:
    """Return a note on each member of the runs that was read from files and that the line does not name."""
    lacking = {one for run in runs.values() for one in run.record.outside} - outsiders.keys()
    return [
        f"without {one}, whose predictions were read from files: give predictions.{one}=" for one in sorted(lacking)
    ]
