"""Writing so that a kill leaves the old file or the new one, never half of one; and fingerprints of what was read."""

import contextlib
import glob
import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import IO, Any

from competition.core.signals import held_back

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

DRAFT = ".telltale.tmp"  # how the names of temporary files and folders end; they begin with a dot
ABANDONED_SECONDS = 86_400.0  # after which nobody fills one any more, where no lock can say so


@contextlib.contextmanager
def atomic_write(path: Path, mode: str = "w") -> Iterator[IO[Any]]:
    """Open a temporary file beside ``path``; on leaving, flush it to disk and put it in ``path``'s place.

    Text is UTF-8 with ``\\n`` line ends. If the block raises, ``path`` is untouched and the temporary file is gone;
    those of killed processes that wrote the same file are swept first.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep_drafts(path)
    try:
        handle, temporary = _draft(lambda: tempfile.mkstemp(prefix=f".{path.name}.", suffix=DRAFT, dir=path.parent))
    except OSError as error:
        error.filename = str(path)
        raise
    encoding, newline = (None, None) if "b" in mode else ("utf-8", "\n")
    try:
        with os.fdopen(handle, mode, encoding=encoding, newline=newline) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if fcntl is not None:  # while the lock on it says that its maker lives
                _put(temporary, path)
        if fcntl is None:  # Windows moves no open file
            _put(temporary, path)
    except BaseException as error:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        if isinstance(error, OSError) and error.filename is None:  # of a full disk the system does not say which file
            error.filename = str(path)
        raise
    _sync_folder(path.parent)


@contextlib.contextmanager
def draft_folder(path: Path) -> Iterator[Path]:
    """Make a temporary folder beside ``path``, to be filled and put in its place; on leaving, what is left of it goes.

    Left-overs of killed processes that filled one for the same ``path`` are swept first.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    sweep_drafts(path)

    def made() -> tuple[int | None, str]:
        name = tempfile.mkdtemp(prefix=f".{path.name}.", suffix=DRAFT, dir=path.parent)
        return (os.open(name, os.O_RDONLY) if fcntl else None), name

    handle, name = _draft(made)
    try:
        os.chmod(name, 0o755)
        yield Path(name)
    finally:
        shutil.rmtree(name, ignore_errors=True)
        if handle is not None:
            os.close(handle)


@contextlib.contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder for temporary files, which goes with all that is in it; an interrupt never leaves it behind."""
    folder = ""
    try:
        with held_back():
            folder = tempfile.mkdtemp(prefix="telltale-")
        yield Path(folder)
    finally:
        with held_back():
            shutil.rmtree(folder, ignore_errors=True)


def sweep_drafts(path: Path) -> None:
    """Remove the temporary files and folders that were to become ``path`` and that killed processes left."""
    with contextlib.suppress(OSError):
        sweep(path.parent.glob(f".{glob.escape(path.name)}.*{DRAFT}"))


def sweep(drafts: Iterable[Path]) -> None:
    """Remove the temporary files and folders among ``drafts`` that killed processes left; a living one's stay."""
    for path in drafts:
        if path.name.startswith(".") and path.name.endswith(DRAFT):
            with contextlib.suppress(OSError):
                _remove_abandoned(path)


def _put(temporary: str, path: Path) -> None:
    os.chmod(temporary, 0o644)
    os.replace(temporary, path)


def _draft(make: Callable[[], tuple[Any, str]]) -> tuple[Any, str]:
    """Return an open handle of what ``make`` made, and its path; the lock on the handle says that its maker lives."""
    while True:
        handle, name = make()
        if fcntl is None or handle is None:
            return handle, name
        with contextlib.suppress(OSError):  # a file system without locks: it counts as abandoned when it is old
            fcntl.flock(handle, fcntl.LOCK_EX)
        if os.fstat(handle).st_nlink:  # or a sweep found it before it was locked
            return handle, name
        os.close(handle)


def _remove_abandoned(path: Path) -> None:
    """Remove a temporary file or folder that nobody fills any more: provably, or because it is older than a day. Raises
    OSError where its maker lives."""
    if path.is_symlink() or not (path.is_file() or path.is_dir()):
        return
    remove = shutil.rmtree if path.is_dir() else os.unlink
    if time.time() - path.stat().st_mtime > ABANDONED_SECONDS:
        remove(path)
    elif fcntl is not None:
        handle = os.open(path, os.O_RDONLY)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove(path)  # before the lock goes: a maker who waits for it sees then that there is nothing left
        finally:
            os.close(handle)


def _sync_folder(folder: Path) -> None:
    """Make a rename in ``folder`` survive a power cut (a no-op where folders cannot be opened)."""
    with contextlib.suppress(OSError):
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` atomically."""
    with atomic_write(path) as file:
        file.write(text)


def holds(path: Path, content: bytes) -> bool:
    """Whether ``path`` is a plain file of these bytes; one of another size, which may be huge, is not read."""
    return path.is_file() and path.stat().st_size == len(content) and path.read_bytes() == content


def write_changed(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` atomically, unless that is what stands there."""
    if not holds(path, text.encode()):
        write_text(path, text)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` to ``path`` as indented JSON, atomically; NaN is refused."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Return the JSON value in ``path``, or ``None`` where there is no such file."""
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None


def fingerprint(*parts: Any) -> str:
    """Return 16 hex digits that change whenever any part does.

    Parts are JSON values (dictionaries count as unordered), bytes or arrays with ``tobytes``.
    """
    digest = hashlib.blake2b(digest_size=8)
    for part in parts:
        if isinstance(part, bytes):
            raw = part
        elif hasattr(part, "tobytes"):
            raw = f"{part.dtype}{part.shape}".encode() + part.tobytes()
        else:
            raw = json.dumps(part, sort_keys=True).encode()
        digest.update(len(raw).to_bytes(8, "little"))
        digest.update(raw)
    return digest.hexdigest()


def file_digest(path: Path | str) -> str:
    """Return 16 hex digits that identify a file's content, wherever it lies; read in pieces, whatever its size."""
    with open(path, "rb") as file:
        return short_digest(hashlib.file_digest(file, "blake2b"))


def short_digest(digest: Any) -> str:
    """Return what :func:`file_digest` makes of bytes that were fed to a ``hashlib.blake2b``."""
    return str(digest.hexdigest())[:16]


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
