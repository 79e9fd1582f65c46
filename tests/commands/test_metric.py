"""Any metric, from the command line: what a run submits for it, says of it, and goes on to answer for other images."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import brier_score_loss, log_loss, matthews_corrcoef, roc_auc_score

from competition.scoring.arrays import logit
from tests.running import TINY, done_inside, inside, once

LINE = [*TINY, "name=mine", "demo.train_scenes=60", "demo.test_scenes=60", "epochs=4"]
LINE = [word for word in LINE if word not in ("demo.train_scenes=30", "demo.test_scenes=12", "epochs=2")]
THEIRS = {
    "log_loss": lambda label, answer: log_loss(label, answer),
    "brier": lambda label, answer: brier_score_loss(label, answer),
    "auc": lambda label, answer: roc_auc_score(label, answer),
    "mcc": lambda label, answer: matthews_corrcoef(label, answer),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A finished run of two small members."""
    return once(tmp_path_factory, "metric", lambda home: done_inside(home, *LINE))[0]


@pytest.fixture
def home(made, tmp_path):
    return shutil.copytree(made, tmp_path / "home")


def answers(home):
    table = pd.read_csv(home / "submissions/submission.csv", dtype={"id": str})
    (labels,) = (home / "data").glob("*/test_labels.csv")
    truth = pd.read_csv(labels, dtype={"id": str}).set_index("id")["label"][table["id"]]
    return truth.to_numpy(), table["label"].to_numpy()


def card_of(home):
    paths = sorted((home / "submissions/mine").glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
    return json.loads(paths[-1].read_text())


@pytest.mark.parametrize(
    "metric", ["log_loss", "mcc", *(pytest.param(one, marks=pytest.mark.slow) for one in ("brier", "auc"))]
)
def test_a_run_is_answered_for_another_metric_without_training(home, metric):
    printed = done_inside(home, "ensemble", "name=mine", f"metric={metric}", "report=true")
    truth, answer = answers(home)
    (said,) = [line for line in printed.splitlines() if line.startswith("Leaderboard ")]
    assert f" {THEIRS[metric](truth, answer):.4f} on the labels kept aside" in said
    card = card_of(home)
    assert card["metric"] == metric and set(card["cv"]) == {"convnext", "swin", "ensemble"}
    low, high = card["cv_interval"]
    assert low <= card["cv"]["ensemble"][metric] <= high
    measured = json.loads((home / "folds/mine/report/metrics.json").read_text())
    assert measured["cv"]["ensemble"]["value"] == pytest.approx(card["cv"]["ensemble"][metric], abs=1e-6)
    assert measured["test"]["ensemble"]["value"] == pytest.approx(THEIRS[metric](truth, answer), abs=1e-4)
    assert (home / "folds/mine/report/threshold.png").exists() == (metric == "mcc")
    assert all(row["difference"] is not None and "value" in row for row in card["without"])
    # The same line again changes nothing.
    before = sorted((home / "submissions").rglob("*.csv"))
    done_inside(home, "ensemble", "name=mine", f"metric={metric}", "report=true")
    assert sorted((home / "submissions").rglob("*.csv")) == before


@pytest.mark.slow
def test_probabilities_keep_the_models_order_and_follow_a_declared_share(home):
    done_inside(home, "ensemble", "name=mine", "metric=auc")
    _, raw = answers(home)
    done_inside(home, "ensemble", "name=mine", "metric=log_loss")
    _, plain = answers(home)
    printed = done_inside(home, "ensemble", "name=mine", "metric=log_loss", "threshold=prior:0.2")
    _, moved = answers(home)
    assert "moved to 20.0% of class 1" in printed and moved.mean() < plain.mean()
    order = np.argsort(raw, kind="stable")
    assert (np.diff(plain[order]) >= 0).all() and (np.diff(moved[order]) >= 0).all()
    inner = (plain > plain.min()) & (plain < plain.max()) & (moved > moved.min()) & (moved < moved.max())
    shift = logit(moved, 1e-9)[inner] - logit(plain, 1e-9)[inner]
    assert shift == pytest.approx(np.full(shift.size, logit(0.2, 1e-9)), abs=1e-4)  # half of the training rows are of 1


@pytest.mark.slow
def test_the_runs_test_set_is_answered_again_with_the_same_probabilities(home, tmp_path):
    done_inside(home, "ensemble", "name=mine", "metric=log_loss")
    _, wanted = answers(home)
    (data,) = [path.parent for path in (home / "data").glob("*/train.csv")]
    out = tmp_path / "again.csv"
    done_inside(home, "predict", "name=mine", f"test={data}", f"out={out}")
    assert pd.read_csv(out)["label"].to_numpy() == pytest.approx(wanted, abs=2e-3)
    said = done_inside(home, "predict", "name=mine", str(next((data / "test_data_v2").iterdir())))
    assert "Log-loss of these models on images they had not seen" in said


def test_the_submissions_column_has_the_name_that_is_given(home):
    done_inside(home, "ensemble", "name=mine", "target=is_ai")
    assert list(pd.read_csv(home / "submissions/submission.csv")) == ["id", "is_ai"]


@pytest.mark.slow
def test_auto_goes_by_the_sample_submission(home):
    (data,) = [path.parent for path in (home / "data").glob("*/train.csv")]
    ids = pd.read_csv(home / "submissions/submission.csv", dtype={"id": str})["id"]
    sample = data / "sample_submission.csv"
    line = ["ensemble", "config=folds/mine/config.yaml", f"data={data}", "demo.draw=false"]
    for answer, said in ((0, "metric=auto is f1, for the sample"), (0.5, "metric=auto is log_loss, for the sample")):
        pd.DataFrame({"id": ids, "label": answer}).to_csv(sample, index=False)
        assert said in done_inside(home, *line, "metric=auto")
    assert answers(home)[1].dtype == float and card_of(home)["metric"] == "log_loss"
    assert "the sample submission holds the probability 0.5" in done_inside(home, *line, "metric=f1")
    refused = inside(home, *line, "target=other")
    assert refused.returncode == 2 and "target=other is not the column of" in refused.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["metric=f2"], "metric=f2 is not a known metric"),
        (["metric=fbeta:0"], "metric=fbeta:0 needs a number from 0.01 to 100"),
        (["metric=auc", "threshold=0.5"], "threshold=0.5 goes with labels, and metric=auc submits probabilities"),
        (["metric=brier", "threshold=em"], "threshold=em goes with labels"),
    ],
)
def test_what_does_not_go_together_is_one_sentence(tmp_path, words, said):
    refused = inside(tmp_path, *TINY, *words)
    assert refused.returncode == 2 and said in refused.stderr and refused.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())
