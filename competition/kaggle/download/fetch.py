"""A competition's archive, fetched by the Kaggle command line and resumed as long as bytes come.

Whether it is all there is judged by the file itself: the command line's exit status is not believed.
"""

import contextlib
import time
import zipfile
from pathlib import Path

from tqdm import tqdm

from competition.core.errors import Unfinished
from competition.kaggle.client.api import Kaggle
from competition.kaggle.client.cli import run_cli
from competition.kaggle.client.retry import FIRST_PAUSE, MAX_PAUSE, Unreachable
from competition.kaggle.download.unpack import gigabytes, require_room

MARKER = ".kaggle-partial"  # beside a file that the Kaggle command line has begun, with what it needs to resume
CALLS, MIN_SILENCE = 5, 5.0  # a call may be silent for a fifth of the patience, and for as many seconds in any case
SIGN = b"PK"  # what every zip archive begins with


def fetch(kaggle: Kaggle, slug: str, folder: Path, unpacked: int, patience: float) -> Path:
    """Return the archive of all of a competition's files, in ``folder``, which is its own.

    ``unpacked``: bytes that its files are known to take, so that there is room for both before anything is fetched.
    Raises KaggleRefusal where Kaggle says no, UserError without disk room, and Unfinished after ``patience`` seconds
    without a byte more, or for an archive that is damaged, which is thrown away; the same call then goes on.
    """
    total = kaggle.archive_bytes(slug)
    folder.mkdir(parents=True, exist_ok=True)
    most, since, pause = size_in(folder), time.monotonic(), FIRST_PAUSE
    with tqdm(total=total, initial=most, desc=slug, unit="B", unit_scale=True, disable=None) as bar:

        def shown_size() -> int:
            size = size_in(folder)
            bar.update(size - bar.n)
            return size

        while True:
            _drop_other_than_zip(folder)
            require_room(folder, total - size_in(folder) + max(unpacked, total), "the archive and its files")
            words = ["competitions", "download", slug, "-q", "-p", str(folder)]
            reply = run_cli(words, max(patience / CALLS, MIN_SILENCE), shown_size)
            if found := _whole(folder, slug, total):
                return found
            try:
                total = bar.total = kaggle.archive_bytes(slug)
            except Unreachable as error:
                raise Unfinished(f"{_so_far(slug, folder, total)}: {error}") from error
            if total and size_in(folder) > total and (path := _archive(folder)):
                _drop(path)  # what is left of a longer archive, which a shorter one replaced
            if (size := size_in(folder)) > most:
                most, since, pause = size, time.monotonic(), FIRST_PAUSE
            elif time.monotonic() - since + pause > patience:
                why = "the Kaggle command line fell silent" if reply.status is None else reply.last
                raise Unfinished(
                    f"{_so_far(slug, folder, total)}, and no more came for {patience:.0f} seconds ({why}): the same "
                    "line goes on from there."
                )
            time.sleep(pause)
            pause = min(2 * pause, MAX_PAUSE)


def size_in(folder: Path) -> int:
    """Return how many bytes of the archive are in its folder."""
    path = _archive(folder)
    with contextlib.suppress(FileNotFoundError):
        return path.stat().st_size if path else 0
    return 0


def _archive(folder: Path) -> Path | None:
    """Return the one file that the command line makes, which it names by the address it is sent to."""
    names = folder.iterdir() if folder.is_dir() else ()
    return next((path for path in names if path.name[0] != "." and path.suffix != MARKER and path.is_file()), None)


def _marker(path: Path) -> Path:
    return path.with_name(path.name + MARKER)


def _drop(path: Path) -> None:
    path.unlink()
    _marker(path).unlink(missing_ok=True)


def _drop_other_than_zip(folder: Path) -> None:
    """Throw away a part that does not begin as a zip does: the command line writes an error's page over it at times,
    and would take that for the archive's beginning."""
    if (path := _archive(folder)) and path.stat().st_size:
        with open(path, "rb") as file:
            begins = file.read(len(SIGN))
        if begins != SIGN:
            _drop(path)


def _whole(folder: Path, slug: str, total: int) -> Path | None:
    """Return the archive if all of it is there; Unfinished if it is then no zip."""
    path = _archive(folder)
    if path is None or (path.stat().st_size != total if total else _marker(path).exists()):
        return None
    _marker(path).unlink(missing_ok=True)  # all was written, and the command line ended before it noted that
    try:
        with zipfile.ZipFile(path):
            return path
    except (zipfile.BadZipFile, UnicodeDecodeError) as error:
        _drop(path)
        raise Unfinished(
            f"What Kaggle sends as the archive of {slug} is not a zip archive ({error}): it was thrown away, and the "
            "same line downloads it anew."
        ) from error


def _so_far(slug: str, folder: Path, total: int) -> str:
    return f"{gigabytes(size_in(folder))} of the {gigabytes(total)} of {slug} are there"
