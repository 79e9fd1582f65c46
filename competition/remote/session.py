"""What a Kaggle session is asked to train and what it leaves behind: a request, finished jobs' folders, and a status.

The status is rewritten whenever a job is finished, so that whatever Kaggle keeps of a session is known by its digests.
"""

import dataclasses
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from competition import __version__
from competition.files import file_digest, read_json, write_json

REQUEST, STATUS = "request.json", "status.json"
MARGIN = 1.1  # a job is begun where the time left is this many times what the member's longest job took


@dataclass(frozen=True)
class Request:
    """``jobs``: (member, fold, index) of each; ``source``: where its data come from (drawn, competition or dataset);
    ``contents``: what lies at the top of the data's folder, by which a session finds it; ``hours`` for all of it;
    ``packages``: pure-Python ones with the versions they have here."""

    name: str
    jobs: list[tuple[str, int | None, int]]
    source: str
    slug: str
    contents: list[str]
    hours: float
    packages: dict[str, str]


def write_request(path: Path, request: Request) -> None:
    """Write a request as JSON."""
    write_json(path, dataclasses.asdict(request))


def read_request(path: Path) -> Request:
    """Return the request in ``path``."""
    found = read_json(path)
    return Request(**found | {"jobs": [tuple(job) for job in found["jobs"]]})


class Outbox:
    """A session's output folder: takes finished jobs of a run until ``deadline`` (seconds since the epoch)."""

    def __init__(self, output: Path, run: Path, deadline: float):
        self.output, self.run, self.deadline = output, run, deadline
        self.longest: dict[str, float] = {}
        self.status: dict[str, Any] = {"telltale": __version__, "name": run.name, "jobs": {}, "why": "running"}
        write_json(output / STATUS, self.status)

    def has_time(self, member: str) -> bool:
        """Return whether a job of ``member`` that takes as long as its longest so far would end before the deadline."""
        return time.time() + MARGIN * self.longest.get(member, 0.0) < self.deadline

    def put(self, folder: Path, member: str, seconds: float) -> None:
        """Take a finished job's folder, with what stands beside it for all the member's jobs."""
        self.longest[member] = max(seconds, self.longest.get(member, 0.0))
        place = folder.relative_to(self.run)
        half = self.output / f".{folder.name}.half"
        shutil.rmtree(half, ignore_errors=True)
        shutil.copytree(folder, half)
        target = self.output / place
        target.parent.mkdir(parents=True, exist_ok=True)
        half.rename(target)
        for beside in folder.parent.glob("*.json"):
            shutil.copy(beside, target.parent / beside.name)
        digests = {path.name: file_digest(path) for path in sorted(target.iterdir())}
        self.status["jobs"][str(place)] = {"files": digests, "seconds": seconds}
        write_json(self.output / STATUS, self.status)

    def close(self, why: str) -> None:
        """Say why nothing more is coming."""
        self.status["why"] = why
        write_json(self.output / STATUS, self.status)
