"""A finished run predicts a test table as it did itself, from the folder of the test set alone."""

import shutil

import numpy as np
import pytest

from competition.core.config import load_config
from competition.core.errors import UserError
from competition.data.layouts.dataset import LayoutSettings
from competition.data.layouts.read import read_dataset
from competition.inference.run_record import Record
from competition.inference.test_table import read_test_table
from tests.data.layouts.test_read import kaggle, lay
from tests.running import done_inside, inside

PREDICTED = ("oof.csv", "test.csv", "evidence.npz", "folds.csv", ".cache")


@pytest.fixture
def home(ran, tmp_path):
    """What prediction may need of that run, and the test set alone: nothing else of its data."""
    shutil.copytree(ran / "folds", tmp_path / "folds", ignore=shutil.ignore_patterns(*PREDICTED))
    drawn = next((ran / "data").iterdir())
    (tmp_path / "given").mkdir()
    shutil.copytree(drawn / "test_data_v2", tmp_path / "given" / "test_data_v2")
    shutil.copy(drawn / "test.csv", tmp_path / "given")
    return tmp_path


def labels(content):
    return dict(line.rsplit(",", 1) for line in content.decode().splitlines()[1:])


def test_the_test_set_alone_gives_the_bytes_of_the_runs_own_submission(ran, home):
    said = done_inside(home, "predict", "name=run", "test=given", "out=answers/mine.csv")
    written = (home / "answers/mine.csv").read_bytes()
    assert set(labels(written).values()) == {"0", "1"}
    assert written == (ran / "submissions/submission.csv").read_bytes()
    assert "answers/mine.csv, 24 rows, 50.0% positive" in said and "9 of 9 models" in said


def test_an_image_that_cannot_be_read_gets_the_fallback_by_name_and_status_1(ran, home):
    own = labels((ran / "submissions/submission.csv").read_bytes())
    name = next(one for one, label in own.items() if label == "0")
    (home / "given" / name).write_bytes(b"no picture")
    result = inside(home, "predict", "name=run", "test=given")
    reason = "it is not a JPEG, PNG, WebP, BMP, TIFF or GIF image"
    assert result.returncode == 1 and f"labelled 1: {name}: {reason}" in result.stderr
    found = labels((home / "submission.csv").read_bytes())
    assert list(found) == list(own) and found[name] == "1"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["test=nowhere"], "There is no folder nowhere: name the folder of the test set with test=."),
        (["test=folds"], "folds has neither a test.csv nor a sample_submission.csv"),
        (["test=empty"], "None of the 24 test images can be read"),
        (["test=given", "out=given"], "out=given is a folder"),
        (["out=mine.csv"], "out=mine.csv is for the submission of test=FOLDER"),
        (["test=given", "given"], "test=given writes the submission of that folder, by torch"),
        (["test=given", "engine=onnx"], "leave images, engine=, trust= and format= out"),
    ],
)
def test_a_mistake_is_one_sentence_and_no_submission(home, words, said):
    (home / "empty").mkdir()
    shutil.copy(home / "given" / "test.csv", home / "empty")
    result = inside(home, "predict", "name=run", *words)
    assert result.returncode == 2 and said in result.stderr and result.stderr.count("\n") == 1
    assert not list(home.glob("*.csv"))


def as_read(root, kind, **settings):
    config = load_config([f"{key}={value}" for key, value in settings.items()])
    record = Record("r", ("0", "1"), "", kind, {}, {}, "none", 0.5)
    found = read_test_table(root, record, config)
    return found.ids, found.paths, found.header


def test_of_a_run_on_class_folders_a_folder_of_images_is_a_test_set(tmp_path):
    for name in ("b.png", "a (10).png", "a (2).png"):
        (tmp_path / name).touch()
    ids, paths, header = as_read(tmp_path, "folders")
    assert ids == ["a (2).png", "a (10).png", "b.png"] and header == ("id", "label")
    assert paths == [str(tmp_path / one) for one in ids]
    (tmp_path / "ai").mkdir()
    (tmp_path / "ai" / "c.png").touch()
    with pytest.raises(UserError, match=r"neither images nor a folder 'test' of them \(it holds ai\)"):
        as_read(tmp_path, "folders")


@pytest.mark.parametrize(
    ("files", "settings"),
    [
        ({}, {}),
        ({"sample_submission": "id,label\ntest_data_v2/b.jpg,0\ntest_data_v2/c.jpg,0\ntest_data_v2/a.jpg,0\n"}, {}),
        ({"test": None, "sample_submission": "image,is_ai\na,0\nc,0\n"}, {}),
        ({"test": "name,id\na.jpg,7\nb.jpg,8\n"}, {}),
        ({"train": "pic,made\ntrain_data/0.jpg,1\ntrain_data/1.jpg,0\n"}, {"id_column": "pic", "label_column": "made"}),
    ],
)
def test_a_kaggle_test_table_is_the_one_that_a_run_reads_with_train_csv_or_without(tmp_path, files, settings):
    data = read_dataset(kaggle(tmp_path, **files), LayoutSettings(**settings))
    found = as_read(tmp_path, "kaggle", **settings)
    assert found == (data.test["id"].tolist(), data.test["path"].tolist(), data.header)
    (tmp_path / "train.csv").unlink()
    assert as_read(tmp_path, "kaggle", **settings) == found


def test_a_test_set_of_class_folders_is_the_one_that_a_run_reads(tmp_path):
    names = ["a (10).jpg", "a (2).jpg", "b.png"]
    lay(tmp_path, train__REAL=names, train__FAKE=names, Test__REAL=names, Test__FAKE=names)
    data = read_dataset(tmp_path)
    shutil.rmtree(tmp_path / "train")
    assert as_read(tmp_path, "folders") == (data.test["id"].tolist(), data.test["path"].tolist(), data.header)


@pytest.mark.slow
def test_a_table_of_pixels_is_predicted_as_its_run_did(tmp_path):
    random = np.random.default_rng(0)
    for name, rows in (("train", 40), ("test", 20)):
        values = random.normal(size=(rows, 256))
        table = np.column_stack([np.arange(rows) % 2, values]) if name == "train" else values
        header = ["label"] * (name == "train") + [f"pixel{column}" for column in range(256)]
        np.savetxt(tmp_path / f"{name}.csv", table, "%.6g", ",", header=",".join(header), comments="")
    done_inside(
        tmp_path,
        f"data={tmp_path}",
        "name=grid",
        "preset=small-cnn",
        "layout=pixels",
        "image_size=16",
        "epochs=1",
        "folds=2",
        "augment=none",
        "threads=1",
        "threshold=prior:0.5",
        "report=false",
        "backbone_args={widths: [4, 4, 4, 4]}",
    )
    done_inside(tmp_path, "predict", "name=grid", f"test={tmp_path}", "out=mine.csv")
    assert (tmp_path / "mine.csv").read_bytes() == (tmp_path / "submissions/submission.csv").read_bytes()
