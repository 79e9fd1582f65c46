"""What is done to a running command line, and to the disk it writes on."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tests.warm import Line

ROOM = "2g"  # of the small disk, which is in memory and takes what is written alone
SET_BACK = 3600.0, 10 * 365 * 86400.0  # seconds that a clock is set back, at least and at most
# Run in the forked process first: without these two the root user, too, cannot write where a folder's mode says so.
WITHOUT_PRIVILEGE = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
DAC_OVERRIDE, DAC_READ_SEARCH, PR_CAPBSET_DROP, VERSION = 1, 2, 24, 0x20080522
for capability in (DAC_OVERRIDE, DAC_READ_SEARCH):
    libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)
header = (ctypes.c_uint32 * 2)(VERSION, 0)
held = (ctypes.c_uint32 * 6)()
libc.capget(header, held)
held[0] &= ~(1 << DAC_OVERRIDE | 1 << DAC_READ_SEARCH)
held[1] &= ~(1 << DAC_OVERRIDE | 1 << DAC_READ_SEARCH)
held[2] &= ~(1 << DAC_OVERRIDE | 1 << DAC_READ_SEARCH)
if libc.capset(header, held):
    raise OSError(ctypes.get_errno(), "capset")
"""
# Calls ``on_change`` before each change that the process makes below its home: a file opened to be written, a rename, a
# removal, a new folder.
CHANGES = """
import os, sys
home = os.environ["TELLTALE_HOME"] + os.sep
def audit(event, words):
    writes = event == "open" and ((words[2] or 0) & os.O_ACCMODE) != os.O_RDONLY
    if writes or event in ("os.rename", "os.remove", "os.rmdir", "os.mkdir"):
        path = os.path.abspath(words[0]) if isinstance(words[0], (str, os.PathLike)) else ""
        if path.startswith(home) and not path.endswith("lock"):
            on_change(path, writes)
sys.addaudithook(audit)
"""
COUNT = """
count = [0]
def on_change(path, writes):
    count[0] += 1
"""
# The process dies at the change of this number, and of the file that it opened to be written last, only the first half
# is on the disk, unless it has been renamed to its place.
POWER_CUT = """
import signal
left, last = [NUMBER], []
def on_change(path, writes):
    left[0] -= 1
    if left[0] <= 0:
        for one in filter(os.path.isfile, last):
            os.truncate(one, os.path.getsize(one) // 2)
        os.kill(os.getpid(), signal.SIGKILL)
    if writes:
        last[:] = [path]
"""


@dataclass(frozen=True)
class Disturbance:
    """One kind of it.

    ``act(rng, line, home)`` does it, and returns what was done in words, or '' where there was nothing to do it to.
    ``code(rng, changes)``: what the process of the line runs first, for it; it makes so many changes when undisturbed.
    ``statuses``: how a line may end after it, but for 0, of one that no longer needed what it lost. ``quiet``: whether
    the screen may then show no traceback and no warning of the interpreter, and the folder for temporary files nothing.
    """

    name: str
    act: Callable[[np.random.Generator, Line, Path], str]
    statuses: tuple[int, ...]
    quiet: bool = True
    code: Callable[[np.random.Generator, int], str] = lambda rng, changes: ""
    undo: Callable[[Path], None] = lambda home: None
    disk: bool = False  # whether the line's home is to be a disk of its own
    counted: bool = False  # whether it comes at a counted change instead of a moment


def session(line: Line) -> list[int]:
    """Return the processes of a line that are alive: itself, and what it started, however far down."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                state, _, _, leader = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(leader) == line.process and state != "Z":
                found.append(int(folder.name))
    return sorted(found)


def command(process: int) -> str:
    """Return the words that a process was started with, '' for one that is gone."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _kill(rng: np.random.Generator, line: Line, home: Path) -> str:
    os.kill(line.process, signal.SIGKILL)
    return "SIGKILL"


def _term(rng: np.random.Generator, line: Line, home: Path) -> str:
    if rng.random() < 0.5:
        os.kill(line.process, signal.SIGTERM)
        return "SIGTERM"
    os.killpg(line.process, signal.SIGTERM)
    return "SIGTERM to all its processes"


def _ctrl_c(rng: np.random.Generator, line: Line, home: Path) -> str:
    os.killpg(line.process, signal.SIGINT)
    if rng.random() < 0.5:
        return "Ctrl-C"
    pause = float(rng.exponential(0.3))
    time.sleep(pause)
    if line.process in session(line):
        os.killpg(line.process, signal.SIGINT)
    return f"Ctrl-C, and again after {pause:.2f} s"


def _kill_worker(rng: np.random.Generator, line: Line, home: Path) -> str:
    """Kill one of the processes that the line has started, as the system does for want of memory."""
    while line.process in (alive := session(line)):
        if workers := [
            process for process in alive if process != line.process and "resource_tracker" not in command(process)
        ]:
            os.kill(int(rng.choice(workers)), signal.SIGKILL)
            return f"SIGKILL to one of its {len(workers)} workers"
        time.sleep(0.01)
    return ""


def _fill(rng: np.random.Generator, line: Line, home: Path) -> str:
    """Leave the disk a few blocks, often none."""
    spare = int(rng.choice([0, 0, 1, 4, 16, 64])) * 4096
    for _ in range(100):
        disk = os.statvfs(home)
        used = (disk.f_blocks - disk.f_bfree) * disk.f_frsize
        if _remount(home, f"size={max(used + spare, 4096)}"):
            return f"disk full, but for {spare // 1024} KiB"
    return ""


def _remount(home: Path, options: str) -> bool:
    return subprocess.run(["mount", "-o", f"remount,{options}", home], capture_output=True).returncode == 0


def _make_room(home: Path) -> None:
    assert _remount(home, f"size={ROOM}")


def _make_read_only(rng: np.random.Generator, line: Line, home: Path) -> str:
    _set_modes(home, 0o555)
    return "no folder to be written in any more"


def _set_modes(home: Path, mode: int) -> None:
    for folder, _, _ in os.walk(home):
        try:
            os.chmod(folder, mode)
        except FileNotFoundError:  # the line removed it meanwhile
            continue


def _set_clock_back(rng: np.random.Generator, line: Line, home: Path) -> str:
    """Kill the line, then make every file as new as if the clock had been ahead until now."""
    os.kill(line.process, signal.SIGKILL)
    while line.process in session(line):
        time.sleep(0.01)
    seconds = float(np.exp(rng.uniform(*np.log(SET_BACK))))
    for path in [home, *home.rglob("*")]:
        with contextlib.suppress(FileNotFoundError):  # of a child that ends a moment after the line
            stat = path.stat()
            os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns + int(seconds * 1e9)))
    return f"SIGKILL, and the clock set back by {seconds / 86400:.1f} days"


def _wait_for_power_cut(rng: np.random.Generator, line: Line, home: Path) -> str:
    while line.process in session(line):
        time.sleep(0.01)
    return "power cut at a change on the disk"


DISTURBANCES = (
    Disturbance("kill", _kill, (-signal.SIGKILL,), quiet=False),
    Disturbance("ctrl-c", _ctrl_c, (130,)),
    Disturbance("full", _fill, (2,), undo=_make_room, disk=True),
    Disturbance("term", _term, (128 + signal.SIGTERM,)),
    Disturbance("worker", _kill_worker, (2, 3)),
    Disturbance(
        "read-only",
        _make_read_only,
        (2,),
        code=lambda rng, changes: WITHOUT_PRIVILEGE,
        undo=lambda home: _set_modes(home, 0o755),
    ),
    Disturbance(
        "power",
        _wait_for_power_cut,
        (-signal.SIGKILL,),
        quiet=False,
        counted=True,
        code=lambda rng, changes: CHANGES + f"NUMBER = {rng.integers(changes) + 1}" + POWER_CUT,
    ),
    Disturbance("clock", _set_clock_back, (-signal.SIGKILL, 2), quiet=False),  # 2: a line that reads just then
)


def small_disk(home: Path) -> None:
    """Make ``home`` a disk of its own."""
    home.mkdir(exist_ok=True)
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={ROOM}", "tmpfs", home], capture_output=True, text=True)
    assert made.returncode == 0, f"a disk can be filled by the root user alone: {made.stderr.strip()}"


def take_away(home: Path) -> None:
    """Undo :func:`small_disk`."""
    subprocess.run(["umount", "--lazy", home], check=True)
