"""What an audit may look at, by depth: the tables, the files' contents and headers, the pictures; and what it may not.

``tables`` opens no file. ``quick`` knows the contents of all files and the headers of a sample. ``full`` decodes all.
"""

import os
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd

from competition.audit.scan import scan
from competition.core.files import cores
from competition.data.duplicates.perceptual_hash import SIDE, perceptual_hashes
from competition.data.images.file_contents import file_stats, recall, survey
from competition.data.images.file_facts import KINDS, NUMBERS
from competition.data.images.stores import bytes_digest
from competition.data.layouts.dataset import Dataset, FolderNames

SAMPLE = 5_000  # most files of train, and of test, whose headers a quick audit reads
_DECODED = "that needs every image decoded, as ./run.sh audit does"
_OF_TABLES = "that needs the images"
_NO_FILES = "a pixel CSV has no files"


@dataclass(frozen=True)
class Evidence:
    """Rows of train, then of test, by position; and what is known of them.

    rows: id, set, label (Int64, missing for test), group, path. content: (n,) int64, equal for equal files, -1 for
    broken and missing ones; ``None`` where no file was read. facts: those of
    :mod:`competition.data.images.file_facts` for the positions in its index. hashes (n,), thumbnails (n, 32, 32): of
    all, and ``pictured``: which rows have them. faults: why a row cannot be read. missing: rows whose file is not
    there. unchecked: what was not looked at, and why.
    """

    depth: str
    kind: str
    rows: pd.DataFrame
    content: np.ndarray | None = None
    digests: np.ndarray | None = None
    facts: pd.DataFrame | None = None
    hashes: np.ndarray | None = None
    thumbnails: np.ndarray | None = None
    pictured: np.ndarray | None = None
    faults: Mapping[int, str] = field(default_factory=dict)
    missing: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    unchecked: Mapping[str, str] = field(default_factory=dict)

    @property
    def train(self) -> int:
        """The number of training rows."""
        return int((self.rows["set"] == "train").sum())

    @property
    def train_rows(self) -> pd.DataFrame:
        """The training rows, ``label`` int64."""
        return self.rows.iloc[: self.train].astype({"label": "int64"})

    def select(self, positions: Any, **columns: Any) -> pd.DataFrame:
        """Return id, set and label of rows by position, with what shows the finding beside them."""
        return self.rows[["id", "set", "label"]].iloc[np.asarray(positions)].reset_index(drop=True).assign(**columns)


def gather(dataset: Dataset, cache: Path, depth: str, seed: int) -> Evidence:
    """Return what an audit of this depth sees; ``cache`` is the folder of what is computed once."""
    tables = [part.assign(set=name) for name, part in (("train", dataset.train), ("test", dataset.test))]
    rows = pd.concat(tables, ignore_index=True).reindex(columns=["id", "set", "label", "group", "path"])
    evidence = Evidence(depth, dataset.kind, rows.astype({"label": "Int64"}))
    if dataset.pixels is not None:
        return replace(evidence, **_of_pixels(dataset, depth))
    if depth == "tables":
        names = ("metadata shortcuts", "train against test", "duplicates", "twins", "broken files")
        return replace(evidence, unchecked=dict.fromkeys(names, _OF_TABLES))
    evidence = replace(evidence, missing=_missing(list(rows["path"])))
    if len(evidence.missing) == len(rows):
        names = ("metadata shortcuts", "train against test", "duplicates", "twins", "broken files")
        return replace(evidence, unchecked=dict.fromkeys(names, f"no image is there below {dataset.root}"))
    return _of_files(evidence, cache, seed)


def read_pictures(evidence: Evidence, cache: Path, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the thumbnails (k, 32, 32) of some rows, decoding them if need be, and which of them there are."""
    if evidence.thumbnails is not None:
        return evidence.thumbnails[positions], evidence.pictured[positions]
    paths = evidence.rows["path"].iloc[positions].tolist()
    looked = scan(paths, evidence.digests[positions], cache, True, "possible twins", cores())
    return looked.thumbnails, looked.facts["fault"].isna().to_numpy()


def _missing(paths: list[str]) -> np.ndarray:
    folders = FolderNames()
    split = map(os.path.split, paths)
    return np.flatnonzero([name not in folders[folder] for folder, name in split])


def _of_files(evidence: Evidence, cache: Path, seed: int) -> Evidence:
    workers, parts = cores(), []
    for name, title in (("train", "training images"), ("test", "test images")):
        # The same lists that the pixel cache remembers.
        stats = file_stats(evidence.rows["path"][evidence.rows["set"] == name].tolist())
        parts.append((recall(cache, stats) or survey(cache, stats, title, workers)) if stats else None)
    digests = np.concatenate([part.digests for part in parts if part is not None])
    there = np.setdiff1d(np.arange(len(evidence.rows)), evidence.missing)
    full = evidence.depth == "full"
    chosen = there if full else _sample(evidence, there, seed)
    paths = evidence.rows["path"].to_numpy(object)
    looked = scan(paths[chosen].tolist(), digests[chosen], cache, full, "audit", workers)
    faults = {int(row): why for row, why in zip(chosen, looked.facts["fault"], strict=True) if isinstance(why, str)}
    sizes = np.concatenate([part.sizes for part in parts if part is not None])
    for row in there[(sizes[there] == 0).any(axis=1)]:
        faults.setdefault(int(row), "it has no image header")
    known = digests.any(axis=1)
    known[list(faults)] = False  # empty files are broken, not copies of each other
    content = np.where(known, np.unique(digests, axis=0, return_inverse=True)[1].reshape(-1), -1)
    sound = ~np.isin(chosen, list(faults))
    facts = looked.facts.set_index(chosen)[sound][[*NUMBERS, *KINDS]]
    unchecked = (
        {}
        if full
        else {
            "near-duplicates": _DECODED,
            "broken files beyond their header": _DECODED,
        }
    )
    evidence = replace(evidence, content=content, digests=digests, facts=facts, faults=faults, unchecked=unchecked)
    if not full:
        return evidence
    hashes, pictures = np.zeros(len(paths), np.uint64), np.zeros((len(paths), SIDE, SIDE), np.uint8)
    hashes[chosen], pictures[chosen] = looked.hashes, looked.thumbnails
    pictured = np.zeros(len(paths), bool)
    pictured[chosen[sound]] = True
    return replace(evidence, hashes=hashes, thumbnails=pictures, pictured=pictured)


def _sample(evidence: Evidence, there: np.ndarray, seed: int) -> np.ndarray:
    """Return the positions of at most ``SAMPLE`` rows of each set, chosen by their ids alone, in order."""
    ids = evidence.rows["id"].to_numpy(object)
    chosen = []
    for part in (there[there < evidence.train], there[there >= evidence.train]):
        if len(part) > SAMPLE:
            part = part[np.argsort([zlib.crc32(f"{seed} {one}".encode()) for one in ids[part]], kind="stable")]
        chosen.append(np.sort(part[:SAMPLE]))
    return np.concatenate(chosen)


def _of_pixels(dataset: Dataset, depth: str) -> dict[str, Any]:
    unchecked = dict.fromkeys(("metadata shortcuts", "train against test", "broken files"), _NO_FILES)
    pixels = np.concatenate([part.astype(np.float32) for part in dataset.pixels])
    digests = np.frombuffer(b"".join(bytes_digest(one.tobytes()) for one in pixels), np.uint8).reshape(len(pixels), -1)
    found = {"content": np.unique(digests, axis=0, return_inverse=True)[1].reshape(-1), "digests": digests}
    if depth == "tables":
        return found | {"unchecked": unchecked | {"near-duplicates": _OF_TABLES, "twins": _OF_TABLES}}
    # The hash and the correlation do not depend on the scale, only flatness does: 64 grey levels per unit of spread.
    grey = (pixels.mean(axis=3) - pixels.mean()) / max(float(pixels.std()), 1e-9) * 64 + 128
    pictures = np.stack([cv2.resize(one, (SIDE, SIDE), interpolation=cv2.INTER_LINEAR) for one in grey])
    return found | {
        "unchecked": unchecked,
        "hashes": perceptual_hashes(pictures),
        "thumbnails": pictures,
        "pictured": np.ones(len(pixels), bool),
    }
