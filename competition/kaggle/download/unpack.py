"""Unzipping what somebody else made: nothing gets out of its folder, nothing special is made, nothing is half there.

Every name is judged before the first byte is written, every byte is checked, and no entry yields more than it declares.
"""

import contextlib
import errno
import lzma
import os
import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from competition.core.errors import UserError
from competition.core.paths import nearest_existing

CHUNK = 1 << 20
ROOM, LEAST = 1.02, 1_000_000  # for folders, and what file systems round up: so many times, and so many bytes, more
MAX_RATIO, ALWAYS_ALLOWED = 20, 100_000_000  # an archive may unpack to 20 times its size, and to 100 MB in any case
MAX_NAME = 255  # bytes of one part of a path, on nearly every file system

Plan = list[tuple[zipfile.ZipInfo, PurePosixPath]]


class Unsafe(ValueError):
    """An archive that must not be unpacked, with what is wrong in it."""


class Damaged(ValueError):
    """An archive that cannot be read to its end, with what is wrong in it."""


def unpack(archive: Path, folder: Path, expected: int = 0) -> None:
    """Unpack a zip archive into ``folder``, which must not exist and is gone again if anything goes wrong.

    ``expected``: bytes that its files are known to have, where that is known; one of far more is refused. Raises Unsafe
    and Damaged, UserError where the disk has no room for it, and OSError.
    """
    most = max(2 * expected, MAX_RATIO * archive.stat().st_size) + ALWAYS_ALLOWED
    with _opened(archive) as source:
        plan = judged(source, most)
        declared = sum(info.file_size for info, _ in plan)
        require_room(folder.parent, declared, "its files")
        bar = tqdm(total=declared, desc=f"unpack {archive.name}", unit="B", unit_scale=True, disable=None)
        with bar:
            try:
                folder.mkdir(parents=True)
                for info, path in plan:
                    _write(source, info, folder / path, bar)
            except BaseException:  # Ctrl-C, too
                shutil.rmtree(folder, ignore_errors=True)
                raise


def unpack_inner(folder: Path, keep: bool) -> list[str]:
    """Unpack the zip archives that lie in ``folder``, at any depth but not those within them, and return notes.

    Each goes to a folder of its name beside it (``train.zip`` to ``train/``), without one more ``train/`` where all it
    holds is in one already, and is removed then unless ``keep``. One that is not fit for it is left as it is, with a
    note.
    """
    notes = []
    for archive in sorted(path for path in folder.rglob("*") if path.suffix.lower() == ".zip" and path.is_file()):
        target, name = archive.with_suffix(""), archive.relative_to(folder)
        if target.exists():
            notes.append(f"{name} is left packed, for {target.name} lies beside it")
            continue
        temporary = archive.with_name(f".{archive.name}.part")
        try:
            unpack(archive, temporary)
        except (Unsafe, Damaged) as error:
            notes.append(f"{name} is left packed: {error}")
            continue
        if [path.name for path in temporary.iterdir()] == [target.name]:
            (temporary / target.name).rename(target)
            temporary.rmdir()
        else:
            temporary.rename(target)
        if not keep:
            archive.unlink()
    return notes


def require_room(folder: Path, needed: float, what: str) -> None:
    """Raise UserError unless ``needed`` bytes, and a little more, are free where ``folder`` is or will be, for us."""
    there = folder if folder.exists() else nearest_existing(folder.absolute())
    if not os.access(there, os.W_OK):
        raise UserError(f"{there} cannot be written to: change that, or name a folder elsewhere with data=.")
    free = shutil.disk_usage(there).free
    needed = needed * ROOM + LEAST
    if needed > free:
        raise UserError(
            f"{gigabytes(free)} are free at {there} and {what} need {gigabytes(needed)}: make room "
            "there, or name a folder on another disk with data=."
        )


def gigabytes(size: float) -> str:
    """Return bytes as ``4.6 GB``, small ones as ``12.3 MB``."""
    return f"{size / 1e9:,.1f} GB" if size >= 1e9 else f"{size / 1e6:,.1f} MB"


def judged(source: zipfile.ZipFile, most: int) -> Plan:
    """Return the files of an archive and where each goes, a path without ``..``; Unsafe if anything is wrong with them.

    ``most``: the bytes that they may declare in all.
    """
    plan: Plan = []
    files: set[PurePosixPath] = set()
    folders: set[PurePosixPath] = set()
    for info in source.infolist():
        path = _path(info)
        folders |= set(path.parents)
        if info.is_dir():
            folders.add(path)
            continue
        if path in files:
            raise Unsafe(f"it holds {_shown(info)} twice")
        files.add(path)
        plan.append((info, path))
    if both := files & folders:
        raise Unsafe(f"it holds '{min(both)}' both as a file and as a folder")
    declared = sum(info.file_size for info, _ in plan)
    if declared > most:
        raise Unsafe(f"its files claim {gigabytes(declared)}, far more than can be true")
    return plan


def _path(info: zipfile.ZipInfo) -> PurePosixPath:
    """Return where an entry goes; Unsafe for a name or a kind of entry that no data set needs."""
    name = info.orig_filename  # info.filename is cut at a NUL
    path = PurePosixPath(name)
    if name.startswith("/") or ".." in path.parts or re.match("[A-Za-z]:", name):
        raise Unsafe(f"{_shown(info)} leads out of its folder")
    if not path.parts or re.search(r"[\\\x00-\x1f\x7f]", name):
        raise Unsafe(f"{_shown(info)} cannot be the name of a file")
    if any(len(part.encode("utf-8", "surrogateescape")) > MAX_NAME for part in path.parts):
        raise Unsafe(f"{_shown(info)} is too long a name")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if kind not in (0, stat.S_IFDIR if info.is_dir() else stat.S_IFREG):
        what = "a link" if stat.S_ISLNK(kind) else "no ordinary file"
        raise Unsafe(f"{_shown(info)} is {what}")
    if info.flag_bits & 1:
        raise Unsafe(f"{_shown(info)} is encrypted")
    return path


def _shown(info: zipfile.ZipInfo) -> str:
    return ascii(info.orig_filename[:100])


@contextlib.contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    """Open an archive; whatever Python says of one that cannot be read is Damaged."""
    try:
        with zipfile.ZipFile(archive) as source:
            yield source
    except NotImplementedError as error:  # a compression that Python has not
        raise Unsafe(f"it needs another program to unpack it ({error})") from error
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, UnicodeDecodeError) as error:
        raise Damaged(str(error)) from error
    except OSError as error:  # so do bzip2's streams end, without a number, and places before the file's beginning
        if error.errno not in (None, errno.EINVAL):
            raise
        raise Damaged(str(error)) from error


def _write(source: zipfile.ZipFile, info: zipfile.ZipInfo, path: Path, bar: tqdm) -> None:
    """Write one file; its checksum is compared as its last byte is read."""
    path.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with source.open(info) as packed, open(path, "xb") as file:
        while part := packed.read(CHUNK):
            file.write(part)
            written += len(part)
            bar.update(len(part))
    if written != info.file_size:
        raise Damaged(f"{_shown(info)} has {written:,} bytes and declares {info.file_size:,}")
