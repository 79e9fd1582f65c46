"""What tells whether the files of a run or a cache are as they were written, and a sentence where they are not.

A record is JSON with a seal, the fingerprint of the rest: half of it, a flipped bit or another value is seen.
A record of the first release has no seal and is taken as it is.
"""

import json
import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from competition.core.errors import UserError
from competition.core.files import file_digest, fingerprint, write_json

SEAL = "seal"
MOST = 10**8  # bytes that a record may have: it is read whole
# All that NumPy and zipfile answer a damaged archive of arrays with.
NO_ARRAYS: tuple[type[Exception], ...] = (
    *(OSError, ValueError, LookupError, EOFError, RuntimeError, OverflowError, SyntaxError, TypeError),
    *(zipfile.BadZipFile, zlib.error, struct.error),
)


def sealed(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record with its seal."""
    return {**value, SEAL: fingerprint(_as_read(value))}


def write_record_file(path: Path, value: Mapping[str, Any]) -> None:
    """Write a record to ``path``, sealed, atomically."""
    write_json(path, sealed(value))


def stands(path: Path, value: Mapping[str, Any]) -> bool:
    """Whether ``path`` holds this record, undamaged."""
    return bool(kept_record(path) == _as_read(value))


def read_record_file(path: Path) -> dict[str, Any] | None:
    """Return the record in ``path`` without its seal, or None where there is none. UserError where it is damaged."""
    try:
        found = Path(path).stat()
        if not stat.S_ISREG(found.st_mode):
            raise damaged(path, "it is not a file")
        if found.st_size > MOST:
            raise damaged(path, "it is far larger than any record")
        value = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(value, dict):
            raise ValueError("it holds no record")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not the JSON that was written"
        raise damaged(path, str(reason)) from error
    seal = value.pop(SEAL, None)
    if seal not in (None, fingerprint(value)):
        raise damaged(path, "it was changed after it was written")
    return value


def kept_record(path: Path) -> dict[str, Any]:
    """Return the record in ``path`` where it is one that a next step writes anew; nothing where there is none, or a
    damaged one."""
    try:
        return read_record_file(path) or {}
    except UserError:
        return {}


def content_mark(path: Path) -> list[Any]:
    """Return what a file's content is known by: its size in bytes and its digest."""
    return [path.stat().st_size, file_digest(path)]


def check_content(path: Path, mark: Sequence[Any] | None) -> None:
    """Raise UserError where a file's content is not the one of this :func:`content_mark`; None is any content."""
    if not has_content(path, mark):
        raise damaged(path, "its content is not what was written")


def has_content(path: Path, mark: Sequence[Any] | None) -> bool:
    """Whether a file is there, with the content of this :func:`content_mark`; None is any content. A file of another
    size, which may be huge, is not read."""
    try:
        found = path.stat().st_size
        return mark is None or (found == mark[0] and file_digest(path) == mark[1])
    except OSError:
        return False


def read_arrays(path: Path) -> dict[str, np.ndarray] | None:
    """Return the arrays of an .npz, or None where there is none or it is damaged: it is then made again."""
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except NO_ARRAYS:
        return None


def check_plain(folder: Path) -> None:
    """Raise UserError for the first thing below a folder of ours that is neither a file nor a folder, nor a link to
    one: a pipe, on which a reader would wait for ever, a device, a link to nowhere or in a circle."""
    for place, folders, names in os.walk(folder):
        for name in [*folders, *names]:
            path = Path(place, name)
            try:
                mode = path.stat().st_mode
            except FileNotFoundError:
                if not path.is_symlink():
                    continue  # another process has just removed it
                mode = 0
            except OSError:
                mode = 0
            if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
                raise UserError(f"{path} is neither a file nor a folder: delete it, and run the same line again.")


def damaged(path: Path, reason: str) -> UserError:
    """Return the sentence about a file of ours that cannot be used."""
    return UserError(f"{path} is damaged ({reason}): delete it, and run the line that made it again.")


def _as_read(value: Mapping[str, Any]) -> Any:
    """Return what reading the written value gives: lists for tuples, words for numbers as keys."""
    return json.loads(json.dumps(value))
