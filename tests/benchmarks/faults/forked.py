"""Work in a forked process of its own, with its time, its memory and its screen watched."""

import os
import pickle
import re
import resource
import select
import signal
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks.faults.campaign import HUNG, PATIENCE, SENTENCE, TOO_MUCH, TRACEBACK, Finding

MEMORY = 1_500_000_000  # bytes above what the process took before
# Python's and OpenCV's; the libraries that OpenCV reads with have words of their own, which nobody can silence.
NOISE = {r"Traceback \(most": TRACEBACK, r":\d+: \w+Warning: ": TRACEBACK, r"\[( WARN|ERROR):": SENTENCE}


@dataclass(frozen=True)
class Outcome:
    """What the work returned, None where it did not come to its end, and what was wrong with it."""

    value: Any
    findings: tuple[Finding, ...]


def forked(work: Callable[[], Any], screen: Path, patience: float = PATIENCE, memory: int = MEMORY) -> Outcome:
    """Do ``work`` in a forked process and return what it returns; ``screen`` is the file that it prints to."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _live(work, screen, writing)
    os.close(writing)
    raw, late = _read_all(reading, patience)
    os.close(reading)
    if late:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    said = screen.read_text(encoding="utf-8", errors="replace") if screen.exists() else ""
    if late:
        return Outcome(None, (Finding(HUNG, f"not at its end after {patience:.0f} s"),))
    if not raw:
        end = os.waitstatus_to_exitcode(status)
        return Outcome(None, (Finding(TRACEBACK, f"ended with {end}: {said.strip()[-700:]}"),))
    value, taken = pickle.loads(raw)
    found = [Finding(kind, said.strip()[-700:]) for word, kind in NOISE.items() if re.search(word, said)]
    if taken > memory:
        found.append(Finding(TOO_MUCH, f"{taken / 1e9:.2f} GB above what it had"))
    return Outcome(value, tuple(found[:2]))


def _live(work: Callable[[], Any], screen: Path, writing: int) -> None:
    """The life of the forked process."""
    status = 1
    try:
        said = os.open(screen, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        for target in (1, 2):
            os.dup2(said, target)
        sys.stdout, sys.stderr = (os.fdopen(target, "w", buffering=1, closefd=False) for target in (1, 2))
        before = _resident()
        value = work()
        taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 - before
        with os.fdopen(writing, "wb") as pipe:
            pickle.dump((value, taken), pipe)
        status = 0
    except BaseException:
        os.write(2, traceback.format_exc().encode())
    finally:
        os._exit(status)


def _resident() -> int:
    """Return this process's resident memory in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _read_all(reading: int, patience: float) -> tuple[bytes, bool]:
    """Return what comes out of a pipe until it is closed, and whether that took too long."""
    parts: list[bytes] = []
    while select.select([reading], [], [], patience)[0]:
        part = os.read(reading, 1 << 20)
        if not part:
            return b"".join(parts), False
        parts.append(part)
    return b"", True
