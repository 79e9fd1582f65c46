"""Resume points as plain tensors: written atomically, and read without unpickling anything."""

import contextlib
import pickle
import signal
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from competition.core.files import atomic_write


def save_resume(path: Path, state: dict[str, Any]) -> None:
    """Write a resume point: tensors, numbers, words, lists and dictionaries only, TypeError for all else, which
    :func:`load_resume` would not read. Ctrl-C waits until it is written."""
    _check_plain(state, "state")
    with _uninterrupted(), atomic_write(path, "wb") as file:
        torch.save(state, file)


def _check_plain(value: Any, where: str) -> None:
    """Raise TypeError for what weights_only refuses, such as a NumPy number."""
    if isinstance(value, dict):
        for key, part in value.items():
            _check_plain(part, f"{where}[{key!r}]")
    elif isinstance(value, list | tuple):
        for part in value:
            _check_plain(part, where)
    elif value is not None and type(value) not in (bool, int, float, str) and not isinstance(value, torch.Tensor):
        raise TypeError(f"{where} is {type(value).__qualname__}, which a resume point cannot hold")


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold Ctrl-C back: torch.save answers it with an error of its own, which would hide it."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    pressed = []
    before = signal.signal(signal.SIGINT, lambda *_: pressed.append(True))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if pressed:
        raise KeyboardInterrupt


def load_resume(path: Path) -> dict[str, Any] | None:
    """Return the resume point in ``path``, or None where there is none or it is not readable (it is then unused)."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (FileNotFoundError, EOFError, RuntimeError, pickle.UnpicklingError):
        return None
