"""The campaign of kills, a few cases of it, and the deliberate faults that it must find."""

import os
import subprocess

import pytest

from tests.benchmarks.bench_mutants import CASES, CHECKOUT, PATCHES
from tests.benchmarks.faults.campaign import conduct, described
from tests.benchmarks.faults.kills import kills_case


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt" or os.geteuid() != 0, reason="a disk of its own can be mounted by root alone")
def test_ten_disturbed_lines_end_as_if_they_had_not_been(tmp_path):
    tally = conduct("kills", kills_case, range(10), 0, tmp_path)
    assert not tally.found, "\n".join(described("kills", case) for case in tally.found)
    assert tally.done["clean"] == 10


@pytest.mark.parametrize("patch", sorted(PATCHES.glob("*.patch")), ids=lambda path: path.stem)
def test_each_deliberate_fault_can_still_be_put_in_and_names_the_case_that_finds_it(patch):
    assert CASES.search(patch.read_text())
    tried = subprocess.run(["patch", "--dry-run", "-p1", "-i", patch], cwd=CHECKOUT, capture_output=True, text=True)
    assert tried.returncode == 0, tried.stdout


def test_there_are_five_deliberate_faults():
    assert len(list(PATCHES.glob("*.patch"))) == 5
