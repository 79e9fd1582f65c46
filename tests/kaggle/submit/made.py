"""A small competition, and runs on it with their cards, without training: written by the product's own functions."""

from pathlib import Path

import numpy as np

from competition.core.config import CONFIG_FILE, load_config
from competition.core.config_forms import as_yaml
from competition.core.files import write_text
from competition.kaggle.submission.write import submission_bytes, write_submission

SLUG = "cats"
IDS = [f"test/{number:02}.png" for number in range(40)]
SOLUTION = {one: number % 2 for number, one in enumerate(IDS)}
ORDER = IDS[::-1]  # the sample's, which is another than test.csv's

FILES = {
    "train.csv": b"id,label\n" + b"".join(b"train/%d.png,%d\n" % (row, row % 2) for row in range(8)),
    "test.csv": "\n".join(["id", *IDS, ""]).encode(),
    "sample_submission.csv": "\n".join(["id,label", *(f"{one},0" for one in ORDER), ""]).encode(),
}


def content(wrong: int = 0) -> bytes:
    """Return a submission in the sample's order with so many wrong labels."""
    label = np.array([SOLUTION[one] for one in ORDER])
    label[:wrong] ^= 1
    return submission_bytes(ORDER, label, ("id", "label"))


def make_data(home: Path) -> Path:
    """Leave the competition's tables in home/data, without images; return the folder."""
    data = home / "data"
    data.mkdir(exist_ok=True)
    for file, written in FILES.items():
        (data / file).write_bytes(written)
    return data


def make_run(
    home: Path,
    name: str,
    wrong: int = 0,
    cv: float = 0.9,
    verdict: str = "same world",
    slug: str = SLUG,
    reach: float = 0.2,
) -> bytes:
    """Leave a finished run's settings, submission and card in ``home``, whose data lies in home/data; return the bytes.

    The leaderboard range reaches ``reach`` to both sides of ``cv``.
    """
    data = make_data(home)
    config = load_config(["preset=small", f"data={data}", f"name={name}", *([f"competition={slug}"] if slug else [])])
    write_text(home / "folds" / name / CONFIG_FILE, as_yaml(config))
    evidence = [
        {"name": "mixture", "sentence": "The scores are no mixture of both classes.", "alarming": True, "value": 1}
    ]
    world = {"verdict": verdict, "remedy": "Do not believe the CV score.", "prior": None, "evidence": evidence}
    finding = {"name": "metadata-shortcut", "level": "warning", "what": "Sizes tell.", "remedy": "Save alike."}
    card = {
        "name": name,
        "competition": slug,
        "cv": {"convnext": {"f1": cv - 0.01}, "ensemble": {"f1": cv}},
        "cv_interval": [cv - 0.02, cv + 0.02],
        "leaderboard_range": [cv - reach, cv + reach],
        "public_fraction": 0.5,
        "threshold": {"value": 0.4747},
        "world": world,
        "audit": {"honest": True, "findings": [finding]},
        "predicted_positive_rate": {"oof": 0.5, "test": 0.5},
        "rows": {"train": 8, "test": 40},
    }
    made = content(wrong)
    write_submission(home / "submissions", name, made, card, {"git_commit": "914df0b8d428048f580bd317b166d93f47a2dcf3"})
    return made
