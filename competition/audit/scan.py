"""One pass over image files: what each says of itself and, on request, its decoded picture's hash and thumbnail.

What was found is kept by content, in pieces of a few thousand files: a second audit decodes nothing, a killed one loses
little, and files that are moved or touched are not looked at anew.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from competition.core.files import atomic_write, fingerprint
from competition.core.intact import read_arrays
from competition.data.duplicates.perceptual_hash import SIDE, perceptual_hashes, thumbnail
from competition.data.images.credentials import library
from competition.data.images.decode import DECODER, UnreadableImage, decode, header_size, read_bytes, room_for
from competition.data.images.file_contents import in_order
from competition.data.images.file_facts import KINDS, NUMBERS, file_facts

PICTURES = ("hashes", "thumbnails")  # in a record, of decoded images
VERSION = 3  # raise it when the same file would give other facts
RECORD_FILES = 2048  # files in one record
TASK_FILES = 16  # files in one task of a thread, which holds one decoded picture at a time


@dataclass(frozen=True)
class Scan:
    """What files hold, in order.

    facts: ``NUMBERS`` (float) and ``KINDS`` (object) of :mod:`competition.data.images.file_facts`, and ``fault``: why a
    file is not a whole image, or None.
    hashes: uint64 (n,) and thumbnails: uint8 (n, 32, 32), zeros where there is a fault; both empty if not decoded.
    """

    facts: pd.DataFrame
    hashes: np.ndarray
    thumbnails: np.ndarray


def scan(paths: Sequence[str], digests: np.ndarray, folder: Path, pixels: bool, title: str, workers: int) -> Scan:
    """Look at each of ``paths``, whose contents have ``digests`` (n, 16); remember it in ``folder``/audit.

    With ``pixels`` each file is decoded once; without, only headers are read, and a fault is one of the header.
    """
    pieces = _cut(range(len(paths)), RECORD_FILES)
    records = [folder / "audit" / f"{_key(digests[list(piece)], pixels)}.npz" for piece in pieces]
    found = {number: kept for number, record in enumerate(records) if (kept := _recall(record)) is not None}
    lacking = [number for number in range(len(records)) if number not in found]
    tasks = [rows for number in lacking for rows in _cut(pieces[number], TASK_FILES)]
    looks = in_order(lambda rows: [_look(paths[row], pixels) for row in rows], tasks, workers, title)
    for number in lacking:
        taken = [next(looks) for _ in pieces[number]]
        found[number] = _arrays(taken, pixels)
        with atomic_write(records[number], "wb") as file:
            np.savez(file, **found[number])
    next(looks, None)  # lets the threads go
    parts = [_arrays([], True), *(found[number] for number in range(len(records)))]
    facts = [row for part in parts for row in json.loads(part["facts"].tobytes())]
    table = pd.DataFrame(facts, columns=[*NUMBERS, *KINDS, "fault"], dtype=object).astype(dict.fromkeys(NUMBERS, float))
    hashes, thumbnails = (np.concatenate([part[name] for part in parts if name in part]) for name in PICTURES)
    return Scan(table, hashes, thumbnails)


def _key(digests: np.ndarray, pixels: bool) -> str:
    return fingerprint(np.ascontiguousarray(digests), VERSION, library(), DECODER if pixels else "headers")


def _cut(rows: range, size: int) -> list[range]:
    return [rows[start : start + size] for start in range(0, len(rows), size)]


def _recall(record: Path) -> dict[str, Any] | None:
    return read_arrays(record)


def _look(path: str, pixels: bool) -> tuple[dict[str, Any], np.ndarray | None]:
    """Return the facts of one file and its thumbnail, ``None`` where there is none."""
    try:
        raw = read_bytes(path)
    except UnreadableImage as error:
        return {"fault": error.reason}, None
    facts = file_facts(raw)
    try:
        size = header_size(raw, path)
        if not pixels:
            return facts, None
        with room_for(size):
            image = decode(raw, path)
            grey = bool((image[..., 0] == image[..., 1]).all() and (image[..., 1] == image[..., 2]).all())
            small = thumbnail(image)
            del image
    except UnreadableImage as error:
        return facts | {"fault": error.reason}, None
    return facts | {"greyscale": grey}, small


def _arrays(looks: list[tuple[dict, np.ndarray | None]], pixels: bool) -> dict[str, np.ndarray]:
    facts = json.dumps([facts for facts, _ in looks]).encode()
    arrays = {"facts": np.frombuffer(facts, np.uint8)}
    if not pixels:
        return arrays
    pictures = np.zeros((len(looks), SIDE, SIDE), np.float32)
    for row, (_, picture) in enumerate(looks):
        if picture is not None:
            pictures[row] = picture
    return arrays | {
        "hashes": perceptual_hashes(pictures),
        "thumbnails": np.clip(np.rint(pictures), 0, 255).astype(np.uint8),
    }
