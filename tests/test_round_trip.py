"""From nothing to a scored submission on Kaggle's stand-in, by the lines that the README names."""

import csv
import shlex
from pathlib import Path

import pytest

from tests.kaggle_world import World

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
