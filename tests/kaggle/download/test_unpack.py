"""An archive made by somebody else: what is unpacked is exactly what it declares, below its folder, or nothing is."""

import io
import os
import random
import shutil
import stat
import subprocess
import tempfile
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from competition.core.errors import UserError
from competition.kaggle.download.unpack import Damaged, Unsafe, require_room, unpack, unpack_inner


def entry(name: str, mode: int = 0) -> zipfile.ZipInfo:
    """Return an entry under just this name, which ZipInfo would tidy if it were given it."""
    info = zipfile.ZipInfo("x")
    info.filename, info.external_attr = name, mode << 16
    return info


def zipped(path: Path, *files: tuple[str | zipfile.ZipInfo, bytes], compression: int = zipfile.ZIP_DEFLATED) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", compression) as made:
        for name, content in files:
            made.writestr(name if isinstance(name, zipfile.ZipInfo) else entry(name), content, compression)
    return path


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_is_unpacked_is_what_was_packed(tmp_path):
    files = {"train.csv": b"id\n", "train_data/0000 (10).jpg": os.urandom(3_000_000), "train_data/sub/é.jpg": b""}
    made = zipped(tmp_path / "a.zip", ("train_data/", b""), *files.items())
    unpack(made, tmp_path / "out")
    assert tree(tmp_path / "out") == files


HOSTILE = {
    "a parent": ([("train.csv", b"x"), ("../evil.csv", b"x")], "leads out"),
    "a parent within": ([("a/../../evil.csv", b"x")], "leads out"),
    "an absolute path": ([("/etc/evil", b"x")], "leads out"),
    "a drive": ([("C:evil", b"x")], "leads out"),
    "a backslash": ([("..\\evil", b"x")], "cannot be the name"),
    "a NUL": ([("train.csv\0../evil", b"x")], "cannot be the name"),
    "a line end": ([("a\nb", b"x")], "cannot be the name"),
    "no name": ([(".", b"x")], "cannot be the name"),
    "a long name": ([("é" * 128, b"x")], "too long"),
    "a link": ([(entry("link", stat.S_IFLNK | 0o777), b"/etc"), ("link/evil", b"x")], "is a link"),
    "a device": ([(entry("null", stat.S_IFCHR | 0o666), b"")], "no ordinary file"),
    "a folder's mode on a file": ([(entry("a", stat.S_IFDIR | 0o755), b"")], "no ordinary file"),
    "a name twice": ([("a/b", b"x"), ("a//b", b"y")], "twice"),
    "a file that is a folder": ([("a", b"x"), ("a/b", b"y")], "both as a file and as a folder"),
    "a folder that is a file": ([("a/b/", b""), ("a/b", b"y")], "both as a file and as a folder"),
}


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("what", HOSTILE)
def test_an_archive_with_an_unsafe_entry_is_refused_whole(tmp_path, what):
    files, said = HOSTILE[what]
    made = zipped(tmp_path / "in" / "a.zip", *files)
    with pytest.raises(Unsafe, match=said):
        unpack(made, tmp_path / "in" / "out")
    assert list(tree(tmp_path)) == ["in/a.zip"]


def test_an_encrypted_archive_is_refused(tmp_path):
    made = zipped(tmp_path / "a.zip", ("a.csv", b"secret"))
    raw = bytearray(made.read_bytes())
    for sign, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        raw[raw.index(sign) + at] |= 1
    made.write_bytes(raw)
    with pytest.raises(Unsafe, match="encrypted"):
        unpack(made, tmp_path / "out")


def test_an_archive_that_claims_far_more_than_it_can_hold_is_refused(tmp_path):
    made = zipped(tmp_path / "bomb.zip", *((str(n), bytes(40_000_000)) for n in range(3)))
    with pytest.raises(Unsafe, match=r"claim 120\.0 MB, far more"):
        unpack(made, tmp_path / "out")
    unpack(made, tmp_path / "out", expected=120_000_000)
    assert sum(path.stat().st_size for path in (tmp_path / "out").iterdir()) == 120_000_000


@pytest.mark.parametrize("declared", [b"\5\0\0\0", b"\xff\0\0\0"], ids=["less", "more"])
def test_an_entry_that_yields_another_size_than_it_declares_is_damage(tmp_path, declared):
    made = zipped(tmp_path / "a.zip", ("first.csv", b"y"), ("a.csv", b"x" * 100))
    raw = bytearray(made.read_bytes())
    at = raw.rindex(b"PK\1\2") + 24
    raw[at : at + 4] = declared
    made.write_bytes(raw)
    with pytest.raises(Damaged):
        unpack(made, tmp_path / "out")
    assert list(tree(tmp_path)) == ["a.zip"]


def test_a_damaged_archive_leaves_nothing_and_never_another_content(tmp_path):
    files = {"train.csv": b"id,label\n" * 200, "a/b.bin": random.Random(0).randbytes(300), "a/c.txt": b"x" * 500}
    methods = {"train.csv": zipfile.ZIP_DEFLATED, "a/b.bin": zipfile.ZIP_STORED, "a/c.txt": zipfile.ZIP_BZIP2}
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as made:
        for name, content in files.items():
            made.writestr(name, content, methods[name])
    raw, chance, wrong = buffer.getvalue(), random.Random(1), 0
    for _ in range(1500):
        broken = bytearray(raw)
        broken[chance.randrange(len(raw))] ^= 1 << chance.randrange(8)
        if chance.random() < 0.2:
            del broken[chance.randrange(len(raw)) :]
        (tmp_path / "a.zip").write_bytes(broken)
        try:
            unpack(tmp_path / "a.zip", tmp_path / "out")
        except (Unsafe, Damaged):
            wrong += 1
        else:
            assert set(tree(tmp_path / "out").values()) <= set(files.values())  # their names have no checksum
            shutil.rmtree(tmp_path / "out")
        assert os.listdir(tmp_path) == ["a.zip"]
    assert wrong > 1000


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text("ab/.\\:\0é", min_size=1, max_size=8), min_size=1, max_size=4, unique=True))
def test_no_name_reaches_beyond_its_folder(names):
    with tempfile.TemporaryDirectory() as top:
        made = zipped(Path(top) / "x" / "a.zip", *((name, b"content") for name in names))
        try:
            unpack(made, Path(top) / "x" / "y" / "out")
        except Unsafe:
            assert list(tree(Path(top))) == ["x/a.zip"]
        else:
            written = tree(Path(top) / "x" / "y" / "out")
            assert len(written) == sum(not name.endswith("/") for name in names)
            assert len(tree(Path(top))) == len(written) + 1


def test_archives_within_go_to_a_folder_of_their_name_without_one_more_of_it(tmp_path):
    zipped(tmp_path / "train.zip", ("1.jpg", b"1"), ("2.jpg", b"2"))
    zipped(tmp_path / "test.zip", ("test/", b""), ("test/3.jpg", b"3"))
    zipped(tmp_path / "more" / "train.csv.zip", ("train.csv", b"id\n"))
    inner = zipped(tmp_path / "in.zip", ("x", b"y")).read_bytes()
    (tmp_path / "in.zip").unlink()
    zipped(tmp_path / "outer.zip", ("in.zip", inner))
    assert unpack_inner(tmp_path, keep=False) == []
    assert tree(tmp_path) == {
        "train/1.jpg": b"1",
        "train/2.jpg": b"2",
        "test/3.jpg": b"3",
        "more/train.csv": b"id\n",
        "outer/in.zip": inner,
    }


def test_an_archive_within_that_is_not_fit_stays_packed_and_is_named(tmp_path):
    place = tmp_path / "a" / "b"
    (place / "train").mkdir(parents=True)
    zipped(place / "evil.zip", ("../../evil", b"x"))
    (place / "broken.zip").write_bytes(b"PK\3\4 and no more")
    zipped(place / "train.zip", ("1.jpg", b"1"))
    before = tree(tmp_path)
    notes = unpack_inner(place, keep=False)
    assert tree(tmp_path) == before
    assert [note.split(" is left packed")[0] for note in notes] == ["broken.zip", "evil.zip", "train.zip"]
    assert "'../../evil' leads out of its folder" in notes[1]


def test_archives_within_are_kept_where_asked(tmp_path):
    zipped(tmp_path / "train.zip", ("1.jpg", b"1"))
    unpack_inner(tmp_path, keep=True)
    assert sorted(tree(tmp_path)) == ["train.zip", "train/1.jpg"]


def test_too_little_room_is_said_with_both_numbers_before_anything_is_written(tmp_path, monkeypatch):
    free = shutil.disk_usage(tmp_path).free
    with pytest.raises(UserError, match=r"GB are free at .* and its files need [\d,.]+ GB: make room"):
        require_room(tmp_path / "not" / "yet", free, "its files")
    require_room(tmp_path / "not" / "yet", free / 2, "its files")
    with pytest.raises(UserError, match="make room"):
        monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=4096))
        require_room(tmp_path, 100, "its files")  # which take a block each, as do their folders
    monkeypatch.undo()
    monkeypatch.setattr("os.access", lambda path, mode: path != tmp_path)
    with pytest.raises(UserError, match=f"{tmp_path} cannot be written to"):
        require_room(tmp_path / "not" / "yet", free / 2, "its files")


def test_an_archive_of_another_program_unpacks_the_same(tmp_path):
    if shutil.which("zip") is None:
        pytest.skip("zip is not installed")
    (tmp_path / "in" / "a").mkdir(parents=True)
    (tmp_path / "in" / "a" / "1.jpg").write_bytes(b"1")
    (tmp_path / "in" / "train.csv").write_text("id\n" * 100)
    subprocess.run(["zip", "-qr", "../a.zip", "."], cwd=tmp_path / "in", check=True)
    unpack(tmp_path / "a.zip", tmp_path / "out")
    assert tree(tmp_path / "out") == tree(tmp_path / "in")
