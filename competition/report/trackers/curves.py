"""A run as curves: for each of its jobs the figures of every epoch, and those it closed with, read from its folder."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from competition.core.errors import UserError
from competition.core.files import fingerprint
from competition.core.intact import kept_record
from competition.core.paths import run_folder
from competition.inference.job_files import begun_settings, read_done, read_history
from competition.inference.run_record import FILE as RECORD
from competition.inference.run_record import metric_and_value

PROJECT = "telltale"  # what trackers that have projects file all curves under
ENSEMBLE = "ensemble"  # the curve of the run as a whole: it has no epochs, and closes with the run's score
LEFT_OUT = ("epoch", "batch_loss")  # of a line of history: the step itself, and a list


@dataclass(frozen=True)
class Curve:
    """One job's training, or the ensemble's score.

    ``id``: another one where the run, the job or the job's settings are others. ``epochs``: each epoch's figures, from
    the first on. ``closing``: the finished job's figures on its held-out fold; nothing before.
    """

    run: str
    name: str
    settings: Mapping[str, Any]
    epochs: Sequence[Mapping[str, float]]
    closing: Mapping[str, float]

    @property
    def id(self) -> str:
        return fingerprint(self.run, self.name, dict(self.settings))

    def steps(self, sent: int) -> Iterable[tuple[int, Mapping[str, float]]]:
        """Return the epochs beyond the first ``sent``, each with its number, from 1 on."""
        return enumerate(self.epochs[sent:], start=sent + 1)

    @property
    def named_closing(self) -> dict[str, float]:
        """What the curve closes with, under names that no epoch's figure has."""
        return {f"closing/{key}": value for key, value in self.closing.items()}


def read_curves(run: str) -> list[Curve]:
    """Return what stands of a run so far: a curve for each of its jobs that has begun, and one for the ensemble."""
    folder, found = run_folder(run), []
    for path in sorted(folder.glob("*/f*/history.jsonl")):
        try:
            settings, done = begun_settings(path.parent), read_done(path.parent)
        except UserError:  # damaged: the line that trains says so
            continue
        if settings is not None:
            epochs = [_numbers(line) for line in read_history(path)]
            name = path.parent.relative_to(folder).as_posix()
            found.append(Curve(run, name, settings, epochs, _closing(done)))
    if score := kept_record(folder / RECORD):
        found.append(Curve(run, ENSEMBLE, {"members": sorted(score["members"])}, [], _score(score)))
    return found


def _numbers(line: Mapping[str, Any]) -> dict[str, float]:
    return {key: float(value) for key, value in line.items() if key not in LEFT_OUT and math.isfinite(value)}


def _closing(done: Mapping[str, Any]) -> dict[str, float]:
    if "prediction_key" not in done:
        return {}
    return {f"oof_{key}": value for key, value in done["oof"].items()} | {"seconds": done["seconds"]}


def _score(record: Mapping[str, Any]) -> dict[str, float]:
    score = record["cv"]
    low, high = score["interval"]
    name, value = metric_and_value(score)
    return {name: value, f"{name}_low": low, f"{name}_high": high, "threshold": record["threshold"]}
