import shutil

import numpy as np
import pandas as pd
import pytest

from competition.core.config import load_config
from competition.core.errors import UserError
from competition.core.files import fingerprint
from competition.core.paths import FOLDS_FILE, run_folder
from competition.data.assemble import assemble
from competition.data.demo.draw import DemoPlan, draw_demo
from competition.data.folds import keep_folds
from competition.data.images.decode import read_image
from competition.data.run_data import read_tables
from competition.training.plan import Job, make_plans
from tests.data.drawn import jpeg, photo

WORDS = ["preset=demo", "demo.train_scenes=8", "demo.test_scenes=3", "folds=2", "members.swin=null"]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TELLTALE_HOME", str(tmp_path))
    return tmp_path


def opened(*words):
    config = load_config([*WORDS, *words])
    data = assemble(config, read_tables(config))
    keep_folds(run_folder(config.name) / FOLDS_FILE, data.train)
    return config, data


def keys(config, data, *folds):
    return [plan.key for plan in make_plans(config, data, [Job("convnext", fold) for fold in folds], "cpu")]


@pytest.fixture
def folder(home):
    """Six labelled images in class folders that have nothing to do with the demo's."""
    for number in range(6):
        jpeg(home / "more" / ("fake" if number % 3 == 0 else "real") / f"{number}.jpg", photo(number, 64))
    return home / "more"


def test_every_model_learns_from_extra_rows_and_no_table_of_the_run_knows_of_them(folder, home):
    _, plain = opened("name=plain")
    config, data = opened("extra=more")
    assert data.train.drop(columns="fold").equals(plain.train.drop(columns="fold"))
    assert data.table_key == plain.table_key and data.test.equals(plain.test)
    paths = [home / "folds" / name / "folds.csv" for name in ("plain", config.name)]
    assert paths[0].read_bytes() == paths[1].read_bytes()
    for fold in (0, 1, None):
        rows, fitted = data.learnt(fold), data.train[data.fitted(fold)]
        assert rows[: len(fitted)]["id"].tolist() == fitted["id"].tolist()
        assert sorted(rows[len(fitted) :]["id"]) == sorted(
            f"{path.parent.name}/{path.name}" for path in folder.glob("*/*.jpg")
        )
        assert rows["label"][len(fitted) :].sum() == 2
        assert plain.learnt(fold)[["id", "label", "row"]].equals(fitted[["id", "label", "row"]].reset_index(drop=True))
    assert data.notes[-1] == (
        "extra=more adds 6 images to what each model learns from, 2 'fake' and 4 'real'; no score counts them"
    )


def test_copies_of_images_that_are_judged_on_are_left_out_with_a_note(folder):
    _, data = opened("name=first")
    train, test = data.train["path"][3], data.test["path"][1]
    shutil.copy(train, folder / "real" / "a_train.jpg")
    jpeg(folder / "real" / "b_train.jpg", read_image(data.train["path"][9])[..., ::-1], 70)
    shutil.copy(test, folder / "fake" / "c_test.jpg")
    jpeg(folder / "fake" / "d_test.jpg", read_image(data.test["path"][4])[..., ::-1], 70)
    _, data = opened("extra=more")
    for fold in (0, 1, None):
        assert not data.learnt(fold)["id"].str.contains("train.jpg|test.jpg").any() and len(data.learnt(fold)) > 6
    adds, of_test, of_train = data.notes[-3:]
    assert "adds 6 images" in adds
    assert of_test.startswith("2 images of extra= left out: copies of test images")
    assert "c_test.jpg" in of_test and "d_test.jpg" in of_test
    assert of_train.startswith("2 images of extra= left out: copies of training images")
    assert "a_train.jpg" in of_train and "b_train.jpg" in of_train


def test_a_jobs_key_covers_ids_labels_and_pixels_of_extra_rows_and_stays_as_it_was_without_them(folder):
    config, data = opened("name=plain")
    plan = make_plans(config, data, [Job("convnext", 0)], "cpu")[0]
    store = data.of(config.members["convnext"])[0]
    assert plan.settings["training_data"] == fingerprint(data.table_key, store.digest)
    assert keys(*opened("name=plain", "pseudo_positive=0.7"), 0, 1, None) == keys(config, data, 0, 1, None)

    seen = [keys(config, data, 0)[0]]
    changes = {
        "added": lambda: None,
        "another label": lambda: (folder / "real" / "1.jpg").rename(folder / "fake" / "1.jpg"),
        "another id": lambda: (folder / "real" / "2.jpg").rename(folder / "real" / "2b.jpg"),
        "other pixels": lambda: jpeg(folder / "real" / "4.jpg", photo(50, 64)),
    }
    for change in changes.values():
        change()
        seen.append(keys(*opened("name=plain", "extra=more"), 0)[0])
        assert seen[-1] == keys(*opened("name=plain", "extra=more"), 0)[0]
    assert len(set(seen)) == len(seen)


def test_another_members_image_size_changes_neither_the_rows_nor_the_key(folder):
    config, data = opened("extra=more")
    other = opened("extra=more", "members.big.backbone=resnet18", "members.big.store_size=16", "members.big.fit=crop")
    assert keys(config, data, 0) == keys(*other, 0)
    assert set(data.added[0].stores) < set(other[1].added[0].stores)


def test_a_kaggle_csv_serves_too_and_its_own_test_set_is_not_read(home):
    draw_demo(home / "other", DemoPlan(5, (4, 2)))
    _, data = opened("extra=other")
    added = data.learnt(0)[int(data.fitted(0).sum()) :]
    table = pd.read_csv(home / "other" / "train.csv")
    assert added["id"].tolist() == table["file_name"].tolist() and added["label"].tolist() == table["label"].tolist()
    shutil.rmtree(home / "other" / "test_data_v2")
    assert opened("extra=other")[1].learnt(0).equals(data.learnt(0))


def test_a_dry_run_takes_few_extra_rows_and_knows_how_many_there_are(folder):
    _, data = opened("extra=more", "limit=4")
    assert data.added[0].full_size == 6 and len(data.added[0].tables[0]) < 6


def test_pixels_of_a_csv_join_pixels_of_the_same_shape(home):
    def write(name, rows, side, seed, first=None):
        values = np.random.default_rng(seed).normal(size=(rows, side * side * 3)).round(4)
        if first is not None:
            values[0] = first
        (home / name).mkdir(exist_ok=True)
        table = pd.DataFrame(values, columns=[f"pixel{n}" for n in range(values.shape[1])])
        table.assign(label=np.arange(rows) % 2).to_csv(home / name / "train.csv", index=False)
        return values

    values = write("data", 12, 5, 0)
    write("more", 4, 5, 1, first=values[7])
    config = load_config(["preset=bitgrit", f"data={home / 'data'}", "folds=2", "name=mine", f"extra={home / 'more'}"])
    data = assemble(config, read_tables(config))
    assert data.learnt(0)["id"].tolist()[int(data.fitted(0).sum()) :] == ["1", "2", "3"]  # row 0 is a training row
    write("more", 4, 6, 1)
    with pytest.raises(UserError, match="holds pixels of 6x6x3 and the data pixels of 5x5x3"):
        assemble(config, read_tables(config))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda folder: shutil.rmtree(folder), "There is no folder .*more: name one of labelled images with extra="),
        (lambda folder: (folder / "fake").rename(folder / "cat"), "do not tell which is class 1"),
        (lambda folder: (folder / "real" / "1.jpg").write_bytes(b"?"), r"1 image of extra= cannot be read, .*1\.jpg"),
        (lambda folder: shutil.rmtree(folder / "fake"), "must have exactly two classes and has 1"),
    ],
)
def test_what_cannot_be_added_is_one_sentence(folder, change, said):
    change(folder)
    with pytest.raises(UserError, match=said):
        opened("extra=more")


def test_classes_of_other_names_are_refused_unless_both_say_made_by_ai(folder, home):
    (folder / "fake").rename(folder / "AI")
    _, data = opened("extra=more")
    assert data.learnt(0)["label"].tail(6).sum() == 2 and "2 'AI' and 4 'real'" in data.notes[-1]
    for name, place in (("cat", "pets"), ("dog", "pets"), ("wolf", "wild"), ("dog", "wild")):
        for number in range(3):
            jpeg(home / place / name / f"{number}.jpg", photo(20 + number, 64))
    config = load_config(["preset=small", "data=pets", "positive=dog", "folds=2", "extra=wild"])
    with pytest.raises(UserError, match="has the classes wolf, dog and the data cat, dog: name them alike"):
        assemble(config, read_tables(config))


def test_unreadable_extra_images_can_be_left_out_and_all_copies_are_nothing(folder, home):
    (folder / "real" / "1.jpg").write_bytes(b"?")
    _, data = opened("extra=more", "bad_images=drop")
    assert len(data.added[0].tables[None]) == 5 and "1 image of extra= cannot be read" in data.notes[-1]
    config, _ = opened()
    with pytest.raises(UserError, match="Nothing is left of extra="):
        opened(f"extra={config.data}")
