"""Finished runs blended: every run's members side by side, over folds that are the same row by row.

Nothing is trained or predicted: what is joined, by id, are the runs' own oof.csv and test.csv.
"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from competition.commands.finish import conclude
from competition.core.config import CONFIG_FILE
from competition.core.errors import UserError
from competition.core.locks import only_one
from competition.core.paths import FOLDS_FILE, run_folder
from competition.core.settings import Config
from competition.ensemble.finished_runs import _check_alike, _join, _open, run_names
from competition.ensemble.member import Entry
from competition.ensemble.score import Result, check_decisions, score
from competition.inference.run_record import read_record


def first_settings(names: str) -> dict[str, str]:
    """Return the words that a blend of these runs starts from: the first one's settings, and a name of its own."""
    found = run_names(names)
    read_record(found[0])
    return {"config": str(run_folder(found[0]) / CONFIG_FILE), "name": "-".join(["blend", *found])}


def combine(config: Config, words: Sequence[str], submit: bool = True) -> Result:
    """Blend the finished runs that ``config.names`` lists; else as the main job's end.

    Raises UserError unless they judge the same training rows in the same folds and predict the same test rows under the
    same test-time views.
    """
    check_decisions(config, test_rows=0)
    runs = {name: _open(name) for name in run_names(config.names)}
    if config.name in runs:
        raise UserError(f"name={config.name} is one of the runs in names={config.names}: give the blend another name.")
    if (run_folder(config.name) / FOLDS_FILE).exists():
        raise UserError(f"name={config.name} is a trained run's: give the blend another name.")
    first, *others = runs
    for other in others:
        _check_alike(first, runs[first], other, runs[other])
    entries: dict[str, Entry] = {}
    seen: set[Path] = set()
    for name, run in runs.items():
        for member, entry in run.entries(name.replace(".", "-")).items():
            if not seen.intersection(folders := {folder.resolve() for folder in entry.folders}):  # a blend has it too
                entries[member] = entry
                seen |= folders
    config = dataclasses.replace(config, members={name: entry.recipe for name, entry in entries.items()})
    with only_one(run_folder(config.name) / ".lock", 0):
        data = _join(config, runs[first], next(iter(entries.values())))
        check_decisions(config, len(data.test))
        parts = f"{config.folds} folds" if config.shares is None else f"one split ({config.split})"
        print(
            f"Blending {len(entries)} members of {', '.join(runs)} over {parts}: {len(data.train):,} training rows, "
            f"{len(data.test):,} test rows"
        )
        trained_on = any(run.record.trained_on_test for run in runs.values())
        result = score(config, data, entries, range(config.parts), trained_on=trained_on)
        conclude(config, data, result, words, submit)
    return result
