"""What a run is known by once it is done: the models that answer together, their threshold, and what they are worth.

`predict`, `app` and `export` read it and nothing else of the run but its jobs' folders; the data may be gone by then.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from competition.core.errors import UserError, did_you_mean
from competition.core.intact import check_plain, read_record_file, stands, write_record_file
from competition.core.paths import run_folder, runs_with
from competition.scoring.leaderboard_metric import find_metric

FILE = "run.json"


@dataclass(frozen=True)
class Record:
    """``members``: for each, the folders of its models below the run's, all averaged.

    ``source``, ``kind`` and ``rows`` (train, groups, test): what the models were trained on. ``cv``: the metric and
    its value (runs of before have f1 alone), interval (low, high), leaderboard (low, high, or None), how the score came
    about, and each member's value. ``telltale``: the version. ``share``: that of class 1 among training rows.
    ``weights``: each member's weight in the average; none are equal weights. ``trained_on_test``: whether models
    learned from test images (pseudo-labels). ``folds``: the fingerprint of its folds; runs of before have none.
    ``outside``: members whose predictions were read from files, which can say nothing of other images.
    """

    name: str
    classes: tuple[str, str]
    source: str
    kind: str
    rows: dict[str, int]
    members: dict[str, list[str]]
    tta: str
    threshold: float
    cv: dict[str, Any] = field(default_factory=dict)
    telltale: str = ""
    weights: dict[str, float] = field(default_factory=dict)
    trained_on_test: bool = False
    folds: str = ""
    outside: list[str] = field(default_factory=list)
    share: float = 0.5

    @property
    def score(self) -> tuple[str, float]:
        """What the run's score is called, and its value."""
        metric, value = metric_and_value(self.cv)
        return find_metric(metric).title, value

    @property
    def folder(self) -> Path:
        return run_folder(self.name)


def metric_and_value(cv: Mapping[str, Any]) -> tuple[str, float]:
    """Return the metric's name and its value in a record's ``cv``: those of runs of before have an ``f1`` alone."""
    return cv.get("metric", "f1"), cv["value"] if "value" in cv else cv["f1"]


def write_record(record: Record) -> None:
    """Write the record into the run's folder, unless it stands there."""
    value = dataclasses.asdict(record) | {"classes": list(record.classes)}
    if not stands(record.folder / FILE, value):
        write_record_file(record.folder / FILE, value)


def read_record(name: str) -> Record:
    """Return the record of the run ``name``; UserError where there is none, or the run's folder is damaged."""
    check_plain(run_folder(name))
    found = read_record_file(run_folder(name) / FILE)
    if found is None:
        known = runs_with(FILE)
        hint = did_you_mean(name, known) if known else ": train one with ./run.sh fold=0..4"
        raise UserError(f"There is no finished run '{name}' in folds/{hint}")
    if found.get("name") != name:
        raise UserError(
            f"{run_folder(name) / FILE} is that of the run '{found.get('name')}': delete it, and run the line that "
            f"trained '{name}' again."
        )
    try:
        return Record(**found | {"classes": tuple(found["classes"])})
    except (TypeError, KeyError) as error:
        raise UserError(
            f"{run_folder(name) / FILE} is of another version ({error}): run the line that trained '{name}' again."
        ) from error


def without_outside(record: Record) -> str:
    """Return a sentence about the members that cannot answer for new images; nothing where all can."""
    if not record.outside:
        return ""
    names = " and ".join(record.outside)
    return f"Without {names}, whose predictions were read from files: the submission's score and threshold had them."
