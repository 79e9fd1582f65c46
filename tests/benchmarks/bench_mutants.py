"""Whether the fault campaign would find a fault: five are put in by patch, one at a time, and each must be found.

A patch in faults/mutants/ says in its first lines what it breaks and which cases look for it. They are done on two
copies of this checkout: as it stands, where nothing must be found, and with the patch. Minutes on two cores.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from competition.core.errors import UserError, did_you_mean

CHECKOUT = Path(__file__).parents[2]
PATCHES = CHECKOUT / "tests/benchmarks/faults/mutants"
NEEDED = ("competition", "tests", "pyproject.toml", "constraints.txt", "run.sh")
CASES = re.compile(r"^Looked for by: (\w+) seed=(\d+) cases? ([\d ]+)$", re.MULTILINE)
SMALL = """
import sys, tempfile
from pathlib import Path
from tests.benchmarks.bench_faults import CAMPAIGNS
from tests.benchmarks.faults.campaign import conduct
name, seed, *numbers = sys.argv[1:]
with tempfile.TemporaryDirectory(prefix="faults-") as folder:
    tally = conduct(name, CAMPAIGNS[name][0], map(int, numbers), int(seed), Path(folder))
sys.exit(3 if tally.found else 0)
"""
CLEAN, FOUND = 0, 3


def main(only: str = "") -> bool:
    """Do all the patches, or the one that ``only`` names, print a table, and return whether each fault was found."""
    patches = {path.stem: path for path in sorted(PATCHES.glob("*.patch"))}
    if only and only not in patches:
        raise UserError(f"There is no mutant '{only}'{did_you_mean(only, patches)}")
    rows = []
    for name, path in patches.items():
        if only in ("", name):
            start = time.perf_counter()
            campaign, seed, cases = CASES.search(path.read_text()).groups()
            unharmed, harmed = (_status(patch, campaign, seed, *cases.split()) for patch in (None, path))
            verdict = "found" if (unharmed[0], harmed[0]) == (CLEAN, FOUND) else "NOT FOUND"
            rows.append((name, f"{campaign} {cases}", verdict, time.perf_counter() - start))
            print(f"{name}: {verdict}\n{harmed[1] if unharmed[0] == CLEAN else unharmed[1]}", flush=True)
    print(f"\n{'fault':<24}{'looked for by':<28}{'seconds':>8}  verdict")
    for name, looked, verdict, seconds in rows:
        print(f"{name:<24}{looked:<28}{seconds:>8.0f}  {verdict}")
    return all(verdict == "found" for *_, verdict, _ in rows)


def _status(patch: Path | None, *campaign: str) -> tuple[int, str]:
    """Do the cases on a copy of this checkout with the patch in it; return the exit status, and what was printed.

    ``campaign``: its name, the seed, the cases' numbers.
    """
    with tempfile.TemporaryDirectory(prefix="mutant-") as folder:
        copy = Path(folder) / "checkout"
        copy.mkdir()
        for name in NEEDED:
            (shutil.copytree if (CHECKOUT / name).is_dir() else shutil.copy)(CHECKOUT / name, copy / name)
        if patch:
            subprocess.run(["patch", "--quiet", "-p1", "-i", patch], cwd=copy, check=True)
        env = {**os.environ, "PYTHONPATH": str(copy)}
        result = subprocess.run(
            [sys.executable, "-c", SMALL, *campaign], cwd=copy, env=env, capture_output=True, text=True
        )
        return result.returncode, "\n".join(f"    {line}" for line in (result.stdout + result.stderr).splitlines())
