"""One process at a time works in a folder, the others wait as long as they are told to, and a kill frees the lock."""

import subprocess
import sys
import time

import pytest

from competition.core.errors import UserError
from competition.core.files import DRAFT
from competition.core.locks import only_one

HOLD = """
import sys, time
from pathlib import Path
from competition.core.files import DRAFT
from competition.core.locks import only_one
with only_one(Path(sys.argv[1]), 0):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def lock(tmp_path):
    return tmp_path / "name" / ".lock"


def _holder(lock, seconds):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(lock), str(seconds)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "held\n"
    return process


def test_only_one_run_works_in_a_folder(lock):
    with only_one(lock, 0):
        with pytest.raises(UserError, match="Another run works in"), only_one(lock, 0.1):
            pass
        with pytest.raises(UserError, match="the disk is busy"), only_one(lock, 0, "the disk is busy"):
            pass
    with only_one(lock, 0):
        pass


def test_a_run_waits_for_another_as_long_as_its_patience_lasts(lock):
    with _holder(lock, 1) as holder:
        with pytest.raises(UserError, match="Another run works in"), only_one(lock, 0.2):
            pass
        with only_one(lock, 30):
            assert holder.wait(5) == 0


def test_a_killed_holders_lock_goes_with_the_next_one_in_its_folder_and_a_held_one_stays(lock):
    killed, held, other = (lock.with_name(name) for name in (".killed.lock", ".held.lock", ".notes.lock"))
    with _holder(killed, 60) as holder:
        holder.kill()
        holder.wait()
    assert killed.exists()
    other.write_text("not the program's")
    with only_one(held, 0):
        with only_one(lock, 0):
            assert not killed.exists()
        assert held.exists() and other.exists()


def test_the_lock_of_a_killed_run_is_free_at_once(lock):
    with _holder(lock, 60) as holder:
        holder.kill()
        holder.wait()
        began = time.monotonic()
        with only_one(lock, 30):
            assert time.monotonic() - began < 1


def test_a_lock_is_free_again_after_an_error(lock):
    with pytest.raises(ZeroDivisionError), only_one(lock, 0):
        raise ZeroDivisionError
    with only_one(lock, 0):
        pass


def test_a_lock_leaves_nothing_and_sweeps_what_the_dead_left(lock):
    lock.parent.parent.mkdir(exist_ok=True)
    with only_one(lock, 0):
        pass
    assert not lock.parent.exists()
    with only_one(lock, 0):
        (lock.parent / "result").touch()
        (lock.parent / f".result.12345678{DRAFT}").touch()
    with only_one(lock, 0):
        assert sorted(path.name for path in lock.parent.iterdir()) == [".lock", "result"]
    assert [path.name for path in lock.parent.iterdir()] == ["result"]
