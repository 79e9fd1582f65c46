"""Which pictures of one set are shown in another: the same file, or its pixels re-encoded, rescaled or touched up.

Files are compared by their content, pictures by their perceptual hash, which is computed once for each set and kept.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from competition.data.decode import DECODER, UnreadableImage, read_image
from competition.data.perceptual import SIDE, near, perceptual_hashes, thumbnail
from competition.data.survey import CHUNK_IMAGES, in_order
from competition.files import atomic_write, cores, fingerprint

VERSION = 1  # raise it whenever the same pictures would be judged otherwise
NO_STRUCTURE = 0  # the hash of every flat picture, which says nothing


@dataclass(frozen=True)
class Pictures:
    """A set of pictures: its store, and the path of each row ("" for the rows of a pixel CSV, which have no files).

    ``title`` names them in the progress bar.
    """

    store: object
    paths: Sequence[str]
    title: str

    def __len__(self) -> int:
        return len(self.paths)


def copied(those: Pictures, these: Pictures, part: np.ndarray, folder: Path) -> np.ndarray:
    """Return which of ``those`` pictures are among ``these``, part by part: bool (len(those), parts).

    ``part``: for each of ``these`` the part it belongs to, 0, 1 and so on, or -1 for none. What is found is kept in
    ``folder``, by content. Unreadable pictures are no copies; rows of a pixel CSV are compared value by value alone.
    """
    part = np.array(part, np.int64)
    part[list(these.store.bad)] = -1
    path = folder / f"copies-{fingerprint(those.store.digest, these.store.digest, part, VERSION, DECODER)}.npy"
    return _kept(path, lambda: _compare(those, these, part, folder))


def _compare(those: Pictures, these: Pictures, part: np.ndarray, folder: Path) -> np.ndarray:
    parts = int(part.max(initial=-1)) + 1
    names = [pictures.store.digests.view(f"V{pictures.store.digests.shape[1]}").ravel() for pictures in (those, these)]
    values, number = np.unique(np.concatenate(names), return_inverse=True)
    where = _parts_of(number[len(those) :], part, len(values), parts)
    found = where[number[: len(those)]]
    if those.store.dtype == np.uint8:
        hashes = [hashes_of(pictures, folder) for pictures in (those, these)]
        found |= _near(*hashes, part, parts)
    found[list(those.store.bad)] = False
    return found


def _parts_of(number: np.ndarray, part: np.ndarray, values: int, parts: int) -> np.ndarray:
    """Return in which parts each value occurs, bool (values, parts); ``number`` says which value each row has."""
    where = np.zeros((values, parts), bool)
    where[number[part >= 0], part[part >= 0]] = True
    return where


def _near(hashes: np.ndarray, others: np.ndarray, part: np.ndarray, parts: int) -> np.ndarray:
    """Return, for each of ``hashes``, the parts in which one of ``others`` is near; .1 ms for each among 80,000."""
    asked, place = np.unique(hashes, return_inverse=True)
    there, number = np.unique(others, return_inverse=True)
    where = _parts_of(number, part, len(there), parts)
    where[there == NO_STRUCTURE] = False
    found = np.zeros((len(asked), parts), bool)
    for row, value in enumerate(asked):
        found[row] = where[near(there, int(value))].any(axis=0) & (value != NO_STRUCTURE)
    return found[place]


def hashes_of(pictures: Pictures, folder: Path) -> np.ndarray:
    """Return the perceptual hashes of image files, uint64 (n,), one decoding for each, once; 0 for unreadable ones.

    They are taken from the files as they are, so that no member's image size has a say in what counts as a copy.
    """

    def some(rows: Sequence[int]) -> list[int]:
        return perceptual_hashes([_thumbnail(pictures.paths[row]) for row in rows]).tolist()

    def compute() -> np.ndarray:
        chunks = [range(start, min(start + CHUNK_IMAGES, len(pictures)))
                  for start in range(0, len(pictures), CHUNK_IMAGES)]  # fmt: skip
        return np.array(list(in_order(some, chunks, cores(), f"{pictures.title}: looking for copies")), np.uint64)

    return _kept(folder / f"hashes-{fingerprint(pictures.store.digest, VERSION, DECODER)}.npy", compute)


def _thumbnail(path: str) -> np.ndarray:
    try:
        return thumbnail(read_image(path))
    except UnreadableImage:
        return np.zeros((SIDE, SIDE), np.float32)  # which hashes to NO_STRUCTURE


def _kept(path: Path, compute: Callable[[], np.ndarray]) -> np.ndarray:
    """Return the array in a file, computed and written first where there is none."""
    try:
        return np.load(path)
    except FileNotFoundError:
        found = compute()
    with atomic_write(path, "wb") as file:
        np.save(file, found)
    return found
