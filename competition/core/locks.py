"""Locks that one process holds at a time, and that the system frees however the process ends."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout
from tqdm import tqdm

from competition.core.errors import UserError


@contextlib.contextmanager
def only_one(path: Path, patience: float, busy: str = "") -> Iterator[None]:
    """Hold an exclusive lock on ``path``, waiting up to ``patience`` seconds for another holder to end.

    Raises UserError with the sentence ``busy`` (left out: that another run works in this folder) if it does not.
    """
    try:
        held = FileLock(path, timeout=patience).acquire()
    except Timeout:
        busy = busy or f"Another run works in {path.parent}: wait for it, or use another name=."
        raise UserError(busy) from None
    with held:
        yield


@contextlib.contextmanager
def waited_for(path: Path, message: str) -> Iterator[None]:
    """Hold an exclusive lock on ``path``; while another process holds it, wait with ``message`` on the screen."""
    lock = FileLock(path)
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        with tqdm(desc=message, bar_format="{desc}", disable=None):
            held = lock.acquire()
    with held:
        yield
