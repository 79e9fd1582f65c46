"""The campaign `kills`: a line is disturbed at any moment of its life, and the same line again ends as if it had not.

Every kind of disturbance meets every line in turn; the moment, and what else there is to choose, are drawn.
"""

import re
import subprocess
import time
from pathlib import Path

import numpy as np

from tests.benchmarks.faults.campaign import DAMAGED, HUNG, LEFT, SENTENCE, STATUS, TRACEBACK, Case, Finding
from tests.benchmarks.faults.disturbances import (
    DISTURBANCES,
    WITHOUT_PRIVILEGE,
    Disturbance,
    session,
    small_disk,
    take_away,
)
from tests.benchmarks.faults.lines import LINES, Disturbed, Place, Undisturbed, place, undisturbed
from tests.running import warm
from tests.warm import Line

AT_FIRST = 0.02  # seconds in which a forked process becomes the command line
OUTLIVED = 10.0  # seconds in which all that a line has started must be gone after it
PATIENCE = 180.0  # seconds for a line, which trains, on a busy machine
# What the interpreter prints of a program that does not answer for itself.
WORDS_OF_PYTHON = re.compile(r"Traceback|Exception ignored|Exception in thread|\w*Warning: |leaked|core dumped|Fatal")


def kills(number: int, rng: np.random.Generator, folder: Path) -> Case:
    """Disturb one line, look at how it ends and at what it leaves, run it again, and compare the two ends."""
    line, disturbance = LINES[number % len(LINES)], DISTURBANCES[number % len(DISTURBANCES)]
    straight = undisturbed(line, folder.parent)
    moment = float(rng.uniform(AT_FIRST, straight.seconds))
    home = folder / "home"
    home.mkdir()
    if disturbance.disk:
        small_disk(home)
    try:
        with place(line, folder, home) as there:
            done, findings = _disturb(there, disturbance, moment, rng)
            disturbance.undo(home)
            findings += _again(there, straight)
    finally:
        if disturbance.disk:
            take_away(home)
    return Case(number, f"{line.name}: {done}", tuple(findings))


def _disturb(
    there: Place, disturbance: Disturbance, moment: float, rng: np.random.Generator
) -> tuple[str, list[Finding]]:
    """Start the line, do it at the moment, and return what was done and what is wrong with how that ends."""
    started = there.start(WITHOUT_PRIVILEGE)
    time.sleep(moment)
    hit = started[0]
    done = disturbance.act(rng, hit, there.home) if hit.process in session(hit) else ""
    shared = disturbance.name in ("full", "read-only")  # of all lines at once, and not of the first alone
    findings = []
    for one in started:
        kept = (0, 2) if there.line.lead and one is not hit else (0,)
        allowed = (0, *disturbance.statuses) if shared or one is hit else kept
        findings += _ended(one, allowed, disturbance.quiet)
    if disturbance.quiet and (left := sorted(path.name for path in there.temporary.iterdir())):
        findings.append(Finding(LEFT, f"in the folder for temporary files: {', '.join(left)}"))
    return f"{done or 'nothing, for it had ended'} after {moment:.2f} s", findings


def _ended(line: Line, allowed: tuple[int, ...], quiet: bool) -> list[Finding]:
    """Wait for the end of a line and of what it started, and return what is wrong with it."""
    try:
        ended = warm().wait(line, PATIENCE)
    except subprocess.TimeoutExpired as late:
        return [Finding(HUNG, f"not at its end after {PATIENCE:.0f} s: {_last(late.stderr)}")]
    findings = []
    deadline = time.monotonic() + OUTLIVED
    while (alive := session(line)) and time.monotonic() < deadline:
        time.sleep(0.05)
    if alive:
        names = [Path(f"/proc/{process}/cmdline").read_bytes().replace(b"\0", b" ").decode()[-80:] for process in alive]
        findings.append(Finding(LEFT, f"{len(alive)} processes live {OUTLIVED:.0f} s after it: {names}"))
    line.end()
    if ended.returncode not in allowed:
        findings.append(Finding(STATUS, f"exit {ended.returncode}: {_last(ended.stderr)}"))
    if quiet and WORDS_OF_PYTHON.search(ended.stderr):
        findings.append(Finding(TRACEBACK, _last(ended.stderr, 12)))
    elif ended.returncode > 0:
        findings += _unlike_a_sentence(ended)
    return findings


def _unlike_a_sentence(ended: subprocess.CompletedProcess) -> list[Finding]:
    """Return what is wrong with the last words of a line that was refused or interrupted."""
    begin = "Error: " if ended.returncode < 128 else "Interrupted"
    lines = [line for line in ended.stderr.splitlines() if line.strip()]
    said = [line for line in lines if line.startswith(("Error: ", "Interrupted"))]
    if len(said) == 1 and lines[-1] == said[0] and said[0].startswith(begin):
        return []
    return [Finding(SENTENCE, f"exit {ended.returncode} with: {_last(ended.stderr, 6)}")]


def _again(there: Place, straight: Undisturbed) -> list[Finding]:
    """Run the line once more, in peace, and return in what it differs from one that was never disturbed."""
    for one in there.start():
        try:
            ended = warm().wait(one, PATIENCE)
        except subprocess.TimeoutExpired as late:
            return [Finding(HUNG, f"the same line again: {_last(late.stderr)}")]
        finally:
            one.end()
        if ended.returncode or WORDS_OF_PYTHON.search(ended.stderr):
            return [Finding(DAMAGED, f"the same line again: exit {ended.returncode}, {_last(ended.stderr, 8)}")]
    findings = []
    files, promised = there.files(), there.promised()
    if more := sorted((files - straight.files).elements()):
        findings.append(Finding(LEFT, f"after the same line again: {', '.join(more[:8])}"))
    if gone := sorted((straight.files - files).elements()):
        findings.append(Finding(DAMAGED, f"missing after the same line again: {', '.join(gone[:8])}"))
    if other := [name for name in straight.promised if promised.get(name, b"") != straight.promised[name]]:
        findings.append(Finding(DAMAGED, f"other bytes after the same line again: {', '.join(other[:8])}"))
    return findings


def _last(text: str | bytes | None, lines: int = 3) -> str:
    """Return the last lines of what was printed as one."""
    shown = text.decode(errors="replace") if isinstance(text, bytes) else text or "nothing"
    return " | ".join(line.strip() for line in shown.splitlines() if line.strip())[-200 * lines :]
