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
from competition.data.images.stores import DIGEST_BYTES, bytes_digest
from competition.data.layouts.dataset import Dataset, FolderNames

MAX_SAMPLE = 5_000  # most files of train, and of test, whose headers a quick audit reads
_DECODED = "that needs every image decoded, as ./run.sh audit does"
_OF_TABLES = "that needs the images"
_NO_FILES = "a pixel CSV has no files"


@dataclass(frozen=True)
class AuditInputs:
    """Rows of train, then of test, by position; and what is known of them.

    rows: id, set, label (Int64, missing for test), group, path. content: (n,) int64, equal for equal files, -1 for
    broken and missing ones; ``None`` where no file was read. digests: (n, 16) uint8 of the files' contents. facts:
    those of :mod:`competition.data.images.file_facts` for the positions in its index. hashes (n,), thumbnails
    (n, 32, 32) and ``pictured``, which rows have them: all three are empty where not every image was decoded. faults:
    why a row cannot be read. missing: rows whose file is not there. unchecked: what was not looked at, and why.
    """

    depth: str
    kind: str
    rows: pd.DataFrame
    content: np.ndarray | None = None
    digests: np.ndarray = field(default_factory=lambda: np.empty((0, DIGEST_BYTES), np.uint8))
    facts: pd.DataFrame | None = None
    hashes: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint64))
    thumbnails: np.ndarray = field(default_factory=lambda: np.empty((0, SIDE, SIDE), np.uint8))
    pictured: np.ndarray = field(default_factory=lambda: np.empty(0, bool))
    faults: Mapping[int, str] = field(default_factory=dict)
    missing: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    unchecked: Mapping[str, str] = field(default_factory=dict)

    @property
    def decoded(self) -> bool:
        """Whether every image was decoded, so that there are hashes and thumbnails."""
        return len(self.pictured) > 0

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


def gather(dataset: Dataset, cache: Path, depth: str, seed: int) -> AuditInputs:
    """Return what an audit of this depth sees; ``cache`` is the folder of what is computed once."""
    tables = [part.assign(set=name) for name, part in (("train", dataset.train), ("test", dataset.test))]
    rows = pd.concat(tables, ignore_index=True).reindex(columns=["id", "set", "label", "group", "path"])
    inputs = AuditInputs(depth, dataset.kind, rows.astype({"label": "Int64"}))
    if dataset.pixels is not None:
        return replace(inputs, **_of_pixels(dataset, depth))
    names = ("metadata shortcuts", "train against test", "duplicates", "twins", "broken files")
    if depth == "tables":
        return replace(inputs, unchecked=dict.fromkeys(names, _OF_TABLES))
    inputs = replace(inputs, missing=_missing(list(rows["path"])))
    if len(inputs.missing) == len(rows):
        return replace(inputs, unchecked=dict.fromkeys(names, f"no image is there below {dataset.root}"))
    return _of_files(inputs, cache, seed)


def read_pictures(inputs: AuditInputs, cache: Path, positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the thumbnails (k, 32, 32) of some rows, decoding them if need be, and which of them there are."""
    if inputs.decoded:
        return inputs.thumbnails[positions], inputs.pictured[positions]
    paths = inputs.rows["path"].iloc[positions].tolist()
    scanned = scan(paths, inputs.digests[positions], cache, True, "possible twins", cores())
    return scanned.thumbnails, scanned.facts["fault"].isna().to_numpy()


def _missing(paths: list[str]) -> np.ndarray:
    folders = FolderNames()
    split = map(os.path.split, paths)
    return np.flatnonzero([name not in folders[folder] for folder, name in split])


def _of_files(inputs: AuditInputs, cache: Path, seed: int) -> AuditInputs:
    workers, parts = cores(), []
    for name, title in (("train", "training images"), ("test", "test images")):
        # The same lists that the pixel cache remembers.
        if stats := file_stats(inputs.rows["path"][inputs.rows["set"] == name].tolist()):
            parts.append(recall(cache, stats) or survey(cache, stats, title, workers))
    digests = np.concatenate([part.digests for part in parts])
    there = np.setdiff1d(np.arange(len(inputs.rows)), inputs.missing)
    full = inputs.depth == "full"
    chosen = there if full else _sample(inputs, there, seed)
    paths = inputs.rows["path"].to_numpy(object)
    scanned = scan(paths[chosen].tolist(), digests[chosen], cache, full, "audit", workers)
    faults = {int(row): why for row, why in zip(chosen, scanned.facts["fault"], strict=True) if isinstance(why, str)}
    sizes = np.concatenate([part.sizes for part in parts])
    for row in there[(sizes[there] == 0).any(axis=1)]:
        faults.setdefault(int(row), "it has no image header")
    known = np.asarray(digests.any(axis=1))
    known[list(faults)] = False  # empty files are broken, not copies of each other
    content = np.where(known, np.unique(digests, axis=0, return_inverse=True)[1].reshape(-1), -1)
    sound = ~np.isin(chosen, list(faults))
    facts = scanned.facts.set_index(chosen)[sound][[*NUMBERS, *KINDS]]
    unchecked = {} if full else dict.fromkeys(("near-duplicates", "broken files beyond their header"), _DECODED)
    inputs = replace(inputs, content=content, digests=digests, facts=facts, faults=faults, unchecked=unchecked)
    if not full:
        return inputs
    hashes, pictures = np.zeros(len(paths), np.uint64), np.zeros((len(paths), SIDE, SIDE), np.uint8)
    hashes[chosen], pictures[chosen] = scanned.hashes, scanned.thumbnails
    pictured = np.zeros(len(paths), bool)
    pictured[chosen[sound]] = True
    return replace(inputs, hashes=hashes, thumbnails=pictures, pictured=pictured)


def _sample(inputs: AuditInputs, there: np.ndarray, seed: int) -> np.ndarray:
    """Return the positions of at most ``MAX_SAMPLE`` rows of each set, chosen by their ids alone, in order."""
    ids = inputs.rows["id"].to_numpy(object)
    chosen = []
    for part in (there[there < inputs.train], there[there >= inputs.train]):
        if len(part) > MAX_SAMPLE:
            part = part[np.argsort([zlib.crc32(f"{seed} {one}".encode()) for one in ids[part]], kind="stable")]
        chosen.append(np.sort(part[:MAX_SAMPLE]))
    return np.concatenate(chosen)


def _of_pixels(dataset: Dataset, depth: str) -> dict[str, Any]:
    unchecked = dict.fromkeys(("metadata shortcuts", "train against test", "broken files"), _NO_FILES)
    pixels = np.concatenate([part.astype(np.float32) for part in dataset.pixels or ()])
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
