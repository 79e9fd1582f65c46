"""Which pictures of one set are shown in another: the same file, or its pixels re-encoded, rescaled or touched up.

Files are compared by their content, pictures by their perceptual hash, which is computed once for each set and kept.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from competition.core.files import atomic_write, cores, fingerprint
from competition.core.intact import NO_ARRAYS
from competition.data.duplicates.perceptual_hash import SIDE, copies, perceptual_hashes, thumbnail
from competition.data.images.decode import DECODER, UnreadableImage, decode, header_size, read_bytes, room_for
from competition.data.images.file_contents import CHUNK_IMAGES, chunks_of, in_order
from competition.data.images.stores import DataStore

VERSION = 2  # raise it whenever the same pictures would be judged otherwise


@dataclass(frozen=True)
class ImageSet:
    """Pictures: their store, each row's path ("" in a pixel CSV, which has no files), and a title for the bar."""

    store: DataStore
    paths: Sequence[str]
    title: str

    def __len__(self) -> int:
        return len(self.paths)


def copied(images: ImageSet, others: ImageSet, part: np.ndarray, folder: Path) -> np.ndarray:
    """Return which ``images`` are shown among the ``others``, part by part: bool (len(images), parts).

    ``part``: for each of the ``others`` the part it belongs to, 0, 1 and so on, or -1 for none. What is found is kept
    in ``folder``, by content. Unreadable images are copies of nothing; rows of a pixel CSV are compared by value alone.
    """
    part = np.array(part, np.int64)
    part[list(others.store.bad)] = -1
    path = folder / f"copies-{fingerprint(images.store.digest, others.store.digest, part, VERSION, DECODER)}.npy"
    return _kept(path, lambda: _compare(images, others, part, folder))


def _compare(images: ImageSet, others: ImageSet, part: np.ndarray, folder: Path) -> np.ndarray:
    parts = int(part.max(initial=-1)) + 1
    digests = np.concatenate([images.store.digests, others.store.digests])
    values, number = np.unique(digests.view(f"V{digests.shape[1]}").ravel(), return_inverse=True)
    where = np.zeros((len(values), parts), bool)  # in which parts each content occurs
    where[number[len(images) :][part >= 0], part[part >= 0]] = True
    found = where[number[: len(images)]]
    if images.store.dtype == np.uint8:
        hashes, thumbnails = zip(hashes_of(images, folder), hashes_of(others, folder), strict=True)
        pairs = copies(np.concatenate(hashes), np.concatenate(thumbnails))
        pairs = pairs[(pairs[:, 0] < len(images)) & (pairs[:, 1] >= len(images))]
        of = part[pairs[:, 1] - len(images)]
        found[pairs[of >= 0, 0], of[of >= 0]] = True
    found[list(images.store.bad)] = False
    return found


def hashes_of(images: ImageSet, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the perceptual hash uint64 (n,) and thumbnail uint8 (n, 32, 32) of image files, decoding each once.

    They are taken from the files as they are, so that no member's image size changes what counts as a copy. An
    unreadable file looks flat, which is a copy of nothing.
    """

    def compute() -> np.ndarray:
        chunks, title = chunks_of(len(images), CHUNK_IMAGES), f"{images.title}: looking for copies"
        found = in_order(lambda rows: [_thumbnail(images.paths[row]) for row in rows], chunks, cores(), title)
        return np.array(list(found), np.uint8).reshape(-1, SIDE, SIDE)

    thumbnails = _kept(folder / f"thumbnails-{fingerprint(images.store.digest, VERSION, DECODER)}.npy", compute)
    chunks = [thumbnails[start : start + 4096] for start in range(0, len(thumbnails), 4096)]
    return np.concatenate([np.empty(0, np.uint64), *map(perceptual_hashes, chunks)]), thumbnails


def _thumbnail(path: str) -> np.ndarray:
    try:
        raw = read_bytes(path)
        with room_for(header_size(raw, path)):
            return np.rint(thumbnail(decode(raw, path))).astype(np.uint8)
    except UnreadableImage:
        return np.zeros((SIDE, SIDE), np.uint8)


def _kept(path: Path, compute: Callable[[], np.ndarray]) -> np.ndarray:
    """Return the array in a file, computed and written first where there is none."""
    try:
        return np.load(path)
    except NO_ARRAYS:  # there is none, or a damaged one
        found = compute()
    with atomic_write(path, "wb") as file:
        np.save(file, found)
    return found
