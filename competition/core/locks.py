"""Locks that one process holds at a time, and that the system frees however the process ends."""

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from tqdm import tqdm

from competition.core.errors import UserError
from competition.core.files import DRAFT, sweep

TRIES = 100  # of taking a lock whose folder goes away meanwhile


@contextlib.contextmanager
def only_one(path: Path, patience: float, busy: str = "") -> Iterator[None]:
    """Hold an exclusive lock on ``path``, waiting up to ``patience`` seconds for another holder to end.

    What killed processes left below its folder is swept first, and other locks in it that nobody holds. The lock's file
    is gone afterwards, and its folder, too, if it was made for the lock and holds nothing else. Raises UserError with
    the sentence ``busy`` (left out: that another run works in this folder) if the other holder does not end.
    """
    made = [folder for folder in path.parents if not folder.exists()]
    try:
        held = _acquired(path, patience)
    except Timeout:
        busy = busy or f"Another run works in {path.parent}: wait for it, or use another name=."
        raise UserError(busy) from None
    with held, _tidied(path, made):
        yield


@contextlib.contextmanager
def waited_for(path: Path, message: str) -> Iterator[None]:
    """Hold a lock as :func:`only_one` does; while another process holds it, wait with ``message`` on the screen."""
    made = [folder for folder in path.parents if not folder.exists()]
    try:
        held = _acquired(path, 0)
    except Timeout:
        with tqdm(desc=message, bar_format="{desc}", disable=None):
            held = _acquired(path, -1)
    with held, _tidied(path, made):
        yield


def _acquired(path: Path, patience: float) -> contextlib.AbstractContextManager[Any]:
    """Return the lock, held; raises Timeout after ``patience`` seconds, never for a negative number of them."""
    for _ in range(TRIES):
        with contextlib.suppress(FileNotFoundError):  # its last holder removed the folder that it had made for it
            path.parent.mkdir(parents=True, exist_ok=True)
            return FileLock(path, timeout=patience).acquire()
    raise Timeout(str(path))


@contextlib.contextmanager
def _tidied(path: Path, made: Sequence[Path]) -> Iterator[None]:
    """Sweep the lock's folder, and on leaving, while the lock is held, remove its file and the folders made for it."""
    sweep(path.parent.rglob(f".*{DRAFT}"))
    for other in path.parent.glob(".*lock"):
        with contextlib.suppress(OSError, Timeout):  # one that is held stays
            if other != path and not other.stat().st_size:
                with FileLock(other, timeout=0):
                    other.unlink()
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # Windows removes no open file; a folder that holds something stays
            path.unlink()
            for folder in made:
                folder.rmdir()
