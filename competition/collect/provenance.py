"""Where each image came from: ``DIR/<label>/provenance.csv``, one row for each address, written as the answers come.

The file lies in the class folder because a CSV beside class folders means another layout to
:func:`data.layouts.read.read_dataset`. A row is on disk before the next is begun; a row cut short by a kill is
dropped when the file is read again.
"""

import csv
import os
import re
from pathlib import Path
from typing import IO, NamedTuple

from competition.collect.options import REFUSING, CollectOptions
from competition.core.errors import UserError
from competition.core.files import atomic_write
from competition.data.layouts.csv_text import csv_rows

NAME = "provenance.csv"
NEW = ("licence", "author", "page")  # columns that older files lack


class Row(NamedTuple):
    """What became of one address; all text, empty where unknown.

    file: the image relative to the data set's folder, for saved ones. address: as given; final_address: after
    redirects. time: UTC. sha256, bytes, width, height, perceptual_hash (16 hex digits) are those of what was served.
    status: ``saved``, ``duplicate of FILE``, ``near-duplicate of FILE``, ``refused: REASON`` or ``failed: REASON``.
    setting: what refused it, as it would be typed, where another value of it would not. licence and author are what a
    search says, page is where it or a page shows the image.
    """

    label: str
    file: str = ""
    address: str = ""
    final_address: str = ""
    time: str = ""
    sha256: str = ""
    bytes: str = ""
    width: str = ""
    height: str = ""
    perceptual_hash: str = ""
    status: str = ""
    setting: str = ""
    licence: str = ""
    author: str = ""
    page: str = ""

    @property
    def kind(self) -> str:
        """The status without its details: saved, duplicate, near-duplicate, refused or failed."""
        return re.split("[ :]", self.status)[0]

    @property
    def key(self) -> str:
        """What two spellings of one address have in common: all but its ``#fragment``."""
        return self.address.partition("#")[0]

    def finished(self, settings: CollectOptions) -> bool:
        """Tell whether another request is pointless: not if it failed, nor if a setting, since changed, refused it."""
        if self.kind != "refused" or not self.setting:
            return self.kind != "failed"
        return self.setting in [settings.typed(name) for name in REFUSING]


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a provenance file, the last of each address, without one that was cut short; none where there
    is no such file. Raises ``UserError`` for a file that is not a provenance file."""
    if not path.exists():
        return []
    text = path.read_bytes().decode("utf-8-sig", "replace")
    header, *rows = [cells for _, cells in csv_rows(text[: text.rfind("\n") + 1], path)] or [list(Row._fields)]
    if lacking := [column for column in Row._fields if column not in (*header, *NEW)]:
        raise UserError(f"{path} has no column '{lacking[0]}': it is not this program's, so move it away.")
    named = ({name: cell for name, cell in zip(header, cells, strict=True) if name in Row._fields} for cells in rows)
    return list({row.key: row for row in (Row(**cells) for cells in named)}.values())


class Provenance:
    """A provenance file: its ``rows`` by their key. It is written anew before the first row is added and when it is
    closed, so that nothing is written where nothing is new, and each address keeps one row."""

    def __init__(self, path: Path):
        self.rows = {row.key: row for row in read_rows(path)}
        self._path = path
        self._file: IO[str] | None = None

    def add(self, row: Row) -> None:
        """Add a row, in place of another of its address; it is on disk when this returns."""
        row = Row(*(re.sub(r"[\r\n]+", " ", cell) for cell in row))  # a line break would look like the end of a row
        if self._file is None:
            self._write()
            self._file = open(self._path, "a", encoding="utf-8", newline="")
        self.rows[row.key] = row
        csv.writer(self._file, lineterminator="\n").writerow(row)
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Leave one row for each address."""
        if self._file:
            self._file.close()
            self._write()

    def _write(self) -> None:
        with atomic_write(self._path) as file:
            csv.writer(file, lineterminator="\n").writerows([Row._fields, *self.rows.values()])
