"""What every campaign is made of: numbered cases, each of which can be done again alone, and a table of what was found.

The chance of a case comes from the benchmark's seed, the campaign's name and the case's number, and from nothing else.
"""

import hashlib
import shutil
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from tqdm import tqdm

# What can be wrong with a case.
TRACEBACK = "traceback"  # a traceback or a warning of the interpreter on the screen
STATUS = "status"  # an exit status that is not documented for what happened
SENTENCE = "sentence"  # a refusal that is not one sentence on one line
LEFT = "left behind"  # a file that a refused or ended line should not have left
DAMAGED = "damaged"  # something that stood before is gone or other, or the end is not the undisturbed one
HUNG = "hung"  # not at its end after `PATIENCE` seconds
DISAGREE = "disagree"  # two ways of reading the same file differ
TOO_MUCH = "memory"  # more of it than a hostile file may make a process take
GROWTH = "growth"  # memory, file handles, threads or temporary files that only ever grow

PATIENCE = 60  # seconds for one command line on the small data


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong: its kind (one of the words above), and what was seen, in a line or a few."""

    kind: str
    detail: str


@dataclass(frozen=True)
class Case:
    """A case that was done: its number, what it was in words (a line that a reader could type), what is wrong."""

    number: int
    what: str
    findings: tuple[Finding, ...] = ()


@dataclass
class Tally:
    """What a campaign came to: how many cases of each sort were done, and all those with a finding."""

    done: Counter = field(default_factory=Counter)
    found: list[Case] = field(default_factory=list)


# Does the case of this number, with chance from this generator, in a folder of its own that is empty and removed after.
Campaign = Callable[[int, np.random.Generator, Path], Case]


def chance(seed: int, campaign: str, number: int) -> np.random.Generator:
    """Return the generator that decides everything about one case."""
    name = int.from_bytes(hashlib.blake2b(campaign.encode(), digest_size=8).digest(), "little")
    return np.random.default_rng([seed, name, number])


def conduct(name: str, campaign: Campaign, numbers: Iterable[int], seed: int, folder: Path) -> Tally:
    """Do the cases of these numbers, print each finding as it is made, and return the tally.

    ``folder``: where each case gets a folder of its own.
    """
    tally = Tally()
    for number in tqdm(list(numbers), desc=name, unit="case", disable=None, smoothing=0.05):
        place = folder / f"{name}-{number}"
        place.mkdir(parents=True)
        try:
            case = campaign(number, chance(seed, name, number), place)
        finally:
            shutil.rmtree(place, ignore_errors=True)
        tally.done["with findings" if case.findings else "clean"] += 1
        if case.findings:
            tally.found.append(case)
            tqdm.write(described(name, case))
    return tally


def described(name: str, case: Case) -> str:
    """Return a case with its findings as text, with what does it again."""
    lines = [f"{name} case={case.number}: {case.what}"]
    return "\n".join(lines + [f"    {finding.kind}: {finding.detail}" for finding in case.findings])
