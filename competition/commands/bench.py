"""Run the benchmarks of this checkout, all or the ones named.

./run.sh bench [name ...]                measure speed on this machine

Exit status 1: `faults` found something.
"""

import dataclasses
import importlib
import inspect
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from competition.core.errors import UserError, did_you_mean
from competition.core.options import bounded, parse, positional

CHECKOUT = Path(__file__).parents[2]


@dataclass(frozen=True)
class BenchOptions:
    """Which to run, and on what."""

    names: tuple[str, ...] = positional("NAME")  # benchmarks: the files tests/benchmarks/bench_NAME.py
    weights: str = ""  # for `weights`: a file of pretrained weights
    data: str = ""  # for `weights` and `peers`: a folder of labelled images
    preset: str = "small"  # for `peers`: what Telltale trains
    ways: str = ""  # for `weights`: the ways to train that are measured, as full,norms; default: all
    name: str = "demo"  # for `schedule`, `predict` and `page`: a finished run
    metric: str = "f1"  # for `honest`: the metric of labels that thresholds are tuned for
    repeats: int = bounded(100, 2, 10_000)  # for `honest`: how often each world is drawn
    images: int = bounded(100_000, 1000, 1_000_000)  # for `scale`: of the largest data set
    cases: int = bounded(500, 0, 100_000)  # for `faults`: how many command lines, files and images are drawn
    kills: int = bounded(10, 0, 10_000)  # for `faults`: how many runs are disturbed
    seed: int = bounded(0, 0, 100_000)  # for `faults`: of all chance
    case: int | None = bounded(None, 0, 100_000)  # for `faults`: this one alone, of the campaign `only`
    only: str = ""  # for `faults`: one campaign of words, files, kills, images, endurance


def main(words: Sequence[str]) -> int:
    """Run benchmarks one after another; each prints what it measures. Returns 1 where one found what must not be."""
    options = dataclasses.asdict(parse(words, BenchOptions))
    names = options["names"]
    known = sorted(path.stem.removeprefix("bench_") for path in CHECKOUT.glob("tests/benchmarks/bench_*.py"))
    for name in names:
        if name not in known:
            raise UserError(f"There is no benchmark '{name}'{did_you_mean(name, known)}")
    sys.path.insert(0, str(CHECKOUT))
    passed = []
    for name in names or known:
        print(f"== {name}")
        benchmark = importlib.import_module(f"tests.benchmarks.bench_{name}").main
        taken = inspect.signature(benchmark).parameters.keys() & options.keys()
        passed.append(benchmark(**{key: options[key] for key in taken}) is not False)  # most only measure
    return 0 if all(passed) else 1
