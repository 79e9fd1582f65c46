"""The campaign of kills, a few cases of it, and the deliberate faults that it must find."""

import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.benchmarks.bench_mutants import CASES, CHECKOUT, PATCHES
from tests.benchmarks.faults.campaign import conduct, described
from tests.benchmarks.faults.disturbances import small_disk, take_away
from tests.benchmarks.faults.kills import kills_case


@pytest.fixture
def disks(tmp_path):
    """Skip where no disk can be mounted, as in most containers and for every user but root."""
    try:
        small_disk(tmp_path / "disk")
    except (OSError, AssertionError) as error:
        pytest.skip(str(error))
    take_away(tmp_path / "disk")


@pytest.mark.slow
@pytest.mark.usefixtures("disks")
def test_ten_disturbed_lines_end_as_if_they_had_not_been():
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:  # sockets lie below, whose paths must be short
        tally = conduct("kills", kills_case, range(10), 0, Path(folder))
    assert not tally.found, "\n".join(described("kills", case) for case in tally.found)
    assert tally.done["clean"] == 10


@pytest.mark.skipif(not shutil.which("patch"), reason="there is no program `patch`")
@pytest.mark.parametrize("patch", sorted(PATCHES.glob("*.patch")), ids=lambda path: path.stem)
def test_each_deliberate_fault_can_still_be_put_in_and_names_the_case_that_finds_it(patch):
    assert CASES.search(patch.read_text())
    tried = subprocess.run(["patch", "--dry-run", "-p1", "-i", patch], cwd=CHECKOUT, capture_output=True, text=True)
    assert tried.returncode == 0, tried.stdout


def test_there_are_five_deliberate_faults():
    assert len(list(PATCHES.glob("*.patch"))) == 5
