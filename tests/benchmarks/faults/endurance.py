"""Thousands of predictions through the page's own server and dozens of runs in one process tree: nothing only grows.

The case's number is how many rounds there are: in each the page answers a hundred images, and in every second one a run
is trained from nothing, with workers, all of them in one process.
"""

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
import urllib3

from tests.benchmarks.faults.campaign import GROWTH, Case, Finding
from tests.benchmarks.faults.drawn_images import draw_files
from tests.benchmarks.faults.forked import forked
from tests.benchmarks.faults.judge import MEMBERS, NAME, judge_home
from tests.running import environment

PREDICTIONS, RUN_EVERY = 100, 2  # of a round; a run in every so many rounds
DROP = 10  # files in one drop on the page
SETTLED = 1 / 3  # of the rounds: what libraries and caches take at first is not growth
MEMORY = 40 * 2**20  # bytes: of growth from the settled part to the end, what is no more than the allocator's wandering


@dataclass(frozen=True)
class Held:
    """What a process and its children hold: bytes of memory that is no page cache, open files, threads, and files in
    their temporary folder."""

    memory: int
    handles: int
    threads: int
    files: int


def held(process: int, temporary: Path) -> Held:
    """Return what the process tree that starts at ``process`` holds."""
    memory = handles = threads = 0
    for one in _tree(process):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            status = Path(f"/proc/{one}/status").read_text()
            memory += 1024 * int(re.search(r"RssAnon:\s+(\d+)", status)[1])
            threads += int(re.search(r"Threads:\s+(\d+)", status)[1])
            handles += len(os.listdir(f"/proc/{one}/fd"))
    return Held(memory, handles, threads, sum(path.is_file() for path in temporary.rglob("*")))


def _tree(process: int) -> list[int]:
    """Return a process and all its living descendants."""
    found = [process]
    for one in found:
        for path in Path(f"/proc/{one}/task").glob("*/children"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found += [int(child) for child in path.read_text().split()]
    return found


def grown(measured: Sequence[Held], what: str) -> list[Finding]:
    """Return what is more at the end than it was when everything had settled; a round alone is not judged."""
    settled = measured[int(len(measured) * SETTLED) :]
    if len(settled) < 2:
        return []
    half = len(settled) // 2
    before, after = (np.median([astuple(one) for one in part], axis=0) for part in (settled[:half], settled[half:]))
    names = ("bytes of memory", "open files", "threads", "temporary files")
    allowed = (MEMORY, 0, 0, 0)
    return [
        Finding(GROWTH, f"{what}: {name} from {low:,.0f} to {high:,.0f} within {len(settled)} rounds")
        for name, low, high, free in zip(names, before, after, allowed, strict=True)
        if high - low > free
    ]


def endurance(number: int, rng: np.random.Generator, folder: Path) -> Case:
    """Go ``number`` rounds and hold what the two process trees hold at the end against what they held before."""
    judge_home()
    temporary = folder / "tmp"
    temporary.mkdir()
    found: list[Finding] = []
    measured: list[Held] = []
    with _page(temporary) as (server, ask):
        for _ in range(number):
            answered = 0
            while answered < PREDICTIONS:
                drop = [(f"{n}{one.suffix}", one.raw) for n, one in enumerate(draw_files(rng, DROP))]
                answered += ask(drop)
            measured.append(held(server, temporary))
    found += grown(measured, "the page")
    outcome = forked(lambda: _runs(max(2, number // RUN_EVERY), folder), folder / "screen.txt", 60 * number)
    found += outcome.findings
    found += grown(outcome.value or [], "runs in one process")
    return Case(
        number, f"{number} rounds of {PREDICTIONS} images on the page, {number // RUN_EVERY} runs", tuple(found)
    )


def _runs(count: int, folder: Path) -> list[Held]:
    """Train ``count`` runs one after the other in this process, each from nothing, and return what it holds after each.

    They read the judge's images, with one feeding process each.
    """
    from competition.__main__ import main

    temporary = folder / "runs-tmp"
    temporary.mkdir()
    (data,) = [path.parent for path in (judge_home() / "data").glob("*/train.csv")]
    os.environ |= {"TMPDIR": str(temporary), "TELLTALE_HOME": str(folder / "home")}
    (folder / "home").mkdir()
    os.chdir(folder / "home")
    words = [word for word in MEMBERS if not word.startswith("demo.")]
    measured = []
    for _ in range(count):
        status = main([*words, "demo.draw=false", f"data={data}", "name=again", "workers=1"])
        assert status == 0, status
        measured.append(held(os.getpid(), temporary))
        shutil.rmtree(folder / "home/folds")
    return measured


@contextlib.contextmanager
def _page(temporary: Path) -> Iterator[tuple[int, Callable[[list[tuple[str, bytes]]], int]]]:
    """Serve the judge's page; yields the server's process and what drops files on it and counts the answers."""
    server = subprocess.Popen(
        [sys.executable, "-u", "-m", "competition", "app", f"name={NAME}", "open=false", "device=cpu"],
        env={**environment(judge_home()), "TMPDIR": str(temporary)},
        cwd=judge_home(),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    try:
        said = ""
        while "The page is at" not in said:
            line = server.stdout.readline()
            assert line, said
            said += line
        yield server.pid, Drops(re.search(r"http://\S+", said)[0].rstrip("/")).answered
    finally:
        server.terminate()
        server.communicate(timeout=30)


class Drops:
    """Drops files on a page as its own script in a browser does."""

    def __init__(self, address: str):
        self.address = f"{address}/gradio_api"
        self.http = urllib3.PoolManager(maxsize=8, timeout=60.0, retries=False)

    def answered(self, files: list[tuple[str, bytes]]) -> int:
        """Upload (name, bytes) pairs, have them judged, and return how many cards came back: one for each."""
        fields = [("files", (name, raw)) for name, raw in files]
        uploaded = self.http.request("POST", f"{self.address}/upload", fields=fields)
        assert uploaded.status == 200, uploaded.data
        paths = uploaded.json()
        dropped = [
            {"path": path, "orig_name": name, "meta": {"_type": "gradio.FileData"}}
            for path, (name, _) in zip(paths, files, strict=True)
        ]
        session = uuid.uuid4().hex
        joined = {"data": [dropped], "fn_index": 0, "session_hash": session}
        assert self.http.request("POST", f"{self.address}/queue/join", json=joined).status == 200
        told = self.http.request("GET", f"{self.address}/queue/data?session_hash={session}").data.decode()
        ends = [json.loads(line[5:]) for line in told.splitlines() if line.startswith("data:")]
        (end,) = [one for one in ends if one["msg"] == "process_completed"]
        cards = end["output"]["data"][2].count("<article")
        assert cards == len(files), (cards, end["output"])
        return cards
