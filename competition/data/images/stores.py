"""Pixels by row: from a memory map, from memory, or decoded at each access, all with the same few methods.

A store never resizes, converts or copies what it holds, and a pickled one carries no decoded pixels: workers reopen
the map. Rows are positions in the list of files that the store was opened for.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np

from competition.core.files import fingerprint, read_json
from competition.data.images.decode import UnreadableImage, fit_store, read_image
from competition.data.images.degrade import jpeg

DIGEST_BYTES = 16
MANIFEST, INDEX, DIGESTS, BAD, PIXELS = "manifest.json", "index.npy", "digests.npy", "bad.json", "pixels.bin"


@dataclass(frozen=True, order=True)
class StoreSpec:
    """What is stored. ``size`` 0: native pixels, shrunk to at most ``cap`` on the longer side (0 = no limit).

    ``size`` N: N x N pixels, whatever ``cap`` says. ``quality``: of a JPEG compression that every stored image goes
    through once; 0 = none.
    """

    size: int
    cap: int = 0
    quality: int = 0

    @property
    def key(self) -> list[int]:
        """What names the spec in a fingerprint; without a compression, what named it before there was one."""
        return [self.size, self.cap] + ([self.quality] if self.quality else [])

    def stored(self, image: np.ndarray) -> np.ndarray:
        """Return a decoded image (H, W, C) as it is stored; where there is nothing to do, the image itself."""
        image = fit_store(image, self.size, self.cap)
        return jpeg(image, self.quality) if self.quality else image


class Store(Protocol):
    """Images by row, (H, W, C) of one dtype each: what a model is fed from.

    ``dtype``: uint8, or float32 of a pixel CSV. ``bad``: why a row cannot be read, by row. ``common_shape``: the
    (H, W, C) that all readable rows have, or ``None`` if they differ. A bad row raises :class:`UnreadableImage`.
    """

    dtype: np.dtype
    bad: Mapping[int, str]

    @cached_property
    def common_shape(self) -> tuple[int, ...] | None:
        return None

    def __len__(self) -> int: ...

    def __getitem__(self, row: int) -> np.ndarray: ...

    def shape(self, row: int) -> tuple[int, ...]:
        """Return the (H, W, C) of a row; a store of files does so without touching its pixels."""
        return self[row].shape

    def batch(self, rows: Sequence[int]) -> np.ndarray:
        """Return rows of one shape as a new (n, H, W, C); ``ValueError`` if their shapes differ."""
        shapes = {self.shape(row) for row in rows}
        if len(shapes) > 1:
            raise ValueError(f"images of different sizes make no batch: {sorted(shapes)[:3]}")
        return np.stack([self[row] for row in rows])


class DataStore(Store, Protocol):
    """A store of a data set's images, known by their content.

    ``cached``: whether pixels are decoded already. ``digests``: (n, 16) uint8, one for each row's content.
    """

    cached: bool

    @cached_property
    def digests(self) -> np.ndarray: ...

    @cached_property
    def digest(self) -> str:
        """The fingerprint of all rows' contents, in order."""
        return content_digest(self.digests)


def bytes_digest(raw: bytes | memoryview) -> bytes:
    """Return ``DIGEST_BYTES`` bytes that identify the content of one file."""
    return hashlib.blake2b(raw, digest_size=DIGEST_BYTES).digest()


def content_digest(digests: np.ndarray) -> str:
    """Return the fingerprint of files in order, from their (n, 16) digests: no path, no date."""
    return fingerprint(np.ascontiguousarray(digests, np.uint8))


class _FileStore(DataStore):
    """What the stores of image files share: shapes, bad rows and digests, as the cache wrote them in ``folder``."""

    dtype = np.dtype(np.uint8)

    def __init__(self, folder: Path, bad_paths: Mapping[int, str]):
        self.folder, self.bad_paths = Path(folder), dict(bad_paths)
        self._index = np.load(self.folder / INDEX)  # (n, 3) int64: offset in bytes, height, width
        self.bad = {int(row): reason for row, reason in read_json(self.folder / BAD).items()}

    def __len__(self) -> int:
        return len(self._index)

    @cached_property
    def digests(self) -> np.ndarray:
        """The (n, 16) uint8 digests of the files' bytes; zeros for a file that could not be read at all."""
        return np.load(self.folder / DIGESTS)

    def shape(self, row: int) -> tuple[int, int, int]:
        self._refuse_bad(row)
        _, height, width = self._index[row].tolist()
        return height, width, 3

    @cached_property
    def common_shape(self) -> tuple[int, int, int] | None:
        sizes = np.unique(np.delete(self._index[:, 1:], list(self.bad), axis=0), axis=0)
        return (*sizes[0].tolist(), 3) if len(sizes) == 1 else None

    def _refuse_bad(self, row: int) -> None:
        if row < 0:
            raise IndexError(f"row {row}: rows count from 0")
        if row in self.bad:
            raise UnreadableImage(self.bad_paths[row], self.bad[row])


class PixelStore(_FileStore):
    """The decoded pixels of image files in a read-only memory map, as the cache wrote them."""

    cached = True

    def __init__(self, folder: Path, bad_paths: Mapping[int, str]):
        super().__init__(folder, bad_paths)
        file = self.folder / PIXELS
        # A plain array over the map: slicing numpy's memmap class is several times slower. An empty file has no map.
        self._pixels = np.asarray(np.memmap(file, np.uint8, "r")) if file.stat().st_size else np.zeros(0, np.uint8)

    def __reduce__(self):
        return PixelStore, (self.folder, self.bad_paths)

    def __getitem__(self, row: int) -> np.ndarray:
        """Return a read-only view into the map."""
        self._refuse_bad(row)
        offset, height, width = self._index[row].tolist()
        return self._pixels[offset : offset + height * width * 3].reshape(height, width, 3)

    def batch(self, rows: Sequence[int]) -> np.ndarray:
        """Return rows of one shape as a new (n, H, W, 3), in one gather where all of the store's have it."""
        if self.common_shape is None:
            return super().batch(rows)
        if self.bad:
            for row in rows:
                self._refuse_bad(int(row))
        height, width, channels = self.common_shape
        grid = self._pixels.reshape(-1, height, width, channels)
        return grid[self._index[rows, 0] // (height * width * channels)]


class DecodingStore(_FileStore):
    """Image files decoded at every access: the same rows and pixels as a :class:`PixelStore`, without the disk."""

    cached = False

    def __init__(self, folder: Path, bad_paths: Mapping[int, str], paths: Sequence[str], spec: StoreSpec):
        super().__init__(folder, bad_paths)
        self._paths, self._spec = tuple(paths), spec

    def __reduce__(self):
        return DecodingStore, (self.folder, self.bad_paths, self._paths, self._spec)

    def __getitem__(self, row: int) -> np.ndarray:
        self._refuse_bad(row)
        return self._spec.stored(read_image(self._paths[row]))


class ImageStore(Store):
    """Pictures in memory, uint8 (H, W, 3) each, of any sizes: what a user hands over."""

    dtype = np.dtype(np.uint8)

    def __init__(self, images: Sequence[np.ndarray]):
        self._images = list(images)
        self.bad: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, row: int) -> np.ndarray:
        """Return the picture itself."""
        return self._images[row]


class ArrayStore(DataStore):
    """Rows of one float32 (n, H, W, C) array, never touched: a pixel CSV. Pickling one does copy its array."""

    cached = True

    def __init__(self, array: np.ndarray, digest: str):
        if array.ndim != 4 or array.dtype != np.float32:
            raise ValueError(f"an ArrayStore holds float32 (n, H, W, C), not {array.dtype} {array.shape}")
        self._array, self.digest = array, digest
        self.dtype, self.common_shape = array.dtype, array.shape[1:]
        self.bad: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._array)

    def __getitem__(self, row: int) -> np.ndarray:
        """Return a view of the array."""
        return self._array[row]

    def batch(self, rows: Sequence[int]) -> np.ndarray:
        return self._array[np.asarray(rows, np.int64)]

    @cached_property
    def digests(self) -> np.ndarray:
        """The (n, 16) uint8 digests of the rows' values."""
        raw = b"".join(bytes_digest(np.ascontiguousarray(row).data.cast("B")) for row in self._array)
        return np.frombuffer(raw, np.uint8).reshape(-1, DIGEST_BYTES)
