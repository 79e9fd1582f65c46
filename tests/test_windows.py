"""The package imports and runs where POSIX's modules and calls do not exist, and ends in the same bytes there."""

import subprocess
import sys

from tests.running import ROOT, TINY, done, environment, outcome


def test_every_module_imports_and_a_tiny_run_with_spawned_workers_ends_in_the_same_bytes_without_posix(tmp_path):
    one = [word for word in TINY if "members.swin" not in word and word != "folds=3"] + ["members.swin=null"]
    lines = [["config"], ["audit", *TINY], [*one, "folds=2", "fold=0..1", "workers=2"]]  # each worker imports torch
    here, there = tmp_path / "posix", tmp_path / "windows"
    here.mkdir()
    there.mkdir()
    done(here, *lines[-1])
    result = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "without_posix.py"), *map("|".join, lines)],
        env=environment(there) | {"PYTHONPATH": str(ROOT)},
        cwd=there,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert outcome(there) == outcome(here)
