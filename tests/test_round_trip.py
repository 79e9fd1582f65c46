"""From nothing to a scored submission on Kaggle's stand-in, by the lines that the README names."""

import csv
import json
import shlex
from pathlib import Path

import numpy as np
import pytest

from competition.scoring.leaderboard_metric import find_metric
from tests.kaggle_world import World
from tests.standin import scoring

SLUG = "real-or-drawn"
SMALL = [
    "members=null",
    "backbone=resnet18",
    "backbone_args={channels: [4, 8, 8, 8]}",
    "image_size=32",
    "epochs=2",
    "batch_size=8",
    "jobs=1",
    "threads=1",
    "precision=fp32",
    "report=false",
]


def words_after(label: str, printed: str) -> list[str]:
    """Return the words of the line that a command says is next."""
    line = next(line for line in printed.splitlines() if line.startswith(label))
    return shlex.split(line.partition("./run.sh ")[2])


@pytest.mark.slow
def test_download_train_submit_score_and_ledger_by_the_lines_that_each_says_are_next(
    kaggle_world: World, tmp_path: Path
):
    world, home = kaggle_world, tmp_path
    world.add_demo(SLUG, scenes=(30, 12), public_fraction=0.5)
    downloaded = world.telltale(home, "download", f"competition={SLUG}")
    assert downloaded.returncode == 0, downloaded.stderr
    assert "60 training images" in downloaded.stdout and "24 test images" in downloaded.stdout

    trained = world.telltale(home, *words_after("Next", downloaded.stdout), *SMALL)
    assert trained.returncode == 0, trained.stderr

    submitted = world.telltale(home, *words_after("Upload", trained.stdout), "yes=true")
    assert submitted.returncode == 0, submitted.stderr
    [accepted] = world.submissions(SLUG)
    assert accepted.path.read_bytes() == (home / "submissions/submission.csv").read_bytes()
    assert accepted.public in submitted.stdout

    kept = world.telltale(home, "ledger")
    assert kept.returncode == 0, kept.stderr
    with open(home / "submissions/ledger.csv", newline="", encoding="utf-8") as file:
        [row] = csv.DictReader(file)
    assert row["ref"] == str(accepted.ref) and float(row["public"]) == float(accepted.public)
    assert (home / "submissions/ledger.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("setting", "settled", "theirs"),
    [
        ("accuracy", "accuracy", scoring.ACCURACY),
        ("auc", "auc", scoring.AUC),
        ("auto", "log_loss", scoring.LOG_LOSS),  # for the sample submission holds 0.5
    ],
)
def test_what_another_metric_scores_is_submitted_and_scored_as_was_said(
    kaggle_world: World, tmp_path: Path, setting: str, settled: str, theirs: str
):
    world, home = kaggle_world, tmp_path
    world.add_demo(SLUG, scenes=(30, 12), public_fraction=0.5, metric=theirs)
    data = f"data={world.folder / 'competitions' / SLUG / 'data'}"
    words = [data, f"competition={SLUG}", "name=mine", f"metric={setting}", "fold=0..4", *SMALL]
    trained = world.telltale(home, *words)
    assert trained.returncode == 0, trained.stderr
    title = find_metric(settled).title
    assert f"mine: {title}, cross-fitted" in trained.stdout
    assert ("Threshold" in trained.stdout) == (settled == "accuracy")
    with open(home / "submissions/submission.csv", newline="") as file:
        cells = [row["label"] for row in csv.DictReader(file)]
    assert (set(cells) <= {"0", "1"}) == (settled == "accuracy") and all(0 <= float(cell) <= 1 for cell in cells)

    submitted = world.telltale(home, "submit", "name=mine", "yes=true")
    assert submitted.returncode == 0, submitted.stderr
    assert "are not the same thing" not in submitted.stdout  # Kaggle's metric is the run's
    [accepted] = world.submissions(SLUG)
    [card] = [json.loads(path.read_text()) for path in (home / "submissions/mine").glob("*.json")]
    assert card["metric"] == settled and f"CV {title} {list(card['cv'].values())[-1][settled]:.4f}" in submitted.stdout
    whole = (float(accepted.public) + float(accepted.private)) / 2  # both are half of the test set
    low, high = card["leaderboard_range"]
    assert low - 0.1 <= whole <= high + 0.1 and np.isfinite(whole)
    # The other kind of answer is refused before anything is sent.
    refused = world.telltale(
        home, "submit", "name=mine", "metric=f1" if settled != "accuracy" else "metric=auc", "yes=true"
    )
    assert (refused.returncode == 2) == (settled != "accuracy") and len(world.submissions(SLUG)) == 1
