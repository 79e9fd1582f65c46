"""What a list of image files holds, without decoding: content digests and sizes, remembered between runs.

A second run over unchanged files reads none of them; changed dates or places cost a reading, never a decoding. A file
counts as unchanged while its path, its size and the dates of its last writing and of its last change of any kind (which
no program sets) are what they were; :func:`forget` makes the next run look into all of them.
"""

import contextlib
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from competition.core.files import atomic_write, fingerprint
from competition.core.intact import read_arrays
from competition.data.images.decode import UnreadableImage, header_size, read_bytes, stored_size
from competition.data.images.stores import DIGEST_BYTES, StoreSpec, bytes_digest

CHUNK_IMAGES = 64

FileStats = list[tuple[str, int, int, int]]


@dataclass(frozen=True)
class Contents:
    """What files hold, in order.

    ``digests``: (n, 16) uint8, zeros for a file that cannot be read; ``sizes``: (n, 2) int64, height and width by the
    header, zeros where there is none.
    """

    digests: np.ndarray
    sizes: np.ndarray

    def gigabytes(self, spec: StoreSpec) -> float:
        """Return what the decoded pixels take, in 10^9 bytes."""
        sides = (stored_size(height, width, spec.size, spec.cap) for height, width in self.sizes.tolist() if height)
        return sum(height * width * 3 for height, width in sides) / 1e9


def file_stats(paths: Sequence[str]) -> FileStats:
    """Return (path, bytes, mtime and ctime in ns) of each file, -1 where there is none: equal lists need no reading."""
    stats = []
    for path in paths:
        try:
            stat = os.stat(path)
            stats.append((path, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns))
        except (OSError, ValueError):  # of a path that no file can have
            stats.append((path, -1, -1, -1))
    return stats


def recall(folder: Path, stats: FileStats) -> Contents | None:
    """Return what an earlier :func:`survey` found in exactly these files, or ``None``.

    Also ``None`` if it found a file that exists but may not be read: permission can come without a new date.
    """
    record = read_arrays(_record(folder, stats))
    if record is None or any(len(record.get(name, ())) != len(stats) for name in ("digests", "sizes")):
        return None
    contents = Contents(record["digests"], record["sizes"])
    unread = np.flatnonzero(~contents.digests.any(axis=1))
    return None if any(stats[row][1] >= 0 for row in unread) else contents


def forget(folder: Path, paths: Sequence[str]) -> None:
    """Let the next look at these files read them, whatever their dates say."""
    _record(folder, file_stats(paths)).unlink(missing_ok=True)


def survey(folder: Path, stats: FileStats, title: str, workers: int) -> Contents:
    """Read every file and remember in ``folder`` what is in it; an unreadable file raises nothing here."""
    chunks = chunks_of(len(stats), CHUNK_IMAGES)
    found = list(in_order(lambda rows: [_look(stats[row][0]) for row in rows], chunks, workers, f"{title}: reading"))
    digests = np.frombuffer(b"".join(digest for digest, _ in found), np.uint8).reshape(-1, DIGEST_BYTES)
    contents = Contents(digests, np.array([size for _, size in found], np.int64).reshape(-1, 2))
    with atomic_write(_record(folder, stats), "wb") as file:
        np.savez(file, digests=contents.digests, sizes=contents.sizes)
    return contents


def chunks_of(count: int, size: int) -> list[range]:
    """Return the positions 0 to ``count`` - 1 in chunks of ``size``, the last of which may be smaller."""
    return [range(start, min(start + size, count)) for start in range(0, count, size)]


def in_order(work: Callable, chunks: Iterable[Sequence[int]], workers: int, title: str) -> Iterator[Any]:
    """Yield the items of each list ``work(chunk)``, in order, while threads compute a few chunks ahead, no more."""
    chunks = list(chunks)
    waiting: deque = deque()
    pool = ThreadPoolExecutor(workers)
    with tqdm(total=sum(map(len, chunks)), desc=title, unit="img", disable=None, leave=False, delay=1) as bar:
        try:
            for position in range(len(chunks) + workers + 1):
                if position < len(chunks):
                    waiting.append(pool.submit(work, chunks[position]))
                if position > workers and waiting:
                    items = waiting.popleft().result()
                    yield from items
                    bar.update(len(items))
        finally:
            pool.shutdown(cancel_futures=True)


def _record(folder: Path, stats: FileStats) -> Path:
    return folder / "lists" / f"{fingerprint(stats)}.npz"


def _look(path: str) -> tuple[bytes, tuple[int, int]]:
    """Return the digest of a file's bytes and (height, width), each as far as the file can be read."""
    digest, size = bytes(DIGEST_BYTES), (0, 0)
    with contextlib.suppress(UnreadableImage):
        raw = read_bytes(path)
        digest = bytes_digest(raw)
        size = header_size(raw, path)
    return digest, size
