"""A clean data set of small drawn pictures, to be spoilt one thing at a time before it is written."""

import io
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from PIL import Image

from competition.audit.examine import audit
from competition.audit.findings import Audit
from competition.data.layouts.dataset import Dataset
from competition.data.layouts.read import read_dataset


@dataclass(frozen=True)
class Picture:
    """One file. What it shows follows from ``scene``; pictures of other scenes have nothing in common."""

    name: str
    label: int
    scene: int
    quality: int
    format: str = "JPEG"
    save: dict = field(default_factory=dict)
    raw: bytes | None = None  # instead of a picture


def clean(n: int = 160, n_test: int = 60, seed: int = 0) -> tuple[list[Picture], list[Picture]]:
    """Return train and test pictures of which nothing but the label says what the label is."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n + n_test) % 2)
    names, qualities = rng.bytes(16 * (n + n_test)).hex(), rng.integers(80, 96, n + n_test)
    rows = [
        Picture(f"{names[32 * row : 32 * row + 32]}.jpg", int(labels[row]), 10_000 * seed + row, int(qualities[row]))
        for row in range(n + n_test)
    ]
    return rows[:n], rows[n:]


def spoil(pictures: list[Picture], which, **changes) -> tuple[list[Picture], set[str]]:
    """Return pictures with those for which ``which(row, picture)`` is true changed, and the ids of these."""
    chosen = [which(row, picture) for row, picture in enumerate(pictures)]
    changed = []
    for yes, picture in zip(chosen, pictures, strict=True):
        values = {name: value(picture) if callable(value) else value for name, value in changes.items()}
        changed.append(replace(picture, **values) if yes else picture)
    return changed, {f"train_data/{picture.name}" for yes, picture in zip(chosen, changed, strict=True) if yes}


def exif(**tags: str) -> dict:
    """Return what saves a file with these EXIF tags."""
    made = Image.Exif()
    for name, value in tags.items():
        made[{"software": 305, "make": 271, "description": 270}[name]] = value
    return {"exif": made.tobytes()}


def draw(scene: int, side: int = 64) -> np.ndarray:
    blocks = np.random.default_rng(scene).integers(0, 256, (8, 8, 3), np.uint8)
    return np.asarray(Image.fromarray(blocks).resize((side, side), Image.Resampling.BICUBIC))


def file_of(picture: Picture) -> bytes:
    """Return the bytes of a picture's file."""
    if picture.raw is not None:
        return picture.raw
    buffer = io.BytesIO()
    Image.fromarray(draw(picture.scene)).save(buffer, picture.format, quality=picture.quality, **picture.save)
    return buffer.getvalue()


def write(root: Path, train: list[Picture], test: list[Picture]) -> Dataset:
    """Write the pictures in the Kaggle layout and read them as a run does."""
    for folder, pictures in (("train_data", train), ("test_data", test)):
        (root / folder).mkdir(parents=True)
        for picture in pictures:
            (root / folder / picture.name).write_bytes(file_of(picture))
    rows = "".join(f"train_data/{picture.name},{picture.label}\n" for picture in train)
    (root / "train.csv").write_text("file_name,label\n" + rows)
    if test:
        (root / "test.csv").write_text("id\n" + "".join(f"test_data/{picture.name}\n" for picture in test))
    return read_dataset(root)


def audited(folder: Path, train: list[Picture], test: list[Picture], depth: str = "full", folds=None) -> Audit:
    """Write the pictures into ``folder`` and audit them."""
    return audit(write(folder / "data", train, test), folder / "cache", depth, folds)


def flagged(found: Audit) -> set[str]:
    """Return the names of all findings but notes."""
    return {finding.name for finding in found.findings if finding.level != "note"}
