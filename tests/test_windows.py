"""The package imports and runs where POSIX's modules and calls do not exist, and ends in the same bytes there."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.running import ROOT, TINY, done, environment, outcome

ONE = [word for word in TINY if "members.swin" not in word and word != "folds=3"] + ["members.swin=null", "folds=2"]


def without_posix(home: Path, *lines: Sequence[str]) -> None:
    """Import every module and run these lines as Windows would."""
    result = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "without_posix.py"), *map("|".join, lines)],
        env=environment(home) | {"PYTHONPATH": str(ROOT)},
        cwd=home,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_every_module_imports_and_a_tiny_run_ends_in_the_same_bytes_without_posix(tmp_path):
    here, there = tmp_path / "posix", tmp_path / "windows"
    here.mkdir()
    there.mkdir()
    done(here, *ONE)
    without_posix(there, ["config"], ["audit", *ONE], [*ONE, "fold=0..1"])
    assert outcome(there) == outcome(here)


@pytest.mark.slow
def test_a_tiny_run_with_spawned_workers_ends_in_the_same_bytes_without_posix(tmp_path):
    here, there = tmp_path / "posix", tmp_path / "windows"
    here.mkdir()
    there.mkdir()
    done(here, *ONE)
    without_posix(there, [*ONE, "fold=0..1", "workers=2"])  # each worker imports torch
    assert outcome(there) == outcome(here)
