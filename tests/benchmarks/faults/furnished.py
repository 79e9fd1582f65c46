"""What stands in the home of every case: small data sets in each layout, two finished runs and half a third, a bundle,
ONNX files, submissions with their cards, and a ledger.
"""

import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import yaml
from PIL import Image

from competition.kaggle.submission.figures import Figures
from competition.kaggle.submission.ledger import COMPLETE, new_row, open_ledger
from tests.running import KILLED

SETTINGS = {
    "data": "sets/csv",
    "folds": 2,
    "epochs": 2,
    "image_size": 32,
    "batch_size": 8,
    "evidence_rows": 8,
    "tta": "none",
    "report": False,
    "checkpoint_seconds": 0,
    "jobs": 1,
    "threads": 1,
    "members": {
        "plain": {"backbone": "small_cnn", "backbone_args": {"widths": [4, 8, 8, 8]}},
        "noise": {"backbone": "small_cnn", "backbone_args": {"widths": [4, 8, 8, 8]}, "view": "residual"},
    },
}
LINES = (
    ["config=sets/tiny.yaml", "name=tiny", "competition=contest"],
    ["config=sets/tiny.yaml", "name=other", "lr=1e-3"],
    ["export", "name=tiny"],
    ["bundle", "name=tiny", "owner=me"],
)
HALF = [
    "config=sets/tiny.yaml",
    "name=half",
]  # killed before its second model is written: it goes on from a resume point


def furnish(home: Path, run: Callable) -> None:
    """Fill an empty home; ``run`` is given the words of a command line, its patience in seconds, and code to run."""
    draw(home / "sets", np.random.default_rng(0))
    (home / "sets/tiny.yaml").write_text(yaml.safe_dump(SETTINGS, sort_keys=False))
    (home / "sets/addresses.txt").write_text("http://127.0.0.1:9/a.png\n")
    for words in LINES:
        ended = run(words, 300)
        assert ended.status == 0, f"{words}: {ended.out}{ended.err}"
    ended = run(["competition.training.job", "save_weights", "2", "before", *HALF], 300, KILLED)
    assert ended.status == -signal.SIGKILL, f"not killed: {ended.out}{ended.err}"
    (home / "folds/half/.lock").unlink(missing_ok=True)  # which the next line would tidy away, refused or not
    with open_ledger(home / "submissions") as rows:
        for number in range(3):
            figures = Figures(name="tiny", positive_rate=0.5)
            row = new_row(figures, "contest", "submissions/submission.csv", f"{number:016x}")
            row |= {"time": f"2026-01-0{number + 1}T00:00:00Z", "ref": str(100 + number), "status": COMPLETE}
            rows.append(row | {"public": f"0.9{number}", "cv": "0.95", "message": "tiny, CV 0.95"})


def draw(folder: Path, rng: np.random.Generator) -> None:
    """Draw the data sets: csv/ (Kaggle's layout), classes/ (a folder for each class) and pixels/ (a pixel CSV)."""
    rows = {"train": 32, "test": 10}
    for part, count in rows.items():
        table = ["id,label"] if part == "train" else ["id"]
        for number in range(count):
            label = number % 2
            image = _image(rng, label)
            places = [folder / "csv" / part, folder / "classes" / part / (("real", "ai")[label])]
            for place in places if part == "train" else [places[0], folder / "classes" / part]:
                place.mkdir(parents=True, exist_ok=True)
                image.save(place / f"{part}{number}.png")
            table.append(f"{part}{number}.png,{label}" if part == "train" else f"{part}{number}.png")
        (folder / "csv" / f"{part}.csv").write_text("\n".join(table) + "\n")
        _write_pixels(folder / "pixels", part, count, rng)


def _write_pixels(folder: Path, part: str, count: int, rng: np.random.Generator) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = [f"pixel{number}" for number in range(48)]
    lines = [",".join(["id", *names, *(["label"] if part == "train" else [])])]
    for number in range(count):
        cells = [f"{value:.3f}" for value in rng.normal(number % 2, 1, len(names))]
        lines.append(",".join([str(number), *cells, *([str(number % 2)] if part == "train" else [])]))
    (folder / f"{part}.csv").write_text("\n".join(lines) + "\n")


def _image(rng: np.random.Generator, label: int) -> Image.Image:
    smooth = np.linspace(0, 200, 36)[None, :, None] * rng.uniform(0.3, 1, (1, 1, 3)) * np.ones((36, 1, 1))
    noise = rng.integers(0, 200 if label else 20, (36, 36, 3))
    return Image.fromarray((smooth + noise).clip(0, 255).astype(np.uint8))
