"""The package imports and runs where POSIX's modules and calls do not exist, and ends in the same bytes there."""

import subprocess
import sys

from tests.running import ROOT, TINY, done, environment, outcome


def test_every_module_imports_and_a_tiny_run_with_spawned_workers_ends_in_the_same_bytes_without_posix(tmp_path):
    lines = [["config"], ["audit", *TINY], [*TINY, "fold=0..2", "workers=2"]]
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
