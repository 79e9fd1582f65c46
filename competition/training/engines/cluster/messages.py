"""What a job on a node sends here while it runs: its progress, and its files, in pieces, as they come about."""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from competition.core.errors import UserError
from competition.core.files import DRAFT, file_digest, short_digest
from competition.inference.job_files import DONE_FILE

PIECE = 64_000_000  # bytes that travel at a time: a node's memory for objects may be small


@dataclass(frozen=True)
class Began:
    """What the job computes on, in words."""

    device: str


@dataclass(frozen=True)
class Progress:
    """``images`` seen since the last one, and what the job does now, in words."""

    images: int
    note: str


@dataclass(frozen=True)
class Piece:
    """A part of the file ``place``, relative to the member's folder, or to the cache where it is ``cached``, from byte
    ``start`` on.

    ``digest``: of the whole file, with its last piece, and empty before.
    """

    place: str
    start: int
    content: bytes
    digest: str
    cached: bool = False


@dataclass(frozen=True)
class Kept:
    """All that a later try needs to go on from here has been sent."""


@dataclass(frozen=True)
class TaskFailed:
    """The job cannot be finished: an error for the user, or where there is none a traceback."""

    error: UserError | None
    traceback: str = ""


Message = Began | Progress | Piece | Kept | TaskFailed


def pieces(path: Path, place: str, cached: bool = False) -> Iterator[Piece]:
    """Yield a file in pieces: as it was when it was opened, though it may be replaced meanwhile."""
    digest, start = hashlib.blake2b(), 0
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        while True:
            content = file.read(PIECE)
            digest.update(content)
            last = start + len(content) >= size
            yield Piece(place, start, content, short_digest(digest) if last else "", cached)
            if last:
                return
            start += len(content)


def write_piece(path: Path, start: int, content: bytes) -> None:
    """Write a piece of a file from byte ``start`` on."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "r+b" if start else "wb") as file:
        file.seek(start)
        file.write(content)


@dataclass
class Outgoing:
    """Sends the files of a job's ``folder``, and those beside it, whenever they have changed."""

    folder: Path
    _sent: dict[Path, tuple[int, int]] = field(default_factory=dict)

    def point(self) -> tuple[int, int]:
        """Return what changes with each point that a later try could go on from: a date, and the largest such file's
        bytes."""
        found = [(0, 0)]
        for name in ("resume.pt", DONE_FILE):
            with contextlib.suppress(FileNotFoundError):
                status = (self.folder / name).stat()
                found.append((status.st_mtime_ns, status.st_size))
        dates, sizes = zip(*found, strict=True)
        return max(dates), max(sizes)

    def changed(self) -> Iterator[Piece]:
        """Yield the pieces of every file that was not sent as it is now, ``done.json`` last: it speaks of the others.

        A file that goes meanwhile is left out.
        """
        found = [path for path in [*self.folder.iterdir(), *self.folder.parent.glob("*.json")] if _is_sent(path)]
        for path in sorted(found, key=lambda path: (path.name == DONE_FILE, path)):
            try:
                status = path.stat()
                state = status.st_mtime_ns, status.st_size
                if self._sent.get(path) != state:
                    yield from pieces(path, path.relative_to(self.folder.parent).as_posix())
                    self._sent[path] = state
            except FileNotFoundError:
                continue


def _is_sent(path: Path) -> bool:
    return path.is_file() and not path.name.startswith(".")


class Incoming:
    """Puts what :class:`Outgoing` sends into the member's ``folder`` or the ``cache`` here, each file whole or not at
    all."""

    def __init__(self, folder: Path, cache: Path):
        self.folder, self.cache = folder, cache

    def take(self, piece: Piece) -> None:
        """Add a piece to its file; the last one puts the file in its place. UserError where it did not come whole."""
        root = self.cache if piece.cached else self.folder
        path = root / piece.place
        if not path.resolve().is_relative_to(root.resolve()):
            raise UserError(f"A node sends a file to {path}, which is not in the run's folder: see what runs there.")
        draft = path.with_name(f".{path.name}.incoming{DRAFT}")
        write_piece(draft, piece.start, piece.content)
        if not piece.digest:
            return
        with open(draft, "r+b") as file:
            os.fsync(file.fileno())
        if file_digest(draft) != piece.digest:
            draft.unlink()
            raise UserError(f"{path} did not come whole from its node: run the same line again.")
        os.replace(draft, path)
