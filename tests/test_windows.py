"""The package imports and runs where POSIX's modules and calls do not exist."""

import subprocess
import sys

from tests.running import ROOT, TINY, environment


def test_every_module_imports_and_a_tiny_run_ends_in_a_submission_without_posix(tmp_path):
    lines = [["config"], ["audit", *TINY], [*TINY, "fold=0..2"]]
    result = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "without_posix.py"), *map("|".join, lines)],
        env=environment(tmp_path) | {"PYTHONPATH": str(ROOT)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    assert (tmp_path / "submissions" / "submission.csv").exists()
