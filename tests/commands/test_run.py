"""The main job, whole, cut and killed: the same bytes every time."""

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import numpy as np
import pandas as pd
import pytest
import torch
from filelock import FileLock
from safetensors.numpy import load_file
from safetensors.torch import save_file
from sklearn.metrics import f1_score

from competition.training.resume import load_resume
from tests.closing_table import recomputed
from tests.running import ROOT, TINY, done, done_inside, environment, everything, inside, killed, once, outcome

NAME = "demo-0-30-12"
WHOLE = [word for word in TINY if word != "report=false"]


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """One uninterrupted run: its home, what it printed and the bytes it left."""
    home, printed = once(tmp_path_factory, "straight", lambda home: done(home, *WHOLE, "fold=0..2"))
    return home, printed, outcome(home)


@pytest.fixture
def copied(straight, tmp_path):
    """A copy of the finished run to change."""
    subprocess.run(["cp", "-a", f"{straight[0]}/.", tmp_path], check=True)
    return tmp_path


def unfinished(home, *jobs):
    """Take these jobs and the submission out of a finished run."""
    for job in jobs:
        shutil.rmtree(home / "folds" / NAME / job)
    shutil.rmtree(home / "submissions")


def test_the_main_job_leaves_a_valid_submission_and_says_what_it_is_worth(straight):
    home, printed, _ = straight
    test = pd.read_csv(home / "data" / NAME / "test.csv")
    table = pd.read_csv(home / "submissions" / "submission.csv")
    assert list(table.columns) == ["id", "label"] and table["id"].tolist() == test["id"].tolist()
    assert set(table["label"]) <= {0, 1} and str(table["label"].dtype) == "int64"
    for word in (
        "convnext",
        "swin",
        "ensemble",
        "interval",
        "leaderboard",
        "threshold",
        "./run.sh submit",
        "on the labels kept aside",
    ):
        assert word in printed
    assert not list(home.rglob("resume.pt")) and not list(home.rglob("*.tmp"))
    report = home / "folds" / NAME / "report"
    assert {p.stem for p in report.glob("*.png")} == {
        "epoch_training_curves",
        "batch_training_curves",
        "roc_curve",
        "pr_curve",
        "confusion_matrix",
        "threshold",
        "calibration",
        "agreement",
        "mistakes",
        "shift",
        "robustness",
    }
    assert {p.name for p in report.iterdir()} >= {"metrics.json", "report.html"}


def test_the_card_and_the_printed_leaderboard_score_are_those_of_the_files(straight):
    home, printed, _ = straight
    (card,) = (json.loads(path.read_text()) for path in (home / "submissions" / NAME).glob("*.json"))
    submitted = pd.read_csv(home / "submissions" / "submission.csv").set_index("id")["label"]
    truth = pd.read_csv(home / "data" / NAME / "test_labels.csv").set_index("id")["label"]
    assert f"Leaderboard F1 {f1_score(truth, submitted[truth.index]):.4f}" in printed
    low, high = card["cv_interval"]  # rounded to six digits
    assert low - 1e-6 <= card["cv"]["ensemble"]["f1"] <= high + 1e-6


def test_every_number_of_the_closing_table_follows_from_oof_and_test_csv(straight):
    home, printed, _ = straight
    (card,) = (home / "submissions" / NAME).glob("*.json")
    scores = recomputed(home / "folds" / NAME, card)
    assert list(scores) == ["convnext", "swin", "ensemble"]
    for name, score in scores.items():
        line = next(line for line in printed.splitlines() if line.startswith(f"{name} ") and line.count("0.") > 8)
        figures, (low, high), (least, most) = score.figures, score.interval, score.leaderboard
        assert line.split()[1:-1] == [
            f"{figures['f1']:.4f}",
            f"{low:.3f}-{high:.3f}",
            f"{least:.3f}-{most:.3f}",
            f"{figures['auc']:.4f}",
            f"{figures['log_loss']:.4f}",
            f"{score.threshold:.4f}",
            f"{figures['precision']:.4f}",
            f"{figures['recall']:.4f}",
            f"{figures['predicted_positive_rate']:.1%}",
            f"{score.test_rate:.1%}",
        ]


def test_no_group_crosses_folds_and_no_row_judges_itself(straight):
    home, _, _ = straight
    folds = pd.read_csv(home / "folds" / NAME / "folds.csv")
    assert (folds.groupby("group")["fold"].nunique() == 1).all()
    for path in (home / "folds" / NAME).glob("*/fold*/oof.csv"):
        oof = pd.read_csv(path)
        assert set(oof["fold"]) == {int(path.parent.name.removeprefix("fold"))}
        assert set(oof["id"]) == set(folds["id"][folds["fold"] == oof["fold"][0]])


def test_run_again_changes_nothing(straight):
    home, printed, _ = straight
    before = everything(home)
    again = done_inside(home, *WHOLE, "fold=0..2")
    assert everything(home) == before
    assert again.splitlines()[-1] == printed.splitlines()[-1]


def test_the_name_alone_goes_on_with_the_runs_own_settings(straight, tmp_path):
    home, _, _ = straight
    before = everything(home)
    assert done_inside(home, f"name={NAME}").count("Submission") == 1
    assert everything(home) == before
    subprocess.run(["cp", "-a", f"{home}/.", tmp_path], check=True)
    report = tmp_path / "folds" / NAME / "report"
    pictures = {path.name: path.read_bytes() for path in report.iterdir()}
    facts = {path: before[path] for path in before if "/report/" not in path}
    done_inside(tmp_path, "report", f"name={NAME}", "threshold=0.9")
    assert {path: fact for path, fact in everything(tmp_path).items() if "/report/" not in path} == facts
    shutil.rmtree(report)
    assert "Submission" not in done_inside(tmp_path, "report", f"name={NAME}")
    assert {path.name: path.read_bytes() for path in report.iterdir()} == pictures


def test_a_run_judges_pictures_as_it_judged_its_test_set(straight):
    home, _, bytes_of = straight
    answers = json.loads(done_inside(home, "predict", f"name={NAME}", "format=json", f"data/{NAME}/test_data_v2"))[
        "answers"
    ]
    submitted = pd.read_csv(io.BytesIO(bytes_of["submissions/submission.csv"])).set_index("id")["label"]
    assert len(answers) == len(submitted)
    for answer in answers:
        name = answer["file"].split(f"{NAME}/")[1]
        assert submitted[name] == (answer["verdict"] == "AI-made") == (answer["probability"] >= answer["threshold"])
    for member in ("convnext", "swin"):
        tables = [
            pd.read_csv(io.BytesIO(content)).set_index("id")["logit"]
            for path, content in bytes_of.items()
            if f"/{member}/" in path and path.endswith("test.csv")
        ]
        prob = 1 / (1 + np.exp(-sum(tables) / len(tables)))
        for answer in answers:  # the batches differ, so the last digits may; bf16 has few
            assert answer[member] == pytest.approx(prob[answer["file"].split(f"{NAME}/")[1]], abs=2e-3)


def test_fold_by_fold_ends_in_the_same_bytes_and_says_which_line_completes_it(straight, tmp_path):
    first = done_inside(tmp_path, *TINY, "fold=0")
    assert "for want of rows to tune it on" in first and "To complete the submission: ./run.sh" in first
    assert "fold=1..2" in first and not (tmp_path / "submissions").exists()
    done_inside(tmp_path, *TINY, "fold=1..2")
    assert outcome(tmp_path) == straight[2]


KILLS = {
    "in mid-epoch, with workers": ("convnext/fold1", "torch.optim", "AdamW.step", 3, "before"),
    "in the second member's last epoch": ("swin/fold2", "torch.optim", "AdamW.step", 8, "before"),
    "while a resume point is written": ("swin/fold0", "torch", "save", 1, "half"),
    "between weights and predictions": ("swin/fold0", "competition.inference.learner", "predict_logits", 1, "before"),
    "between predictions and evidence": (
        "convnext/fold0",
        "competition.training.job_run",
        "write_diagnostics",
        1,
        "before",
    ),
    "while the evidence is written": ("swin/fold1", "competition.inference.diagnostics", "_pack", 1, "half"),
    "before a job is declared done": ("convnext/fold2", "competition.training.job", "write_record_file", 2, "before"),
    "before the submission": ("convnext/fold2", "competition.kaggle.submission.write", "atomic_write", 1, "before"),
    "between submission and card": (
        "swin/fold2",
        "competition.kaggle.submission.write",
        "write_record_file",
        1,
        "before",
    ),
    "between the card and the copy": ("swin/fold2", "competition.kaggle.submission.write", "_copy_latest", 1, "before"),
}


# Each stage of a run is killed once in ./run.sh test, its other moments in ./run.sh test all.
ESSENTIAL = ("in mid-epoch, with workers", "while a resume point is written", "between submission and card")
MOMENTS = [pytest.param(moment, marks=[] if moment in ESSENTIAL else pytest.mark.slow) for moment in KILLS]


def killed_and_run_again(home, at, same, resumed=False):
    killed(home, at, *TINY, "workers=2", "fold=0..2")
    assert outcome(home, whole=False) != same
    points = [load_resume(path) for path in home.rglob("resume.pt")]
    assert all(point["epoch"] for point in points) and (points or not resumed)
    done_inside(home, *TINY, "workers=1", "fold=0..2")
    assert outcome(home) == same
    assert len(list((home / "submissions" / NAME).glob("*.csv"))) == 1
    assert not list(home.rglob("resume.pt"))


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_run_killed_in_a_job_or_at_its_end_and_run_again_ends_in_the_same_bytes(straight, copied, moment):
    job, *at = KILLS[moment]
    unfinished(copied, job)
    killed_and_run_again(copied, at, straight[2], resumed="last epoch" in moment)


def test_a_resume_point_goes_before_its_job_is_done_and_never_outlives_it(copied):
    job, *at = KILLS["before a job is declared done"]
    unfinished(copied, job)
    killed(copied, at, *TINY, "fold=0..2")
    assert (copied / "folds" / NAME / job / "done.json").exists() and not list(copied.rglob("resume.pt"))


def test_a_run_killed_while_the_cache_is_built_and_run_again_ends_in_the_same_bytes(straight, tmp_path):
    killed_and_run_again(tmp_path, ("competition.data.images.stores", "fit_store", 25, "before"), straight[2])


def begun(home, *jobs):
    """Whether one of these jobs has trained for an epoch."""
    return any((home / "folds" / NAME / job / "history.jsonl").exists() for job in jobs)


@pytest.mark.slow
def test_jobs_side_by_side_die_with_a_killed_parent_and_are_gone_on_with(straight, copied):
    words = [word if word != "jobs=1" else "jobs=2" for word in TINY]
    tmp_path, jobs = copied, ("convnext/fold0", "swin/fold1")
    unfinished(copied, *jobs)
    process = subprocess.Popen(
        [sys.executable, "-m", "competition", *words, "fold=0..2"],
        env=environment(tmp_path),
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not begun(tmp_path, *jobs):
        assert process.poll() is None
        time.sleep(0.01)
    listed = subprocess.run(["ps", "-o", "pid=", "--ppid", str(process.pid)], capture_output=True, text=True)
    children = [int(pid) for pid in listed.stdout.split()]
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    deadline = time.monotonic() + 10
    while any(os.path.exists(f"/proc/{pid}") for pid in children) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert children and not any(os.path.exists(f"/proc/{pid}") for pid in children)
    done_inside(tmp_path, *TINY, "fold=0..2")
    assert outcome(tmp_path) == straight[2]


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_ctrl_c_leaves_a_resumable_run_and_says_so(straight, copied, jobs):
    tmp_path, left = copied, ("convnext/fold1", "swin/fold0")
    unfinished(copied, *left)
    words = [word if word != "jobs=1" else f"jobs={jobs}" for word in TINY]
    process = subprocess.Popen(
        [sys.executable, "-m", "competition", *words, "fold=0..2"],
        env=environment(tmp_path),
        cwd=tmp_path,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not begun(tmp_path, *left):
        assert process.poll() is None
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Interrupted: what is finished is kept" in said and "Traceback" not in said
    done_inside(tmp_path, *TINY, "fold=0..2")
    assert outcome(tmp_path) == straight[2]


def results(home):
    """Everything but the memory of which files are cached, which goes by their paths."""
    return {path: facts for path, facts in everything(home).items() if "/.cache/" not in path}


def weights_of(home):
    return {str(p.relative_to(home)): p.stat().st_mtime_ns for p in home.glob("folds/*/*/*/model.safetensors")}


def test_another_threshold_retrains_nothing(copied):
    before = weights_of(copied)
    done_inside(copied, *TINY, "fold=0..2", "threshold=0.9")
    assert weights_of(copied) == before
    cards = [json.loads(path.read_text()) for path in (copied / "submissions" / NAME).glob("*.json")]
    assert sorted(card["threshold"]["rule"] for card in cards) == ["0.9", "calibrated"]


def test_evidence_that_is_missing_or_of_other_rows_is_made_again_and_trains_nothing(copied, straight):
    before = weights_of(copied)
    for path in copied.glob("folds/*/swin/fold*/evidence.npz"):
        path.unlink()
    done_inside(copied, *TINY, "fold=0..2")
    assert weights_of(copied) == before and outcome(copied) == straight[2]
    done_inside(copied, *TINY, "fold=0..2", "evidence_rows=5")
    changed = {path for path, content in outcome(copied).items() if content != straight[2][path]}
    assert weights_of(copied) == before
    assert len(changed) == 6 and all(path.endswith("evidence.npz") for path in changed)


def test_another_member_trains_itself_alone(copied):
    before = weights_of(copied)
    words = ["members.net.backbone=resnet18", "members.net.backbone_args={channels: [4, 8, 8, 8]}"]
    done_inside(copied, *TINY, "fold=0..2", *words)
    after = weights_of(copied)
    assert {path: after[path] for path in before} == before
    assert len(after) == len(before) + 3


def test_other_test_views_predict_again_and_train_nothing(copied, straight):
    before = weights_of(copied)
    done_inside(copied, *TINY, "fold=0..2", "tta=d4")
    assert weights_of(copied) == before
    changed = outcome(copied)
    assert all(
        changed[path] != content for path, content in straight[2].items() if path.endswith(("oof.csv", "test.csv"))
    )
    done_inside(copied, *TINY, "fold=0..2")
    assert outcome(copied) == straight[2]


def test_a_changed_setting_over_results_is_refused_and_overwrite_starts_again(copied, straight):
    before = results(copied)
    result = inside(copied, *TINY, "fold=0..2", "lr=3e-3")
    assert result.returncode == 2 and "lr was 0.001 and is now 0.003" in result.stderr
    assert "name=" in result.stderr and "overwrite=true" in result.stderr
    assert results(copied) == before
    done_inside(copied, *TINY, "fold=0..2", "lr=3e-3", "overwrite=true")
    assert outcome(copied) != straight[2]


def test_weights_that_do_not_fit_are_refused_before_overwrite_discards_anything(copied):
    save_file({"something": torch.zeros(2, 2)}, copied / "wrong.safetensors")
    before = results(copied)
    result = inside(copied, *TINY, "fold=0..2", "pretrained=wrong.safetensors", "overwrite=true")
    assert result.returncode == 2 and "do not fit" in result.stderr
    assert results(copied) == before


def test_a_refused_line_destroys_nothing_that_stands(copied):
    def standing():  # all but what was computed once and is only added to
        paths = (path for path in copied.rglob("*") if path.is_file() and ".cache" not in path.parts)
        return {path: path.read_bytes() for path in paths}

    before = standing()
    for words in (["seed=1", "pretrained=/nonexistent.pth"], ["seed=1", "batch_size=4", "pseudo=~x"]):
        result = inside(copied, *TINY, "fold=0..2", "overwrite=true", *words)
        assert result.returncode == 2 and result.stderr.startswith("Error: ")
    assert standing() == before


@pytest.mark.parametrize(
    "words",
    [
        ["report", "pseudo=~x"],
        ["ensemble"],
        ["fold=0", "pseudo=~x"],
        ["fold=0", "pretrained=/nonexistent.pth"],
        ["fold=0", "backbone=resnet17"],
        ["fold=0", "label_column=zebra"],
        ["audit", "source=column:zebra"],
        ["fold=0", "folds=31"],
    ],
)
def test_a_refused_first_line_writes_nothing_and_draws_no_demo(tmp_path, words):
    command, rest = ([words[0]], words[1:]) if "=" not in words[0] else ([], words)
    result = inside(tmp_path, *command, *TINY, *rest)
    assert result.returncode == 2 and result.stderr.startswith("Error: ")
    assert tempfile.gettempdir() not in result.stderr.replace(str(tmp_path), "")
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_kept_of_the_audit_refuses_a_line_before_its_folds_are_written(copied):
    for path in (copied / "folds/.cache/audit").iterdir():
        path.unlink()
        path.mkdir()
    result = inside(copied, *TINY, "name=other")
    assert result.returncode == 2 and "Is a directory" in result.stderr
    assert not (copied / "folds/other").exists()


@pytest.mark.slow
def test_overwrite_with_another_seed_makes_other_folds_and_side_by_side_jobs_agree(copied):
    words = [word if word != "jobs=1" else "jobs=2" for word in TINY]
    before = (copied / "folds" / NAME / "folds.csv").read_text()
    done(copied, *words, "members.swin=null", "fold=0..2", "seed=1", "overwrite=true")
    assert (copied / "folds" / NAME / "folds.csv").read_text() != before
    done_inside(copied, *TINY, "members.swin=null", "fold=0..2", "seed=1")


@pytest.mark.slow
def test_several_seeds_and_a_model_on_all_rows_join_the_average(copied, straight):
    before = weights_of(copied)
    printed = done_inside(copied, *TINY, "members.swin=null", "seeds=2", "fold=full")
    after = weights_of(copied)
    assert {path: after[path] for path in before} == before
    record = (copied / "folds" / NAME / "run.json").read_text()
    done_inside(copied, "ensemble", f"name={NAME}")
    assert (copied / "folds" / NAME / "run.json").read_text() == record and "full-seed1" in record
    new = {path.split("/")[-2] for path in set(after) - set(before)}
    assert new == {"fold0-seed1", "fold1-seed1", "fold2-seed1", "full", "full-seed1"}
    assert "ensemble" not in printed
    one, two = (
        load_file(copied / "folds" / NAME / "convnext" / part / "model.safetensors")
        for part in ("fold0", "fold0-seed1")
    )
    assert any((one[key] != two[key]).any() for key in one)


def test_a_dry_run_prints_what_the_full_one_costs_and_keeps_its_results_apart(copied):
    printed = done_inside(copied, *TINY, "fold=0", "limit=24")
    assert "Estimate for all 60 + 24 images" in printed and "hours" in printed and "GB" in printed
    assert (copied / "folds" / f"{NAME}-limit24" / "convnext" / "fold0" / "done.json").exists()


def test_two_runs_of_one_name_do_not_work_at_once(copied, monkeypatch):
    monkeypatch.setattr("competition.commands.run.LOCK_PATIENCE", 0.5)
    with FileLock(copied / "folds" / NAME / ".lock"):
        result = inside(copied, *TINY, "fold=0..2")
    assert result.returncode == 2 and "Another run works in" in result.stderr


def test_the_checkout_is_untouched_by_runs_elsewhere(straight):
    assert not (ROOT / "folds" / NAME).exists()
