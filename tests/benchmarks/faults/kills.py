"""The campaign `kills`: a line is disturbed at any moment of its life, and the same line again ends as if it had not.

Every kind of disturbance meets every line in turn; the moment, and what else there is to choose, are drawn.
"""

import re
import subprocess
import time
from pathlib import Path

import numpy as np

from tests.benchmarks.faults.campaign import DAMAGED, HUNG, LEFT, PATIENCE, SENTENCE, STATUS, TRACEBACK, Case, Finding
from tests.benchmarks.faults.disturbances import DISTURBANCES, Disturbance, command, session, small_disk, take_away
from tests.benchmarks.faults.lines import LINES, Failed, Place, Undisturbed, place, undisturbed
from tests.running import warm
from tests.warm import Line

AT_FIRST = 0.02  # seconds in which a forked process becomes the command line
OUTLIVED = 10.0  # seconds in which all that a line has started must be gone after it
SLOWER = 10.0  # times as long as undisturbed, after which a line counts as hung
# What the interpreter prints of a program that does not answer for itself.
WORDS_OF_PYTHON = re.compile(r"Traceback|Exception ignored|Exception in thread|\w*Warning: |leaked|core dumped|Fatal")


def kills_case(number: int, rng: np.random.Generator, folder: Path) -> Case:
    """Disturb one line, look at how it ends and at what it leaves, run it again, and compare the two ends."""
    turn, place_in_turn = divmod(number, len(LINES))
    line, disturbance = LINES[place_in_turn], DISTURBANCES[(turn + place_in_turn) % len(DISTURBANCES)]
    try:
        straight = undisturbed(line, folder.parent)
    except Failed as failure:
        return Case(number, line.name, (Finding(DAMAGED, str(failure)),))
    home = folder / "home"
    home.mkdir()
    if disturbance.disk:
        small_disk(home)
    try:
        with place(line, folder, home) as there:
            done, findings = _disturb(there, disturbance, rng, straight)
            disturbance.undo(home)
            findings += _again(there, straight)
            if disturbance.quiet and (left := sorted(path.name for path in there.temporary.iterdir())):
                findings.append(Finding(LEFT, f"in the folder for temporary files: {', '.join(left)}"))
    finally:
        if disturbance.disk:
            take_away(home)
    return Case(number, f"{line.name}: {done}", tuple(findings))


def _disturb(
    there: Place, disturbance: Disturbance, rng: np.random.Generator, straight: Undisturbed
) -> tuple[str, list[Finding]]:
    """Start the line, do it at the moment, and return what was done and what is wrong with how that ends."""
    before = there.promised()
    moment = 0.0 if disturbance.counted else float(rng.uniform(AT_FIRST, straight.seconds))
    started = there.start(disturbance.code(rng, straight.changes))
    hit = started[0]
    time.sleep(moment)
    done = disturbance.act(rng, hit, there.home) if hit.process in session(hit) else ""
    shared = disturbance.name in ("full", "read-only", "power", "clock")  # by all the lines
    findings, statuses = [], set()
    for one in started:
        kept = (0, 2) if there.line.lead and one is not hit else (0,)
        allowed = (0, *disturbance.statuses) if shared or one is hit else kept
        status, wrong = _ended(one, allowed, disturbance.quiet, _patience(straight))
        statuses.add(status)
        findings += wrong
    if statuses == {0}:  # all say that they have done it
        differences = _differences(there, straight, "a line that says it is done")
        # Nothing can be removed from a folder that cannot be written to.
        findings += [one for one in differences if one.kind != LEFT or disturbance.name != "read-only"]
    findings += _torn(there, before, straight.promised)
    when = "" if disturbance.counted else f" after {moment:.2f} s"
    return f"{done or 'nothing, for it had ended'}{when}", findings


def _patience(straight: Undisturbed) -> float:
    """Return the seconds after which a line counts as hung."""
    return max(PATIENCE, SLOWER * straight.seconds)


def _ended(line: Line, allowed: tuple[int, ...], quiet: bool, patience: float) -> tuple[int | None, list[Finding]]:
    """Wait for the end of a line and of what it started; return its status, and what is wrong with that end."""
    try:
        ended = warm().wait(line, patience)
    except subprocess.TimeoutExpired as late:
        return None, [Finding(HUNG, f"not at its end after {patience:.0f} s: {_last(late.stderr)}")]
    findings = []
    deadline = time.monotonic() + OUTLIVED
    while (alive := session(line)) and time.monotonic() < deadline:
        time.sleep(0.05)
    if alive:
        names = [command(process) for process in alive]
        findings.append(Finding(LEFT, f"{len(alive)} processes live {OUTLIVED:.0f} s after it: {names}"))
    line.end()
    if ended.returncode not in allowed:
        findings.append(Finding(STATUS, f"exit {ended.returncode}: {_last(ended.stderr)}"))
    if quiet and WORDS_OF_PYTHON.search(ended.stderr):
        findings.append(Finding(TRACEBACK, _last(ended.stderr, 12)))
    elif ended.returncode > 0:
        findings += _unlike_a_sentence(ended)
    return ended.returncode, findings


def _torn(there: Place, before: dict[str, bytes], after: dict[str, bytes]) -> list[Finding]:
    """Return which files in their places are neither what they were before nor what they are to be."""
    torn = [
        name
        for name, content in there.promised().items()
        if name in after and content not in (before.get(name), after[name])
    ]
    return [Finding(DAMAGED, f"neither as before nor whole: {', '.join(torn[:8])}")] if torn else []


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
            ended = warm().wait(one, _patience(straight))
        except subprocess.TimeoutExpired as late:
            return [Finding(HUNG, f"the same line again: {_last(late.stderr)}")]
        finally:
            one.end()
        if ended.returncode or WORDS_OF_PYTHON.search(ended.stderr):
            return [Finding(DAMAGED, f"the same line again: exit {ended.returncode}, {_last(ended.stderr, 8)}")]
    return _differences(there, straight, "the same line again")


def _differences(there: Place, straight: Undisturbed, after: str) -> list[Finding]:
    """Return in what a home differs from that of the undisturbed line."""
    findings = []
    files, promised = there.files(), there.promised()
    if more := sorted((files - straight.files).elements()):
        findings.append(Finding(LEFT, f"{after} leaves {', '.join(more[:8])}"))
    if gone := sorted((straight.files - files).elements()):
        findings.append(Finding(DAMAGED, f"{after} lacks {', '.join(gone[:8])}"))
    if other := [name for name in straight.promised if name in files and promised.get(name) != straight.promised[name]]:
        findings.append(Finding(DAMAGED, f"{after} ends in other bytes: {', '.join(other[:8])}"))
    return findings


def _last(text: str | bytes | None, lines: int = 3) -> str:
    """Return the last lines of what was printed as one."""
    shown = text.decode(errors="replace") if isinstance(text, bytes) else text or "nothing"
    return " | ".join(line.strip() for line in shown.splitlines() if line.strip())[-200 * lines :]
