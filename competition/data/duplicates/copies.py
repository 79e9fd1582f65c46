"""Which pictures of one set are shown in another: the same file, or its pixels re-encoded, rescaled or touched up.

Files are compared by their content, pictures by their perceptual hash, which is computed once for each set and kept.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from competition.core.files import atomic_write, cores, fingerprint
from competition.data.duplicates.perceptual_hash import SIDE, copies, perceptual_hashes, thumbnail
from competition.data.images.decode import DECODER, UnreadableImage, read_image
from competition.data.images.file_contents import CHUNK_IMAGES, chunks_of, in_order
from competition.data.images.stores import DataStore

VERSION = 2  # raise it whenever the same pictures would be judged otherwise


@dataclass(frozen=True)
class ImageSet:
    """A set of pictures: its store, and the path of each row ("" for the rows of a pixel CSV, which have no files).

    ``title`` names them in the progress bar.
    """

    store: DataStore
    paths: Sequence[str]
    title: str

    def __len__(self) -> int:
        return len(self.paths)


def copied(those: ImageSet, these: ImageSet, part: np.ndarray, folder: Path) -> np.ndarray:
    """Return which of ``those`` pictures are among ``these``, part by part: bool (len(those), parts).

    ``part``: for each of ``these`` the part it belongs to, 0, 1 and so on, or -1 for none. What is found is kept in
    ``folder``, by content. Unreadable pictures are copies of nothing; rows of a pixel CSV are compared by value alone.
    """
    part = np.array(part, np.int64)
    part[list(these.store.bad)] = -1
    path = folder / f"copies-{fingerprint(those.store.digest, these.store.digest, part, VERSION, DECODER)}.npy"
    return _kept(path, lambda: _compare(those, these, part, folder))


def _compare(those: ImageSet, these: ImageSet, part: np.ndarray, folder: Path) -> np.ndarray:
    parts = int(part.max(initial=-1)) + 1
    names = [pictures.store.digests.view(f"V{pictures.store.digests.shape[1]}").ravel() for pictures in (those, these)]
    values, number = np.unique(np.concatenate(names), return_inverse=True)
    where = _parts_of(number[len(those) :], part, len(values), parts)
    found = where[number[: len(those)]]
    if those.store.dtype == np.uint8:
        (hashes, looks), (others, other_looks) = (looks_of(pictures, folder) for pictures in (those, these))
        pairs = copies(np.concatenate([hashes, others]), np.concatenate([looks, other_looks]))
        pairs = pairs[(pairs[:, 0] < len(those)) & (pairs[:, 1] >= len(those))]
        of = part[pairs[:, 1] - len(those)]
        found[pairs[of >= 0, 0], of[of >= 0]] = True
    found[list(those.store.bad)] = False
    return found


def _parts_of(number: np.ndarray, part: np.ndarray, values: int, parts: int) -> np.ndarray:
    """Return in which parts each value occurs, bool (values, parts); ``number`` says which value each row has."""
    where = np.zeros((values, parts), bool)
    where[number[part >= 0], part[part >= 0]] = True
    return where


def looks_of(pictures: ImageSet, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the perceptual hash uint64 (n,) and thumbnail uint8 (n, 32, 32) of image files, decoding each once.

    They are taken from the files as they are, so that no member's image size changes what counts as a copy. An
    unreadable file looks flat, which is a copy of nothing.
    """

    def some(rows: Sequence[int]) -> list[np.ndarray]:
        return [_thumbnail(pictures.paths[row]) for row in rows]

    def compute() -> np.ndarray:
        chunks = chunks_of(len(pictures), CHUNK_IMAGES)
        found = list(in_order(some, chunks, cores(), f"{pictures.title}: looking for copies"))
        return np.array(found, np.uint8).reshape(-1, SIDE, SIDE)

    looks = _kept(folder / f"thumbnails-{fingerprint(pictures.store.digest, VERSION, DECODER)}.npy", compute)
    chunks = [looks[start : start + 4096] for start in range(0, len(looks), 4096)]
    return np.concatenate([np.empty(0, np.uint64), *map(perceptual_hashes, chunks)]), looks


def _thumbnail(path: str) -> np.ndarray:
    try:
        return np.rint(thumbnail(read_image(path))).astype(np.uint8)
    except UnreadableImage:
        return np.zeros((SIDE, SIDE), np.uint8)


def _kept(path: Path, compute: Callable[[], np.ndarray]) -> np.ndarray:
    """Return the array in a file, computed and written first where there is none."""
    try:
        return np.load(path)
    except FileNotFoundError:
        found = compute()
    with atomic_write(path, "wb") as file:
        np.save(file, found)
    return found
