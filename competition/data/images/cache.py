"""Decode once: every image of a list, in the sizes that the models need, in memory-mapped files.

A cache is found by the files' contents, never by their paths or dates; it exists whole or not at all, however a run
that builds it ends; two runs at once build it once.
"""

import contextlib
import dataclasses
import errno
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from competition.core.errors import UserError
from competition.core.files import atomic_write, cores, file_digest, fingerprint, read_json, short_digest, write_json
from competition.core.intact import check_plain, has_digest, kept_record, write_record_file
from competition.core.locks import waited_for
from competition.data.images.decode import DECODER, LARGE_PIXELS, UnreadableImage, read_image, stored_size
from competition.data.images.file_contents import CHUNK_IMAGES, Contents, file_stats, in_order, recall, survey
from competition.data.images.stores import (
    BAD,
    DIGESTS,
    INDEX,
    MANIFEST,
    PIXELS,
    DataStore,
    DecodingStore,
    PixelStore,
    StoreSpec,
    content_digest,
)

SPARE_GB = 1.0  # disk left free beside the cache: checkpoints and submissions must still be written
CHUNK_BYTES = 8_000_000  # decoded pixels in one task of the pool (or one image, where one is larger)


def open_stores(
    paths: Sequence[str | Path],
    specs: Iterable[StoreSpec],
    folder: Path,
    budget_gb: float,
    title: str,
    workers: int | None = None,
) -> dict[StoreSpec, DataStore]:
    """Return the files' pixels for each spec, decoding each file once for all the specs that are not cached yet.

    The smallest specs that together take at most ``budget_gb`` (10^9 bytes; 0 = none) are cached in ``folder``; the
    others are decoded at every access (``store.cached`` tells), after one pass that finds the unreadable files, so that
    ``store.bad`` does not depend on the budget. ``title`` names the images in the progress bar; ``workers`` threads
    decode (default: one per available core). Raises :class:`UserError` where the disk is too full.
    """
    names, specs, folder = [str(path) for path in paths], sorted(set(specs)), Path(folder)
    workers = workers or cores()
    check_plain(folder)
    stats = file_stats(names)
    contents = recall(folder, stats)
    places = contents and _places(specs, folder, budget_gb, contents)
    if not places or not all(place.is_whole() for place in places):
        with _locked(folder, title):  # another run may have built everything while this one waited
            contents = recall(folder, stats) or survey(folder, stats, title, workers)
            places = _places(specs, folder, budget_gb, contents)
            missing = [place for place in places if not place.is_whole()]
            if missing:
                _build(missing, stats, contents, folder, title, workers)
    return {place.spec: place.open(names) for place in places}


class _Place:
    """Where one spec's store is, or will be: a folder named after the contents, the spec and the decoder."""

    def __init__(self, folder: Path, contents: Contents, spec: StoreSpec, cached: bool):
        key = fingerprint(content_digest(contents.digests), spec.key, DECODER)
        # An uncached store needs the rows' shapes and faults only; its folder holds all but the pixels.
        self.spec, self.cached, self.folder = spec, cached, folder / (key if cached else f"{key}-shapes")

    def is_whole(self) -> bool:
        """Tell whether the store is there as its manifest says; a damaged one is none, and is made again."""
        manifest = kept_record(self.folder / MANIFEST)
        if not manifest or not all(
            has_digest(self.folder / name, manifest.get("files", {}).get(name)) for name in (INDEX, DIGESTS, BAD)
        ):
            return False
        return not self.cached or _holds(self.folder / PIXELS, manifest)

    def open(self, paths: Sequence[str]) -> DataStore:
        """Return the store, which must be whole; ``paths`` name its bad rows as they are called today."""
        bad_paths = {int(row): paths[int(row)] for row in read_json(self.folder / BAD)}
        if self.cached:
            return PixelStore(self.folder, bad_paths)
        return DecodingStore(self.folder, bad_paths, paths, self.spec)


def _holds(path: Path, manifest: Mapping[str, Any]) -> bool:
    """Whether a store's pixels are those that were written: of the same date, or else of the same content."""
    try:
        found = path.stat()
    except OSError:
        return False
    if found.st_size != manifest["bytes"]:
        return False
    digest, date = manifest.get("pixels", (None, 0))  # the first release noted neither
    return found.st_mtime_ns == date or has_digest(path, digest)


def _places(specs: Sequence[StoreSpec], folder: Path, budget_gb: float, contents: Contents) -> list[_Place]:
    """Decide which specs are cached: the smallest ones, as many as the budget holds."""
    places, total = [], 0.0
    for gigabytes, spec in sorted((contents.gigabytes(spec), spec) for spec in specs):
        total += gigabytes
        places.append(_Place(folder, contents, spec, cached=0 < budget_gb >= total))
    return places


@contextlib.contextmanager
def _locked(folder: Path, title: str) -> Iterator[None]:
    """Be the only one that builds in ``folder``."""
    with waited_for(folder / "lock", f"{title}: waiting for another run to cache them"):
        for stale in folder.glob(".building-*"):  # left by a killed run: whoever holds the lock is alone
            shutil.rmtree(stale)
        yield


def _build(missing: list[_Place], stats: list, contents: Contents, folder: Path, title: str, workers: int) -> None:
    """Decode every file once and write all the missing stores; none of them appears unless all are complete."""
    needed = sum(contents.gigabytes(place.spec) for place in missing if place.cached)
    free = shutil.disk_usage(folder).free / 1e9
    if needed and needed + SPARE_GB > free:
        raise UserError(_disk_full(title, folder, needed, free))
    try:
        with contextlib.ExitStack() as stack:
            writers = [stack.enter_context(_Writer(place)) for place in missing]
            _fill(writers, [path for path, *_ in stats], contents, title, workers)
            if file_stats([path for path, *_ in stats]) != stats:  # or the pixels would bear another content's name
                raise UserError(f"{title}: files changed while they were decoded: run the same line again")
            for writer in writers:
                writer.publish(contents)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        raise UserError(_disk_full(title, folder, needed, shutil.disk_usage(folder).free / 1e9)) from error


def _disk_full(title: str, folder: Path, needed: float, free: float) -> str:
    return (
        f"caching {title} needs {needed:.1f} GB and {SPARE_GB:.0f} GB to spare, but only {free:.1f} GB are free in "
        f"{folder}: decode in every epoch instead with cache_gb=0, or keep the cache on another disk with cache=DIR"
    )


class _Writer:
    """Writes one store row by row into a temporary folder beside its place, and removes that on any failure."""

    def __init__(self, place: _Place):
        self.place, self.temporary = place, place.folder.with_name(f".building-{place.folder.name}")
        self.shapes: list[tuple[int, int]] = []
        self.bad: dict[int, str] = {}
        self._digest = hashlib.blake2b()  # of the pixels

    def __enter__(self) -> "_Writer":
        self.temporary.mkdir()
        self._file = open(self.temporary / PIXELS, "wb", buffering=1 << 20) if self.place.cached else None
        return self

    def __exit__(self, *_: object) -> None:
        if self._file:
            self._file.close()
        shutil.rmtree(self.temporary, ignore_errors=True)  # gone already where it was published

    def prepare(self, image: np.ndarray) -> tuple[tuple[int, int], np.ndarray | None]:
        """Return the shape in which ``image`` is stored and its pixels, if they are kept (in a decoding thread)."""
        spec = self.place.spec
        if not self._file:
            return stored_size(image.shape[0], image.shape[1], spec.size, spec.cap), None
        pixels = np.ascontiguousarray(spec.stored(image))
        return (pixels.shape[0], pixels.shape[1]), pixels

    def append(self, shape: tuple[int, int], pixels: np.ndarray | None) -> None:
        """Write the next row, as :meth:`prepare` returned it; (0, 0) and ``None`` for a bad one."""
        self.shapes.append(shape)
        if pixels is not None and self._file:
            self._file.write(pixels.data)
            self._digest.update(pixels.data)

    def publish(self, contents: Contents) -> None:
        """Complete the folder and put it in its place; from here on it counts as a store."""
        shapes = np.array(self.shapes, np.int64).reshape(-1, 2)
        lengths = shapes.prod(1) * 3
        with atomic_write(self.temporary / INDEX, "wb") as file:
            np.save(file, np.column_stack([np.cumsum(lengths) - lengths, shapes]))
        with atomic_write(self.temporary / DIGESTS, "wb") as file:
            np.save(file, contents.digests)
        write_json(self.temporary / BAD, self.bad)
        if self._file:
            self._file.flush()
            os.fsync(self._file.fileno())
        manifest = {**dataclasses.asdict(self.place.spec), "decoder": DECODER, "images": len(shapes)}
        manifest |= {"content": content_digest(contents.digests), "bytes": int(lengths.sum())}
        manifest["files"] = {name: file_digest(self.temporary / name) for name in (INDEX, DIGESTS, BAD)}
        if self._file:
            manifest["pixels"] = [short_digest(self._digest), os.stat(self.temporary / PIXELS).st_mtime_ns]
        write_record_file(self.temporary / MANIFEST, manifest)
        shutil.rmtree(self.place.folder, ignore_errors=True)  # damaged, or it would not be missing
        os.replace(self.temporary, self.place.folder)


def _fill(writers: list[_Writer], paths: Sequence[str], contents: Contents, title: str, workers: int) -> None:
    """Decode in threads (OpenCV lets go of the interpreter), write in order; a large picture once its turn has come."""
    large = contents.sizes.prod(axis=1) > LARGE_PIXELS

    def decoded(row: int) -> tuple[str, list]:
        try:
            image = read_image(paths[row])
            return "", [writer.prepare(image) for writer in writers]
        except UnreadableImage as error:
            return error.reason, [((0, 0), None)] * len(writers)

    def ahead(rows: Sequence[int]) -> list[tuple[str, list] | None]:
        return [None if large[row] else decoded(row) for row in rows]

    found = in_order(ahead, _chunks(contents.sizes), workers, f"{title}: decoding")
    for row, known in enumerate(found):
        fault, parts = known or decoded(row)
        for writer, part in zip(writers, parts, strict=True):
            writer.append(*part)
            if fault:
                writer.bad[row] = fault


def _chunks(sizes: np.ndarray) -> Iterator[list[int]]:
    """Divide the rows into tasks of bounded memory, so that large photographs do not fill it."""
    chunk: list[int] = []
    held = 0
    for row, (height, width) in enumerate(sizes.tolist()):
        if chunk and (held + height * width * 3 > CHUNK_BYTES or len(chunk) == CHUNK_IMAGES):
            yield chunk
            chunk, held = [], 0
        chunk.append(row)
        held += height * width * 3
    if chunk:
        yield chunk
