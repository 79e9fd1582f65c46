"""What a Kaggle session gets and what it leaves behind: a request, finished jobs' folders, and a status.

The status is rewritten whenever a job is finished, so that whatever Kaggle keeps of a session is known by its digests.
"""

import dataclasses
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from competition import __version__
from competition.core.errors import UserError
from competition.core.files import file_digest, read_json, write_json
from competition.data.folds import folds_table
from competition.kaggle.sessions.kernel import DEADLINE, OUTPUT_BYTES, STATUS
from competition.training.plan import Plan

MARGIN = 1.1  # a job is begun where the time left is this many times what the member's longest job took
FULL = "output full"
STOPS = DEADLINE, FULL  # why a session stops before all its jobs are done
NAMES = {"training_data": "the training images or their table", "held_out": "the folds", "test_data": "the test set"}


@dataclass(frozen=True)
class Request:
    """``key`` tells requests apart. ``jobs``: (member, fold, index) of each, and in ``expected`` what each is to be
    made of. ``folds``: the fold of every training row, in the order of their ids. ``source``: where the data come from
    (drawn, competition or dataset); ``slug``, and ``contents``, what lies at the top of the data's folder, find it
    there. ``hours`` for all of it; ``accelerator`` as Kaggle calls it, or none; ``packages``: versions that must be
    those of here; ``begun``: job folders that earlier sessions began, each with the key of the request that did."""

    key: str
    name: str
    jobs: list[tuple[str, int | None, int]]
    expected: list[dict[str, Any]]
    folds: list[int]
    source: str
    slug: str
    contents: list[str]
    hours: float
    accelerator: str
    packages: dict[str, str]
    begun: dict[str, str]

    def folds_from(self, train: pd.DataFrame) -> pd.DataFrame:
        """Return the folds of ``train`` (id, label, group, perhaps source) as they were sent; UserError where rows are
        missing."""
        if len(train) != len(self.folds):
            raise UserError(
                f"There are {len(train):,} training rows here, and {len(self.folds):,} where the folds "
                "were made: see that both have the same files."
            )
        fold = np.empty(len(train), np.int64)
        fold[np.argsort(train["id"].to_numpy(object), kind="stable")] = self.folds
        return folds_table(train, fold)


def write_request(path: Path, request: Request) -> None:
    """Write a request as JSON."""
    write_json(path, dataclasses.asdict(request))


def read_request(path: Path) -> Request:
    """Return the request in ``path``."""
    found = read_json(path)
    return Request(**found | {"jobs": [tuple(job) for job in found["jobs"]]})


def made_of(plan: Plan) -> dict[str, Any]:
    """Return what decides a job's bytes but for what the session itself settles: precision and memory layout."""
    settled = ("precision", "memory_format")
    return {key: value for key, value in {**plan.settings, **plan.views}.items() if key not in settled}


def differences(expected: dict[str, Any], found: dict[str, Any]) -> str:
    """Return what a job would be made of otherwise than expected, in words; nothing where all is the same."""
    keys = [key for key in {**expected, **found} if expected.get(key) != found.get(key)]
    return ", ".join(NAMES.get(key) or f"{key}: {found.get(key)} there and {expected.get(key)} here" for key in keys)


class Outbox:
    """A session's output folder: takes finished jobs of a run until ``deadline`` (seconds since the epoch)."""

    def __init__(self, output: Path, run: Path, key: str, deadline: float):
        self.output, self.run, self.deadline = output, run, deadline
        self.longest: dict[str, float] = {}
        self.bytes, self.largest = 0, 0
        self.status: dict[str, Any] = {"telltale": __version__, "request": key, "jobs": {}, "why": "running"}
        write_json(output / STATUS, self.status)

    def full(self, member: str) -> str:
        """Return why no further job of ``member`` is to be begun, by what its longest took and the largest weighs;
        nothing where there is time and room."""
        if time.time() + MARGIN * self.longest.get(member, 0.0) >= self.deadline:
            return DEADLINE
        free = min(shutil.disk_usage(self.output).free, OUTPUT_BYTES - self.bytes)
        return FULL if free < MARGIN * self.largest else ""

    def put(self, plan: Plan) -> None:
        """Take a finished job's folder, with what is settled for all the member's jobs."""
        folder, member, seconds = plan.folder, plan.job.member, read_json(plan.folder / "done.json")["seconds"]
        place = folder.relative_to(self.run)
        half, target = self.output / f".{folder.name}.half", self.output / place
        shutil.rmtree(half, ignore_errors=True)
        shutil.copytree(folder, half)
        target.parent.mkdir(parents=True, exist_ok=True)
        half.rename(target)
        files = {path.name: (path.stat().st_size, file_digest(path)) for path in sorted(target.iterdir())}
        size = sum(size for size, _ in files.values())
        self.longest[member] = max(seconds, self.longest.get(member, 0.0))
        self.bytes, self.largest = self.bytes + size, max(self.largest, size)
        beside = {path.name: read_json(path) for path in folder.parent.glob("*.json")}
        self.status["jobs"][str(place)] = {"files": files, "seconds": seconds, "beside": beside}
        write_json(self.output / STATUS, self.status)

    def close(self, why: str) -> None:
        """Write down why nothing more is coming."""
        self.status["why"] = why
        write_json(self.output / STATUS, self.status)
