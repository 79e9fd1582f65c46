"""The images that a data set's folder holds already, so that none is taken in twice, neither exactly nor re-encoded."""

import hashlib
import os
from array import array
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from competition.collect.provenance import NAME, read_rows
from competition.data.dataset import IMAGE_EXTENSIONS
from competition.data.decode import UnreadableImage, decode, read_bytes
from competition.data.perceptual import near, perceptual_hash
from competition.data.survey import in_order
from competition.files import cores

_CHUNK = 16


class Known:
    """Images by content; names are relative to the data set's folder."""

    def __init__(self) -> None:
        self._by_sha256: dict[str, str] = {}
        self._names: list[str] = []
        self._hashes = array("Q")  # grows in place, for there may be many

    def add(self, name: str, sha256: str, value: int | None) -> None:
        """Remember an image; ``value`` is its perceptual hash, ``None`` for a file that is no image."""
        self._by_sha256.setdefault(sha256, name)
        if value is not None:
            self._names.append(name)
            self._hashes.append(value)

    def twin(self, sha256: str) -> str | None:
        """Return the name of the image with the same bytes, if there is one."""
        return self._by_sha256.get(sha256)

    def nearest(self, value: int) -> str | None:
        """Return the name of the most similar image, if one is a near-duplicate by its perceptual hash."""
        found = near(np.frombuffer(self._hashes, np.uint64), value)
        return self._names[found[0]] if len(found) else None


def survey(out: Path) -> Known:
    """Look at every image in ``out``, whatever its class; of those that provenance files describe, only at the size."""
    described = {row.file: row for path in sorted(out.glob(f"*/{NAME}")) for row in read_rows(path) if row.file}
    known, unknown = Known(), []
    for name in _images(out):
        row = described.get(name)
        if row and row.perceptual_hash and row.bytes == str(os.path.getsize(out / name)):
            known.add(name, row.sha256, int(row.perceptual_hash, 16))
        else:
            unknown.append(name)

    def look(chunk: Sequence[int]) -> list[tuple[str, int | None]]:
        return [_look(out / unknown[index]) for index in chunk]

    chunks = [range(start, min(start + _CHUNK, len(unknown))) for start in range(0, len(unknown), _CHUNK)]
    looked = in_order(look, chunks, cores(), f"{out}: looking at the images there")
    for name, (sha256, value) in zip(unknown, looked, strict=True):
        known.add(name, sha256, value)
    return known


def _images(out: Path) -> list[str]:
    found = []
    for place, inside, names in os.walk(out):
        inside[:] = [name for name in inside if not name.startswith((".", "__"))]
        paths = [Path(place, name) for name in names if not name.startswith(".")]
        found += [path.relative_to(out).as_posix() for path in paths if path.suffix.lower() in IMAGE_EXTENSIONS]
    return sorted(found)


def _look(path: Path) -> tuple[str, int | None]:
    """Return a file's SHA-256 and perceptual hash, ``None`` for one that cannot be decoded."""
    raw = b""
    try:
        raw = read_bytes(path)
        return hashlib.sha256(raw).hexdigest(), perceptual_hash(decode(raw, path))
    except UnreadableImage:
        return hashlib.sha256(raw).hexdigest(), None
