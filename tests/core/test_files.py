import os
import subprocess
import sys
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from competition.core.files import (
    atomic_write,
    draft_folder,
    fingerprint,
    holds,
    read_json,
    sweep,
    write_json,
    write_text,
)
from competition.core.system_errors import system_refusal


def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(ZeroDivisionError), atomic_write(path) as file:
        file.write("new")
        raise ZeroDivisionError
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("a.txt", "old")]


def test_a_file_for_which_there_is_no_room_is_named(tmp_path):
    resource = pytest.importorskip("resource", reason="Windows limits no sizes of files")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(OSError, match="too large") as failure, atomic_write(tmp_path / "large.txt") as file:
            file.write("x" * 100_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert f"{tmp_path / 'large.txt'} cannot be written" in system_refusal(failure.value)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(OSError, match="too long") as failure, atomic_write(tmp_path / ("x" * 250)):
        pass
    assert failure.value.filename == str(tmp_path / ("x" * 250))  # not that of the temporary file


def test_a_file_of_another_size_is_not_read_to_be_known_as_another(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    assert holds(path, b"old") and not holds(path, b"new") and not holds(tmp_path / "b.txt", b"old")
    os.truncate(path, 1 << 36)  # without a block on the disk
    assert not holds(path, b"old")


def test_a_kill_during_a_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    program = (
        "import os, signal, sys; from pathlib import Path; from competition.core.files import atomic_write\n"
        "with atomic_write(Path(sys.argv[1])) as file:\n"
        "    file.write('new'); file.flush(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(path)]).returncode == -9
    assert path.read_text() == "old"
    (left,) = [found for found in tmp_path.iterdir() if found != path]
    mine = tmp_path / ".mine.tmp"
    mine.write_text("not the program's")
    sweep(tmp_path.iterdir())
    assert not left.exists() and path.exists() and mine.exists()


def test_a_temporary_file_is_swept_when_its_writer_is_dead_and_not_before(tmp_path):
    with atomic_write(tmp_path / "a.txt") as file:
        file.write("new")
        sweep(tmp_path.iterdir())
    with draft_folder(tmp_path / "folder") as draft:
        sweep(tmp_path.iterdir())
        with draft_folder(tmp_path / "folder") as other:
            assert draft.exists() and other.exists()
        os.replace(draft, tmp_path / "folder")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.txt", "folder"]


def test_a_file_is_not_swept_between_its_last_byte_and_its_place(tmp_path, monkeypatch):
    put = os.replace

    def replace(source, target):
        sweep(tmp_path.iterdir())  # as another line does at just this moment
        put(source, target)

    monkeypatch.setattr(os, "replace", replace)
    with atomic_write(tmp_path / "a") as file:
        file.write("whole")
    assert (tmp_path / "a").read_text() == "whole"


def test_a_writer_that_waits_for_a_sweeps_lock_makes_another_file(tmp_path, monkeypatch):
    fcntl = pytest.importorskip("fcntl", reason="there are no such locks")
    made, unlink = [], os.unlink
    writer = threading.Thread(target=lambda: made.append(_write(tmp_path / "a")))
    flock = fcntl.flock

    def slow(handle, how):
        if how == fcntl.LOCK_EX and not made:  # the writer, before its first lock: the sweep comes first
            made.append("swept")
            sweep(tmp_path.iterdir())
        flock(handle, how)

    def late(path, **options):
        with pytest.raises(BlockingIOError), open(path) as other:  # nobody gets the lock of what is being removed
            flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        unlink(path, **options)

    monkeypatch.setattr(fcntl, "flock", slow)
    monkeypatch.setattr(os, "unlink", late)
    writer.start()
    writer.join()
    assert made == ["swept", "whole"] and [path.name for path in tmp_path.iterdir()] == ["a"]


def _write(path):
    with atomic_write(path) as file:
        file.write("whole")
    return path.read_text()


def test_a_draft_folder_of_a_killed_process_goes_when_the_next_is_made(tmp_path):
    program = (
        "import os, signal, sys; from pathlib import Path; from competition.core.files import draft_folder\n"
        "with draft_folder(Path(sys.argv[1])) as draft:\n"
        "    (draft / 'half').touch(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", program, str(tmp_path / "demo")]).returncode == -9
    (left,) = tmp_path.iterdir()
    with draft_folder(tmp_path / "demo"):
        assert not left.exists()
    assert not list(tmp_path.iterdir())


def test_json_comes_back_and_a_missing_file_is_none(tmp_path):
    write_json(tmp_path / "a" / "b.json", {"é": [1, 2.5, None]})
    assert read_json(tmp_path / "a" / "b.json") == {"é": [1, 2.5, None]}
    assert read_json(tmp_path / "c.json") is None
    with pytest.raises(ValueError):
        write_json(tmp_path / "c.json", float("nan"))


@given(st.dictionaries(st.text(max_size=5), st.integers(), max_size=5))
def test_a_fingerprint_ignores_the_order_of_settings_and_sees_every_change(settings):
    assert fingerprint(settings) == fingerprint(dict(reversed(settings.items())))
    assert fingerprint(settings) != fingerprint({**settings, "another key": 1})


def test_a_fingerprint_sees_where_parts_end_and_what_an_array_is():
    assert fingerprint(b"ab", b"c") != fingerprint(b"a", b"bc")
    assert fingerprint(np.zeros(2)) != fingerprint(np.zeros(2, np.float32)) != fingerprint(np.zeros((2, 1), np.float32))
