"""Hostile images: whether all ways of reading a file agree on whether it can be read, and on its pixels.

A case is a few files of drawn kinds. One in fifty goes through the real commands as well.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np

from competition.data.images.decode import UnreadableImage, header_size
from tests.benchmarks.faults.campaign import DISAGREE, Case, Finding
from tests.benchmarks.faults.drawn_images import Drawn, draw_files
from tests.benchmarks.faults.forked import MEMORY, forked
from tests.benchmarks.faults.judge import judge
from tests.benchmarks.faults.real_images import by_commands
from tests.benchmarks.faults.ways import ANEW, WAYS, Answer

FILES = 4
LARGE = 5_000_000  # pixels from which each way gets a process of its own, so that its memory is its own
NO_LIMIT = 10**15  # bytes
NEAR = 2e-3  # between probabilities of two engines
REAL = 50  # every so many cases goes through the real commands, too


def images(number: int, rng: np.random.Generator, folder: Path) -> Case:
    """Draw a few files, read them in all ways, and compare."""
    files = draw_files(rng, FILES)
    paths = [folder / f"{row}{drawn.suffix}" for row, drawn in enumerate(files)]
    for path, drawn in zip(paths, files, strict=True):
        path.write_bytes(drawn.raw)
    judge()
    found, answers = _read_in_all_ways(paths, folder, any(map(_is_large, files)))
    found += compared(files, answers)
    if number % REAL == 0:
        found += by_commands(paths, answers, folder)
    return Case(number, "; ".join(drawn.what for drawn in files), tuple(found))


def _is_large(drawn: Drawn) -> bool:
    try:
        height, width = header_size(drawn.raw, "")
        return height * width > LARGE
    except UnreadableImage:
        return False


def _read_in_all_ways(
    paths: Sequence[Path], folder: Path, apart: bool
) -> tuple[list[Finding], dict[str, list[Answer]]]:
    """Return what went wrong on the way and each way's answers: of all ways in one process, or of each in its own."""
    found: list[Finding] = []
    answers: dict[str, list[Answer]] = {}
    others = [name for name in WAYS if name != ANEW]
    for names in [[ANEW], *([[name] for name in others] if apart else [others])]:
        memory = NO_LIMIT if names == [ANEW] else MEMORY
        outcome = forked(partial(_answers, names, paths), folder / "screen.txt", memory=memory)
        found += [Finding(one.kind, f"{', '.join(names)}: {one.detail}") for one in outcome.findings]
        answers |= outcome.value or {}
    return found, answers


def _answers(names: Sequence[str], paths: Sequence[Path]) -> dict[str, list[Answer]]:
    return {name: WAYS[name](paths) for name in names}


def compared(files: Sequence[Drawn], answers: dict[str, list[Answer]]) -> list[Finding]:
    """Return where the ways disagree about the files."""
    found = []
    for name, given in answers.items():
        for drawn, wanted, own, prob in zip(
            files, answers.get("decoder", given), given, answers.get("predict", given), strict=True
        ):
            if not _agree(wanted, own, prob):
                found.append(Finding(DISAGREE, f"{drawn.what}: decoder {wanted}, {name} {own} ({prob})"))
    return found


def _agree(wanted: Answer, own: Answer, prob: Answer) -> bool:
    """Whether an answer is the decoder's: the same reason; or else the same pixels, or the same probability."""
    if own == "the page's own limit":
        return True
    if isinstance(wanted, str) or isinstance(own, str):
        return own == wanted or own == ""  # "": none of the files can be read
    if isinstance(own, tuple):
        return isinstance(wanted, tuple) and set(own) <= set(wanted)
    return isinstance(prob, float) and abs(own - prob) < NEAR
