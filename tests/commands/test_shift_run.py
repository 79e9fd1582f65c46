"""The honest numbers where a run meets them: the audit at its start, groups that it finds, the alarm, and the blend."""

import json
import shutil

import cv2
import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from competition.data.images.perturb import conditions
from tests.running import TINY, done_inside, everything, sign
from tests.test_command_line import FAST

ALONE = [word for word in TINY if not word.startswith(("folds=", "demo.t"))]
ALONE += ["folds=2", "members.swin=null", "demo.train_scenes=60", "demo.test_scenes=60", "name=one"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run of one small member, and what it printed."""
    home = tmp_path_factory.mktemp("finished")
    return home, done_inside(home, *ALONE, "fold=all")


@pytest.fixture
def copies(tmp_path):
    """Two class folders: ten pictures each, of which three of class REAL are copies, one of them re-encoded."""
    random = np.random.default_rng(0)
    for row in range(20):
        folder = tmp_path / "data" / ("REAL" if row < 10 else "FAKE")
        folder.mkdir(parents=True, exist_ok=True)
        picture = cv2.GaussianBlur(random.integers(0, 256, (40, 40, 3)).astype(np.float32), (0, 0), 4)
        picture = cv2.normalize(picture, None, 0, 255, cv2.NORM_MINMAX).astype(np.uint8)
        cv2.imwrite(str(folder / f"{row}.png"), picture)
        if row == 3:
            cv2.imwrite(str(folder / "copy.png"), picture)
            cv2.imwrite(str(folder / "saved-again.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 80])
    return tmp_path / "data"


def test_group_auto_keeps_copies_in_one_fold_whatever_the_number_of_processes(copies, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    words = [word for word in FAST if not word.startswith("jobs=")]
    done_inside(home, *words, f"data={copies}", "group=auto", "name=x", "jobs=2", "threads=1")
    folds = pd.read_csv(home / "folds" / "x" / "folds.csv", dtype=str).set_index("id")
    shown = folds[folds.index.str.contains(r"\b3\.png|copy|saved-again")]
    assert len(shown) == 3 and shown["group"].nunique() == 1 and shown["fold"].nunique() == 1
    assert folds["group"].nunique() == 20


def test_without_it_the_audit_names_the_copies_and_writes_down_which(copies, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    printed = done_inside(home, "audit", f"data={copies}", "name=x")
    assert "exact-duplicates" in printed and "near-duplicates" in printed
    rows = pd.read_csv(home / "folds" / "x" / "audit" / "near-duplicates.csv")
    assert {id.rpartition("/")[2] for id in rows["id"]} >= {"saved-again.jpg"}
    before = {path: found for path, found in everything(home).items() if ".cache" not in path}
    assert done_inside(home, "audit", f"data={copies}", "name=x") == printed
    assert {path: found for path, found in everything(home).items() if ".cache" not in path} == before


def test_a_run_begins_with_a_short_audit_and_ends_with_what_to_expect(finished):
    home, printed = finished
    report = json.loads((home / "folds" / "one" / "audit" / "audit.json").read_text())
    assert report["depth"] == "quick"
    for word in ("world", "threshold ", "robustness "):  # the verdict may be printed in capitals
        assert printed.lower().index(word) < printed.lower().index("submission ")
    (card,) = (json.loads(path.read_text()) for path in (home / "submissions" / "one").glob("*.json"))
    assert printed.splitlines()[-1] == "Upload      ./run.sh submit competition=SLUG" and card["competition"] == ""
    assert card["world"]["verdict"] in ("same world", "label shift", "another world")
    assert set(card["threshold"]["rules"]) == {"argmax", "bootstrap", "calibrated", "em", "robust"}
    assert [row["condition"] for row in card["robustness"]] == ["clean", *conditions(False)]


def test_robustness_is_that_of_the_logits_that_every_fold_left_behind(finished):
    home, _ = finished
    (card,) = (json.loads(path.read_text()) for path in (home / "submissions" / "one").glob("*.json"))
    folders = sorted((home / "folds" / "one").glob("convnext/fold*"))
    kept = [np.load(folder / "evidence.npz") for folder in folders]
    labels = [pd.read_csv(folder / "oof.csv", dtype={"id": str}).set_index("id")["label"] for folder in folders]
    truth = np.concatenate([label[one["sweep_ids"]] for label, one in zip(labels, kept, strict=True)])
    for number, row in enumerate(card["robustness"]):
        logit = np.concatenate([one["sweep"][number] for one in kept])
        assert row["rows"] == len(truth)
        assert row["auc"] == pytest.approx(roc_auc_score(truth, logit), abs=1e-6)


def test_another_world_is_called_that_before_the_upload_line(finished):
    home, _ = finished
    for path in (home / "folds" / "one").glob("convnext/fold*/test.csv"):
        table = pd.read_csv(path)
        oof = pd.read_csv(path.with_name("oof.csv"))["logit"]
        logit = oof.mean() + np.linspace(-0.01, 0.01, len(table)) * oof.std()  # neither class looks like that
        table.assign(logit=logit, prob=1 / (1 + np.exp(-logit))).to_csv(path, index=False)
        sign(path)
    printed = done_inside(home, "ensemble", "name=one")
    assert printed.index("ANOTHER WORLD: Do not believe the CV score") < printed.index("Upload ")


def test_a_declared_rate_is_the_submissions_own(finished, tmp_path):
    home = shutil.copytree(finished[0], tmp_path / "home")
    printed = done_inside(home, "ensemble", "name=one", "threshold=prior:0.25")
    assert pd.read_csv(home / "submissions" / "submission.csv")["label"].mean() == pytest.approx(0.25, abs=0.01)
    assert "Threshold   prior:0.25" in printed


def test_two_members_without_a_test_set_are_scored_all_the_same(copies, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    words = [word for word in FAST if not word.startswith("members=")]
    others = [f"members.{name}=null" for name in ("convnext", "swin", "resnet96")]
    printed = done_inside(home, *words, f"data={copies}", "name=x", *others)
    assert "There is no test set in the data" in printed and "World " not in printed and "Blend " in printed


def test_a_full_audit_is_not_replaced_by_the_quick_one_of_a_run(finished):
    home, _ = finished
    done_inside(home, "audit", "name=one")
    path = home / "folds" / "one" / "audit" / "audit.json"
    full = path.read_bytes()
    assert json.loads(full)["depth"] == "full"
    done_inside(home, "ensemble", "name=one")
    assert path.read_bytes() == full


@pytest.fixture(scope="module")
def strange(tmp_path_factory):
    """A test set that shares nothing with the demo's: 60 pictures of coloured noise."""
    root = tmp_path_factory.mktemp("strange")
    random = np.random.default_rng(0)
    names = [f"{row}.png" for row in range(60)]
    for name in names:
        cv2.imwrite(str(root / name), random.integers(0, 256, (64, 64, 3), np.uint8))
    (root / "test.csv").write_text("id\n" + "".join(f"{name}\n" for name in names))
    return root


def test_another_test_set_has_its_verdict_before_its_submission_is_written(finished, strange, tmp_path):
    home, _ = finished
    out = tmp_path / "answers.csv"
    printed = done_inside(home, "predict", "name=one", f"test={strange}", f"out={out}")
    assert printed.index("ANOTHER WORLD") < printed.index("Unlike ") < printed.index("Submission ")
    images = pd.read_csv(tmp_path / "answers_images.csv")
    assert images["id"].tolist() == pd.read_csv(out)["id"].tolist() == [f"{row}.png" for row in range(60)]
    assert images["unlike"].between(0, 100).all() and images["unlike"].median() > 50
    assert images["prob"].between(0, 1).all()


def test_a_picture_is_told_how_unlike_the_known_ones_it_is(finished, strange):
    home, _ = finished
    known = next((home / "data").iterdir()) / "test_data_v2"
    words = ["predict", "name=one", str(known), str(strange / "0.png")]
    answers = json.loads(done_inside(home, *words, "format=json"))["answers"]
    *usual, odd = (answer["unlike"] for answer in answers)
    assert len(usual) == 120 and 30 < np.median(usual) < 70
    assert 0 <= odd <= 100
