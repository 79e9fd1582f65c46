"""The images that a data set's folder holds already, so that none is taken in twice, neither exactly nor re-encoded."""

import hashlib
import os
import re
from array import array
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from competition.collect.provenance import NAME, Row, read_rows
from competition.core.files import cores
from competition.data.duplicates.perceptual_hash import near, perceptual_hash
from competition.data.images.decode import UnreadableImage, decode, header_size, read_bytes, room_for
from competition.data.images.file_contents import chunks_of, in_order
from competition.data.layouts.class_folders import images

_CHUNK = 16


class Known:
    """Images by content; names are relative to the data set's folder, and begin with the label.

    The same bytes are known whatever the label. A near-duplicate is one of the same label only: an image and its edit
    by AI are alike, and the pairs from which there is most to learn.
    """

    def __init__(self) -> None:
        self._by_sha256: dict[str, str] = {}
        self._names: dict[str, list[str]] = defaultdict(list)
        self._hashes: dict[str, array] = defaultdict(lambda: array("Q"))  # grow in place, for there may be many

    def add(self, name: str, sha256: str, value: int | None) -> None:
        """Remember an image; ``value`` is its perceptual hash, ``None`` where it has none or that is not known."""
        self._by_sha256.setdefault(sha256, name)
        if value is not None:
            label = name.partition("/")[0]
            self._names[label].append(name)
            self._hashes[label].append(value)

    def twin(self, sha256: str) -> str | None:
        """Return the name of the image with the same bytes, if there is one."""
        return self._by_sha256.get(sha256)

    def nearest(self, label: str, value: int) -> str | None:
        """Return the name of the label's most similar image, if one is a near-duplicate by its perceptual hash."""
        found = near(np.frombuffer(self._hashes[label], np.uint64), value)
        return self._names[label][found[0]] if len(found) else None


def survey(out: Path) -> Known:
    """Look at every image in ``out``, whatever its class; of those that provenance files describe, only at the size.

    Images that were saved and are gone are remembered, for the user has weeded them out.
    """
    described = {row.file: row for path in sorted(out.glob(f"*/{NAME}")) for row in read_rows(path) if row.file}
    known, unknown = Known(), []
    for name in sorted(name for name, _ in images(out, out)):
        row = described.pop(name, None)
        if row and _is_whole(row) and row.bytes == str(os.path.getsize(out / name)):
            known.add(name, row.sha256, int(row.perceptual_hash, 16))
        else:
            unknown.append(name)

    def look(chunk: Sequence[int]) -> list[tuple[str, int | None]]:
        return [_look(out / unknown[index]) for index in chunk]

    looked = in_order(look, chunks_of(len(unknown), _CHUNK), cores(), f"{out}: looking at the images there")
    for name, (sha256, value) in zip(unknown, looked, strict=True):
        known.add(name, sha256, value)
    for name, row in described.items():
        if _is_whole(row):
            known.add(f"{name}, which is gone", row.sha256, int(row.perceptual_hash, 16))
    return known


def _is_whole(row: Row) -> bool:
    """Tell whether a row's fingerprints are such; the file may have been edited."""
    return bool(re.fullmatch("[0-9a-f]{64}", row.sha256) and re.fullmatch("[0-9a-f]{16}", row.perceptual_hash))


def _look(path: Path) -> tuple[str, int | None]:
    """Return a file's SHA-256 and perceptual hash, ``None`` for one that cannot be decoded."""
    raw = b""
    try:
        raw = read_bytes(path)
        with room_for(header_size(raw, path)):
            return hashlib.sha256(raw).hexdigest(), perceptual_hash(decode(raw, path))
    except UnreadableImage:
        return hashlib.sha256(raw).hexdigest(), None
