"""The images that a data set's folder holds already, so that none is taken in twice, neither exactly nor re-encoded."""

import hashlib
import re
from array import array
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from competition.collect.provenance import NAME, read_rows
from competition.core.files import cores
from competition.data.duplicates.perceptual_hash import near, perceptual_hash
from competition.data.images.decode import UnreadableImage, decode, header_size, read_bytes, room_for
from competition.data.images.file_contents import CHUNK_IMAGES, chunks_of, in_order
from competition.data.layouts.class_folders import images


class Known:
    """Images by content; names are relative to the data set's folder, and begin with the label.

    The same bytes are known whatever the label (``by_sha256``). A near-duplicate is one of the same label only: an
    image and its edit by AI are alike, and the pairs from which there is most to learn.
    """

    def __init__(self) -> None:
        self.by_sha256: dict[str, str] = {}
        self._names: dict[str, list[str]] = defaultdict(list)
        self._hashes: dict[str, array] = defaultdict(lambda: array("Q"))  # grow in place, for there may be many

    def add(self, name: str, sha256: str, value: int | None) -> None:
        """Remember an image; ``value`` is its perceptual hash, ``None`` where it has none."""
        self.by_sha256.setdefault(sha256, name)
        if value is not None:
            label = name.partition("/")[0]
            self._names[label].append(name)
            self._hashes[label].append(value)

    def nearest(self, label: str, value: int) -> str | None:
        """Return the name of the label's most similar image, if one is a near-duplicate by its perceptual hash."""
        found = near(np.frombuffer(self._hashes[label], np.uint64), value)
        return self._names[label][found[0]] if len(found) else None


def survey(out: Path) -> Known:
    """Look at every image in ``out``, whatever its class; of those that provenance files describe, only at the size.

    Images that were saved and are gone are remembered, for the user has weeded them out.
    """
    rows = (row for path in sorted(out.glob(f"*/{NAME}")) for row in read_rows(path) if row.file)
    described = {
        row.file: row
        for row in rows
        if re.fullmatch("[0-9a-f]{64} [0-9a-f]{16}", f"{row.sha256} {row.perceptual_hash}")
    }
    there = {name: Path(path) for name, path in sorted(images(out, out))}
    unknown = [name for name in there if name not in described or not _has_size(there[name], described[name].bytes)]

    def look(chunk: Sequence[int]) -> list[tuple[str, int | None]]:
        return [_fingerprints(there[unknown[index]]) for index in chunk]

    chunks, title = chunks_of(len(unknown), CHUNK_IMAGES), f"{out}: looking at the images there"
    known, looked = Known(), dict(zip(unknown, in_order(look, chunks, cores(), title), strict=True))
    looked |= {
        name: (row.sha256, int(row.perceptual_hash, 16)) for name, row in described.items() if name not in looked
    }
    for name, found in sorted(looked.items(), key=lambda one: one[0]):
        known.add(name if name in there else f"{name}, which is gone", *found)
    return known


def _has_size(path: Path, size: str) -> bool:
    return str(path.stat().st_size) == size


def _fingerprints(path: Path) -> tuple[str, int | None]:
    """Return a file's SHA-256 and perceptual hash, ``None`` for one that cannot be decoded."""
    raw = b""
    try:
        raw = read_bytes(path)
        with room_for(header_size(raw, path)):
            return hashlib.sha256(raw).hexdigest(), perceptual_hash(decode(raw, path))
    except UnreadableImage:
        return hashlib.sha256(raw).hexdigest(), None
