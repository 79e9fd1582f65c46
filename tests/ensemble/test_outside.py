"""Predictions of other people's code, blended by id: joined, checked, weighed, and told of wherever the run is used."""

import json
import shutil

import cv2
import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from tests.running import TINY, done_inside, everything, inside, once

LINE = [*TINY, "name=mine", "members.swin=null", "demo.train_scenes=60", "epochs=4"]
LINE = [word for word in LINE if word not in ("demo.train_scenes=30", "epochs=2")]
DATA = "data/demo-0-60-12"


def features(path):
    """What anyone might think of: the spread of an image's noise, by colour and direction."""
    image = cv2.imread(str(path)).astype(float)
    noise = [np.diff(image, axis=axis) for axis in (0, 1)] + [np.diff(image, 2, axis=axis) for axis in (0, 1)]
    return np.log([part.std(axis=(0, 1)) + 1 for part in noise]).ravel()


def outsider(home, folder):
    """A plain scikit-learn script: out-of-fold by the run's folds, and the test set by a model on all rows."""
    folds = pd.read_csv(home / "folds/mine/folds.csv", dtype={"id": str})
    train = np.stack([features(home / DATA / id) for id in folds["id"]])
    test_ids = pd.read_csv(home / "folds/mine/convnext/fold0/test.csv", dtype={"id": str})["id"]
    test = np.stack([features(home / DATA / id) for id in test_ids])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.3))
    splits = [(np.flatnonzero(folds["fold"] != k), np.flatnonzero(folds["fold"] == k)) for k in range(3)]
    oof = cross_val_predict(model, train, folds["label"], cv=splits, method="predict_proba")[:, 1]
    folder.mkdir(parents=True)
    table = folds[["id", "label", "fold"]].assign(prob=oof).sample(frac=1, random_state=0)  # in any order
    table.to_csv(folder / "oof.csv", index=False)
    prob = model.fit(train, folds["label"]).predict_proba(test)[:, 1]
    pd.DataFrame({"id": test_ids, "prob": prob}).to_csv(folder / "test.csv", index=False)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A finished run of one member, and the outsider's folder beside it."""

    def make(home):
        printed = done_inside(home, *LINE)
        outsider(home, home / "theirs")
        return printed

    return once(tmp_path_factory, "outside", make)[0]


@pytest.fixture
def home(made, tmp_path):
    shutil.copytree(made, tmp_path / "home")
    return tmp_path / "home"


def card(home):
    newest = max((home / "submissions/mine").glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    return json.loads(newest.read_text())


def change(home, what, name="oof.csv"):
    path = home / "theirs" / name
    table = what(pd.read_csv(path, dtype=str))
    table.to_csv(path, index=False)


def refused(home, *words):
    before = everything(home)
    result = inside(home, *LINE, "predictions.theirs=theirs", *words)
    assert result.returncode == 2 and result.stderr.count("\n") == 1, result.stderr
    assert everything(home) == before
    return result.stderr


def test_an_outsider_raises_the_ensemble_or_weighs_next_to_nothing(home):
    printed = done_inside(home, *LINE, "predictions.theirs=theirs")
    assert "epochs," not in printed and "theirs" in printed and "unknown" not in printed  # nothing is trained
    found = card(home)
    cv, weight = found["cv"], found["members"]["theirs"]["weight"]
    assert cv["ensemble"]["log_loss"] < cv["convnext"]["log_loss"] or weight < 0.05
    assert found["members"]["theirs"]["folds_known"] and {one["member"] for one in found["without"]} >= {"theirs"}
    done_inside(home, "report", *LINE, "predictions.theirs=theirs")
    assert "read from theirs" in (home / "folds/mine/report/report.html").read_text()
    before = everything(home)
    done_inside(home, "ensemble", "name=mine")  # the run knows its outsider from now on
    assert everything(home) == before


def test_the_submission_is_the_weighted_mean_by_id(home):
    done_inside(home, *LINE, "predictions.theirs=theirs", "blend=equal")
    own = [pd.read_csv(home / f"folds/mine/convnext/fold{k}/test.csv").set_index("id")["logit"] for k in range(3)]
    theirs = pd.read_csv(home / "theirs/test.csv").set_index("id")["prob"]
    prob = (1 / (1 + np.exp(-sum(own) / 3)) + theirs) / 2
    submitted = pd.read_csv(home / "submissions/submission.csv").set_index("id")["label"]
    assert submitted.to_dict() == (prob >= card(home)["threshold"]["value"]).astype(int).to_dict()


def test_logits_unnamed_columns_and_arrays_are_the_same_predictions(home):
    done_inside(home, *LINE, "predictions.theirs=theirs")
    first = card(home)
    for name in ("oof.csv", "test.csv"):
        change(home, lambda table: table.rename(columns={"prob": "my model", "id": "image_id"}), name)
    done_inside(home, *LINE, "predictions.theirs=theirs")
    assert card(home)["cv"] == first["cv"]
    for part in ("oof", "test"):
        table = pd.read_csv(home / f"theirs/{part}.csv", dtype={"image_id": str})
        np.save(home / f"theirs/{part}.npy", np.stack([1 - table["my model"], table["my model"]], axis=1))
        (home / f"theirs/{part}_ids.txt").write_text("\n".join(table["image_id"]) + "\n")
        (home / f"theirs/{part}.csv").unlink()
    printed = done_inside(home, *LINE, "predictions.theirs=theirs", "blend=equal")
    assert "the folds of theirs are unknown" in printed and not card(home)["members"]["theirs"]["folds_known"]


def test_logits_are_taken_as_such(home):
    def to_logits(table):
        prob = table["prob"].astype(float)
        return table.assign(logit=np.log(prob / (1 - prob))).drop(columns="prob")

    done_inside(home, *LINE, "predictions.theirs=theirs")
    first = card(home)["cv"]["theirs"]["log_loss"]
    for name in ("oof.csv", "test.csv"):
        change(home, to_logits, name)
    done_inside(home, *LINE, "predictions.theirs=theirs")
    assert card(home)["cv"]["theirs"]["log_loss"] == pytest.approx(first)


def test_unknown_folds_flatter_so_all_members_weigh_the_same(home):
    change(home, lambda table: table.drop(columns=["fold", "label"]))
    printed = done_inside(home, *LINE, "predictions.theirs=theirs")
    assert "the folds of theirs are unknown, so its score, and that of a blend with it, may flatter" in printed
    weights = {name: one["weight"] for name, one in card(home)["members"].items()}
    assert weights["theirs"] == weights["convnext"] and "may flatter" in str(card(home)["notes"])


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (
            lambda table: table.assign(prob=np.roll(table["prob"], 7)).drop(columns="label"),
            "tell nothing of the labels",
        ),
        (lambda table: table.assign(label=np.roll(table["label"], 1)), "its rows are shuffled or shifted"),
        (lambda table: pd.concat([table, table.iloc[:1]]), "repeats 1 id"),
        (lambda table: table.iloc[1:], "Predictions lack 1 oof row"),
        (lambda table: table.assign(id="x" + table["id"]), "that no oof row of"),
        (lambda table: table.assign(prob=1 - table["prob"].astype(float)), "class 1 is the other one"),
        (lambda table: table.assign(prob="1.5"), "which is not a probability (logits go into a column of that name)"),
        (lambda table: table.assign(prob=["nan", *table["prob"][1:]]), "holds 'nan'"),
        (lambda table: table.rename(columns={"id": "what"}), "has no id column"),
        (lambda table: table.assign(other=0.3, one=0.2).drop(columns="prob"), "call it prob, or logit"),
        (lambda table: table.assign(fold=[str(i % 3) for i in range(len(table))]), "had learned from its group"),
    ],
)
def test_what_cannot_be_joined_is_a_sentence_and_nothing_is_written(home, what, said):
    change(home, what)
    assert said in refused(home)


def test_no_folder_no_file_and_no_array_are_sentences(home):
    assert "There is no file" in refused(home, "predictions.other=nowhere")
    (home / "theirs/oof.csv").unlink()
    (home / "theirs/oof.npy").write_bytes(b"no array")
    (home / "theirs/oof_ids.txt").write_text("a\nb\n")
    assert "is not an array of numbers" in refused(home)
    np.save(home / "theirs/oof.npy", np.zeros(3))
    assert "its ids are 2" in refused(home)
    np.save(home / "theirs/oof.npy", np.full(2, 3.0))
    assert "which is not a probability" in refused(home)
    assert "bears the name of a member that is trained" in refused(home, "predictions.convnext=theirs")


def test_new_pictures_are_judged_without_it_and_a_notebook_is_refused(home):
    done_inside(home, *LINE, "predictions.theirs=theirs")
    picture = next((home / DATA / "test_data_v2").glob("*.jpg"))
    result = inside(home, "predict", "name=mine", str(picture), "format=csv")
    assert result.returncode == 0 and "Without theirs, whose predictions were read from files" in result.stderr
    assert "theirs" not in result.stdout
    result = inside(home, "bundle", "name=mine", "owner=me", "competition=some")
    assert result.returncode == 2 and "./run.sh ensemble name=mine predictions.theirs=" in result.stderr
    done_inside(home, "ensemble", "name=mine", "predictions.theirs=")
    assert inside(home, "bundle", "name=mine", "owner=me", "competition=some").returncode == 0


@pytest.mark.slow
def test_runs_are_blended_with_an_outsider_too(home):
    done_inside(home, *(word for word in LINE if word != "name=mine"), "name=other", "members.convnext.lr=5e-4")
    printed = done_inside(home, "ensemble", "names=mine,other", "predictions.theirs=theirs", "name=all")
    assert "Blending 2 members" in printed
    (found,) = (json.loads(path.read_text()) for path in (home / "submissions/all").glob("*.json"))
    assert set(found["members"]) == {"mine", "other", "theirs"}
