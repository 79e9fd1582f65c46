"""Records and files that are not as they were written are seen, and so is what is no file at all."""

import json
import os

import numpy as np
import pytest

from competition.core.errors import UserError
from competition.core.intact import (
    check_plain,
    content_mark,
    has_content,
    kept_record,
    read_arrays,
    read_record_file,
    stands,
    write_record_file,
)

RECORD = {"name": "x", "threshold": 0.1, "parts": {2: ["a"], 10: ("b", None)}}


def test_a_record_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "a.json"
    assert read_record_file(path) is None and not stands(path, RECORD)
    write_record_file(path, RECORD)
    assert read_record_file(path) == {"name": "x", "threshold": 0.1, "parts": {"2": ["a"], "10": ["b", None]}}
    assert stands(path, RECORD) and not stands(path, RECORD | {"name": "y"})


def test_a_record_without_a_seal_is_one_of_the_first_release(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"name": "x"}')
    assert read_record_file(path) == {"name": "x"}


@pytest.mark.parametrize("text", ["", "{", "[]", "1", "null", "\0" * 9, "[" * 100_000, "\udcff"])
def test_what_is_no_record_is_refused_by_its_name(tmp_path, text):
    path = tmp_path / "a.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(UserError, match=r"a\.json is damaged"):
        read_record_file(path)
    assert kept_record(path) == {}


def test_every_value_that_is_changed_is_seen(tmp_path):
    path = tmp_path / "a.json"
    write_record_file(path, RECORD)
    written = json.loads(path.read_text())
    for key in written:
        path.write_text(json.dumps(written | {key: "another"}))
        with pytest.raises(UserError, match="changed after it was written"):
            read_record_file(path)


def test_a_folder_or_a_pipe_in_a_records_place_is_refused_unread(tmp_path):
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (tmp_path, pipe):
        with pytest.raises(UserError, match=r"is damaged \(it is not a file\)"):
            read_record_file(path)


def test_arrays_cut_anywhere_are_none(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, one=np.arange(9), other=np.zeros((2, 3), np.float16))
    whole = path.read_bytes()
    assert set(read_arrays(path)) == {"one", "other"}
    for size in range(0, len(whole), 7):
        path.write_bytes(whole[:size])
        assert read_arrays(path) is None, size


def test_files_folders_and_links_to_them_are_plain(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").write_text("x")
    (tmp_path / "link").symlink_to("folder")
    check_plain(tmp_path)
    check_plain(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "make", [os.mkfifo, lambda path: path.symlink_to(path.name), lambda path: path.symlink_to("gone")]
)
def test_a_pipe_and_links_to_nowhere_are_refused_by_their_name(tmp_path, make):
    make(tmp_path / "odd")
    with pytest.raises(UserError, match="odd is neither a file nor a folder"):
        check_plain(tmp_path)


def test_a_file_of_another_size_is_not_read_however_large(tmp_path):
    path = tmp_path / "a"
    path.write_text("x")
    mark = content_mark(path)
    assert has_content(path, mark) and has_content(path, None) and not has_content(tmp_path / "b", None)
    path.write_text("y")
    assert not has_content(path, mark)
    os.truncate(path, 10**12)  # hours of reading
    assert not has_content(path, mark)


def test_a_record_that_is_far_too_large_is_refused_unread(tmp_path):
    path = tmp_path / "a.json"
    write_record_file(path, RECORD)
    os.truncate(path, 10**12)
    with pytest.raises(UserError, match="far larger than any record"):
        read_record_file(path)
