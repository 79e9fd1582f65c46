"""Where each image came from: ``DIR/<label>/provenance.csv``, one row for each address, written as the answers come.

The file lies in the class folder because a CSV beside class folders means another layout to
:func:`data.layouts.read.read_dataset`. A row is on disk before the next is begun; a row cut short by a kill is
dropped when the file is read again.
"""

import csv
import dataclasses
import io
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from competition.collect.options import REFUSING, CollectOptions
from competition.core.errors import UserError
from competition.core.files import write_text
from competition.data.layouts.csv_text import csv_rows

NAME = "provenance.csv"


@dataclass(frozen=True, kw_only=True)
class Row:
    """What became of one address, in the order of the columns; all text, empty where unknown.

    file: the image relative to the data set's folder, for saved ones. address: as given; final_address: after
    redirects. time: UTC. sha256, bytes, width, height, perceptual_hash (16 hex digits) are those of what was served.
    status: ``saved``, ``duplicate of FILE``, ``near-duplicate of FILE``, ``refused: REASON`` or ``failed: REASON``.
    setting: what refused it, as it would be typed, where another value of it would not.
    """

    label: str
    file: str = ""
    address: str
    final_address: str = ""
    time: str = ""
    sha256: str = ""
    bytes: str = ""
    width: str = ""
    height: str = ""
    perceptual_hash: str = ""
    status: str
    setting: str = ""

    @property
    def kind(self) -> str:
        """The status without its details: saved, duplicate, near-duplicate, refused or failed."""
        return re.split("[ :]", self.status)[0]

    def finished(self, settings: CollectOptions) -> bool:
        """Tell whether another request is pointless: not if it failed, nor if a setting, since changed, refused it."""
        if self.kind != "refused" or not self.setting:
            return self.kind != "failed"
        return self.setting in [settings.typed(name) for name in REFUSING]


COLUMNS = [field.name for field in dataclasses.fields(Row)]


def now() -> str:
    """Return the time in UTC as ISO 8601, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a provenance file, none where there is no such file, without a last one that was cut short.

    Raises ``UserError`` for a file that is not a provenance file.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig", "replace")
    except FileNotFoundError:
        return []
    rows = [cells for _, cells in csv_rows(text[: text.rfind("\n") + 1], path)]
    header = rows[0] if rows else []
    lacking = [column for column in COLUMNS if column not in header]
    if rows and lacking:
        raise UserError(f"{path} has no column '{lacking[0]}': it is not this program's, so move it away.")
    return [
        Row(**{name: cell for name, cell in zip(header, cells, strict=True) if name in COLUMNS}) for cells in rows[1:]
    ]


@contextmanager
def appending(path: Path, rows: Iterable[Row]) -> Iterator[Callable[[Row], None]]:
    """Begin the file anew with ``rows``; yields what adds one more, which is on disk when that returns."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows(_cells(row) for row in rows)
    write_text(path, buffer.getvalue())
    with open(path, "a", encoding="utf-8", newline="") as file:
        added = csv.writer(file, lineterminator="\n")

        def add(row: Row) -> None:
            added.writerow(_cells(row))
            file.flush()
            os.fsync(file.fileno())

        yield add


def _cells(row: Row) -> list[str]:
    """Return a row's cells; a line break in one would look like the end of a row."""
    return [re.sub(r"[\r\n]+", " ", cell) for cell in dataclasses.astuple(row)]
