"""Run the benchmarks of this checkout, all or the ones named.

./run.sh bench [name ...]                measure speed on this machine
"""

import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from competition.core.errors import UserError, did_you_mean
from competition.core.options import parse, positional

CHECKOUT = Path(__file__).parents[2]


@dataclass(frozen=True)
class BenchOptions:
    """Which to run."""

    names: tuple[str, ...] = positional("NAME")  # benchmarks: the files tests/benchmarks/bench_NAME.py


def main(words: Sequence[str]) -> None:
    """Run benchmarks one after another; each prints what it measures."""
    names = parse(words, BenchOptions).names
    known = sorted(path.stem.removeprefix("bench_") for path in CHECKOUT.glob("tests/benchmarks/bench_*.py"))
    for name in names:
        if name not in known:
            raise UserError(f"There is no benchmark '{name}'{did_you_mean(name, known)}")
    sys.path.insert(0, str(CHECKOUT))
    for name in names or known:
        print(f"== {name}")
        importlib.import_module(f"tests.benchmarks.bench_{name}").main()
