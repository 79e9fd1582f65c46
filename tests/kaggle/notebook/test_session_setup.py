"""A session finds what is mounted by its files, in the old and the new layout, and trusts no bundle blindly."""

import ast
import json
import os
import sys
import zipfile
from pathlib import Path

import pytest

from competition.kaggle.notebook import session_setup as onkaggle
from competition.kaggle.notebook.session_setup import (
    MANIFEST,
    competition_folder,
    find,
    find_bundle,
    lay_out,
    predict,
    readable,
)

NAMES = ("test.csv", "sample_submission.csv")


def put(root, *files, content="x"):
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(content)


@pytest.mark.parametrize("place", ["cats", "competitions/cats", "competitions/cats/cats", "cats/data/inner"])
def test_the_competition_is_found_by_its_files_wherever_it_is_mounted(tmp_path, place):
    put(tmp_path, *(f"{folder}/{name}" for folder in ("other", place) for name in NAMES))
    assert competition_folder("cats", NAMES, tmp_path) == tmp_path / place


def test_the_shallowest_folder_that_holds_most_is_the_competitions(tmp_path):
    put(tmp_path, "cats/test.csv", "cats/sample_submission.csv", "cats/old/test.csv", "cats/old/sample_submission.csv")
    put(tmp_path, "cats/a/test.csv")
    assert competition_folder("cats", NAMES, tmp_path) == tmp_path / "cats"
    assert competition_folder("renamed", NAMES, tmp_path) == tmp_path / "cats"
    put(tmp_path, "zoo/train/REAL/x.jpg", "zoo/test/y.jpg")
    assert competition_folder("zoo", ("test", "testing"), tmp_path) == tmp_path / "zoo"


def test_a_competition_of_archives_is_found_and_read_from_links_beside_what_they_hold(tmp_path):
    cats = tmp_path / "in/cats"
    put(cats, "train/0.jpg", "sample_submission.csv")
    assert readable(cats, tmp_path / "out") == cats
    for name, held in (("test", "test/1.jpg"), ("images", "2.jpg"), ("test.csv", "test.csv"), ("train", "no.jpg")):
        with zipfile.ZipFile(cats / f"{name}.zip", "w") as archive:
            archive.writestr(held, "y")
    put(tmp_path, "in/animals/test.csv")
    assert competition_folder("", ("test", "test.csv", "train"), tmp_path / "in") == cats
    for _ in range(2):  # a cell may be run again
        found = readable(cats, tmp_path / "out")
        held = {path.relative_to(found).as_posix() for path in [*found.rglob("*"), *found.glob("train/*")]}
        assert found == tmp_path / "out" and held == {
            "train",
            "train/0.jpg",
            "train.zip",
            "sample_submission.csv",
            "test",
            "test/1.jpg",
            "images",
            "images/2.jpg",
            "test.csv",
        }
        assert (found / "test.csv").read_text() == "y" and (found / "train").is_symlink()
    put(cats, "more.zip", content="no archive")
    with pytest.raises(RuntimeError, match=r"more\.zip cannot be unpacked into .*not a zip file"):
        readable(cats, tmp_path / "out")


def test_a_competition_that_is_not_mounted_is_one_sentence(tmp_path):
    put(tmp_path, "weights/telltale.json")
    said = r"holds test\.csv or sample_submission\.csv \(there is weights, weights/telltale\.json\): add cats to"
    with pytest.raises(RuntimeError, match=said):
        competition_folder("cats", NAMES, tmp_path)


def test_the_mount_is_not_asked_about_its_images(tmp_path):
    put(tmp_path, "cats/train/0.jpg/test.csv", "cats/train/deep/test.csv")
    assert find("test.csv", root=tmp_path) == [tmp_path / "cats/train/deep/test.csv"]


def bundle(folder, name="run", key="k", **files):
    put(folder, *files)
    digest = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"  # of "x"
    packed = {file: {"sha256": digest, "place": place} for file, place in files.items()}
    put(folder, MANIFEST, content=json.dumps({"name": name, "key": key, "files": packed}))
    return folder


def test_a_bundle_is_found_by_its_run_and_content_and_laid_out_as_links(tmp_path, monkeypatch):
    monkeypatch.setenv("TELLTALE_HOME", "before")
    bundle(tmp_path / "in/datasets/alice/older", key="j")
    bundle(tmp_path / "in/other", name="else")
    ours = bundle(tmp_path / "in/datasets/alice/newer", **{"run.c.fold0.x": "folds/run/c/fold0/x"})
    assert find_bundle("run", "k", tmp_path / "in") == ours
    lay_out(ours, tmp_path / "home")
    lay_out(ours, tmp_path / "home")  # a cell may be run again
    assert (tmp_path / "home/folds/run/c/fold0/x").resolve() == (ours / "run.c.fold0.x").resolve()
    assert os.environ["TELLTALE_HOME"] == str(tmp_path / "home")


def test_a_bundle_of_another_version_or_with_another_file_is_refused(tmp_path):
    ours = bundle(tmp_path / "in/a", a="folds/run/a", b="folds/run/b")
    with pytest.raises(RuntimeError, match="add its newest version"):
        find_bundle("run", "l", tmp_path / "in")
    put(ours, "b", content="y")
    with pytest.raises(RuntimeError, match="b is missing or not what was packed"):
        lay_out(ours, tmp_path / "home")


def test_a_prediction_that_fails_leaves_room_for_a_placeholder_until_kaggle_scores(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)  # where a process started with -m looks first
    monkeypatch.delenv("KAGGLE_IS_COMPETITION_RERUN", raising=False)
    rooms = ("competition", "competition/kaggle", "competition/kaggle/notebook")
    put(tmp_path, *(f"{room}/__init__.py" for room in rooms), content="")
    put(tmp_path, "competition/__main__.py", content="import sys\nprint('to see')\nsys.exit('nothing to see\\n')")
    write = "import sys\nopen(sys.argv[3], 'w').write(sys.argv[1] + sys.argv[2])"
    put(tmp_path, "competition/kaggle/notebook/placeholder.py", content=write)
    predict("run", tmp_path, tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text() == f"run{tmp_path}" and "to see\nnothing to see" in capfd.readouterr().out
    monkeypatch.setenv("KAGGLE_IS_COMPETITION_RERUN", "true")
    with pytest.raises(RuntimeError, match=r"wrote no submission \(status 1\): nothing to see"):
        predict("run", tmp_path, tmp_path / "out.csv")
    assert not (tmp_path / "out.csv").exists()


def test_what_runs_before_telltale_is_there_needs_the_standard_library_alone():
    tree = ast.parse(Path(onkaggle.__file__).read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert {name.split(".")[0] for name in imported} <= sys.stdlib_module_names
