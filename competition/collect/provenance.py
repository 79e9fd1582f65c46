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
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from competition.collect.addresses import same
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
    setting: what refused it, as it would be typed, where another value of it would not. licence, author and page are
    what a search says.
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
    licence: str = ""
    author: str = ""
    page: str = ""

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
NEW = ("licence", "author", "page")  # columns that older files lack


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a provenance file, the last of each address, without one that was cut short; none where there
    is no such file. Raises ``UserError`` for a file that is not a provenance file."""
    try:
        text = path.read_bytes().decode("utf-8-sig", "replace")
    except FileNotFoundError:
        return []
    rows = [cells for _, cells in csv_rows(text[: text.rfind("\n") + 1], path)]
    header = rows[0] if rows else []
    if lacking := [column for column in COLUMNS if column not in (*header, *NEW) and rows]:
        raise UserError(f"{path} has no column '{lacking[0]}': it is not this program's, so move it away.")
    cells = ({name: cell for name, cell in zip(header, row, strict=True) if name in COLUMNS} for row in rows[1:])
    return list({same(row.address): row for row in (Row(**one) for one in cells)}.values())


class Provenance:
    """A provenance file: its ``rows`` by :func:`addresses.same`; begun anew when the first row is added, so that
    nothing is written where nothing is new."""

    def __init__(self, path: Path):
        self.rows = {same(row.address): row for row in read_rows(path)}
        self._path = path
        self._file: IO[str] | None = None

    def add(self, row: Row) -> None:
        """Add a row, in place of another of its address; it is on disk when this returns."""
        if self._file is None:
            self._write()
            self._file = open(self._path, "a", encoding="utf-8", newline="")
        self.rows[same(row.address)] = row
        self._file.write(_lines([row]))
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Leave one row for each address."""
        if self._file:
            self._file.close()
            self._write()

    def _write(self) -> None:
        write_text(self._path, ",".join(COLUMNS) + "\n" + _lines(self.rows.values()))


def _lines(rows: Iterable[Row]) -> str:
    """Return rows as CSV; a line break in a cell would look like the end of a row."""
    buffer = io.StringIO()
    cells = ([re.sub(r"[\r\n]+", " ", cell) for cell in dataclasses.astuple(row)] for row in rows)
    csv.writer(buffer, lineterminator="\n").writerows(cells)
    return buffer.getvalue()
