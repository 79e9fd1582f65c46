"""Where each image came from: ``DIR/<label>/provenance.csv``, written as answers come; an address's last row counts.

The file lies in the class folder because a CSV beside class folders means another layout to
:func:`data.layouts.read.read_dataset`. A row is on disk before the next is begun; a row cut short by a kill is dropped.
"""

import csv
import os
import re
from pathlib import Path
from typing import NamedTuple

from competition.collect.options import CollectOptions
from competition.core.errors import UserError
from competition.core.files import atomic_write
from competition.data.layouts.csv_text import csv_rows

NAME = "provenance.csv"
MAX_CELL = 9000  # characters
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

    def finished(self, options: CollectOptions) -> bool:
        """Tell whether another request is pointless: not if it failed, nor if a setting, since changed, refused it."""
        key, _, value = self.setting.partition("=")
        return self.kind != "failed" and str(getattr(options, key, value)).lower() == value


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
    return list({row.address: row for row in (Row(**cells) for cells in named)}.values())


class Provenance:
    """A provenance file, and its ``rows`` by address. It is written anew before the first row is added to it."""

    def __init__(self, path: Path):
        self.rows = {row.address: row for row in read_rows(path)}
        self._path, self._untouched = path, True

    def add(self, row: Row) -> None:
        """Add a row, in place of another of its address; it is on disk when this returns."""
        # A line break would look like the end of a row; of lone surrogates, as in an API's answer, none can be written.
        row = Row(*(re.sub(r"[\r\n]+", " ", cell)[:MAX_CELL].encode("utf-8", "replace").decode() for cell in row))
        if self._untouched:
            with atomic_write(self._path) as file:
                csv.writer(file, lineterminator="\n").writerows([Row._fields, *self.rows.values()])
            self._untouched = False
        self.rows[row.address] = row
        with open(self._path, "a", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow(row)
            file.flush()
            os.fsync(file.fileno())
