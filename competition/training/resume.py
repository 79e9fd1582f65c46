"""Resume points as plain tensors: written atomically, and read without unpickling anything."""

import io
import pickle
import zipfile
from pathlib import Path
from typing import IO, Any, cast

import torch

from competition.core.files import atomic_write
from competition.core.intact import NO_ARRAYS
from competition.core.signals import held_back

# All that torch answers damaged bytes with.
UNREADABLE: tuple[type[Exception], ...] = (*NO_ARRAYS, pickle.UnpicklingError, AttributeError)


def save_resume(path: Path, state: dict[str, Any]) -> None:
    """Write a resume point: tensors, numbers, words, lists and dictionaries only, TypeError for all else, which
    :func:`load_resume` would not read. An interrupt waits until it is written: torch.save would hide it."""
    _check_plain(state, "state")
    with held_back(), atomic_write(path, "wb") as file:
        sink = _Sink(file)
        try:
            torch.save(state, cast(IO[bytes], sink))
        except RuntimeError as error:
            raise sink.error or error from None


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


class _Sink(io.BufferedIOBase):
    """Passes bytes on to a file and keeps the system's error, which torch.save hides behind one of its own."""

    def __init__(self, file: IO[bytes]):
        super().__init__()
        self.file = file
        self.error: OSError | None = None

    def write(self, part: Any) -> int:
        try:
            return self.file.write(part)
        except OSError as error:
            self.error = error
            raise


def load_resume(path: Path) -> dict[str, Any] | None:
    """Return the resume point in ``path``, or None where there is none or it is damaged (it is then unused)."""
    try:
        with zipfile.ZipFile(path) as archive:  # torch reads no checksum
            if archive.testzip():
                return None
        return torch.load(path, map_location="cpu", weights_only=True)
    except UNREADABLE:
        return None
