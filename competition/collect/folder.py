"""The data set's folder: its images by content, and in ``DIR/<label>/provenance.csv`` what became of each address.

The file lies in the class folder because a CSV beside class folders means another layout to
:func:`data.layouts.read.read_dataset`. Of two rows of an address the later counts.
"""

import csv
import hashlib
import os
import re
from array import array
from collections import Counter, defaultdict
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scrapy.http import Response, TextResponse

from competition.collect.options import CollectOptions
from competition.core.errors import UserError
from competition.core.files import atomic_write
from competition.core.text import one_line
from competition.data.duplicates.perceptual_hash import near, perceptual_hash
from competition.data.images.decode import UnreadableImage, decode
from competition.data.images.file_facts import file_facts
from competition.data.layouts.csv_text import csv_rows

NAME = "provenance.csv"
MAX_CELL = 9000  # characters


class Row(NamedTuple):
    """What became of one address; all text, empty where unknown.

    file: the image relative to the data set's folder, for saved ones. address: as given; final_address: after
    redirects. time: UTC. sha256 to perceptual_hash (16 hex digits) are those of what was served. status: ``saved``,
    ``duplicate of FILE``, ``near-duplicate of FILE`` or what :class:`collect.crawl.NoAnswer` says. licence and author
    are what a search says, page is where it or a page shows the image.
    """

    label: str = ""
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
    licence: str = ""
    author: str = ""
    page: str = ""


def read_rows(path: Path) -> list[Row]:
    """Return the rows of a provenance file, without one that was cut short; ``UserError`` for another file."""
    text = path.read_bytes().decode("utf-8-sig", "replace")
    whole = text[: text.rfind("\n") + 1] or text
    header, *rows = [cells for _, cells in csv_rows(whole, path)] or [list(Row._fields)]
    if lacking := [column for column in ("address", "status") if column not in header]:
        raise UserError(f"{path} has no column '{lacking[0]}': it is not this program's, so move it away.")
    named = ({name: cell for name, cell in zip(header, cells, strict=True) if name in Row._fields} for cells in rows)
    return [Row(**cells)._replace(label=path.parent.name) for cells in named]


class DataFolder:
    """What became of each address: its ``rows`` by label and address, and how many ``images`` each class has by them.

    The same bytes are known whatever the label. A near-duplicate is one of the same label only: an image and its edit
    by AI are alike, and the pairs from which there is most to learn. Images that were saved and are gone are known,
    too, for the user has weeded them out. One that has no row yet, because its run was killed, comes again.
    """

    def __init__(self, options: CollectOptions):
        self._options, self._out = options, Path(options.out)
        self._begun: set[str] = set()  # labels whose files were written anew, without what a kill left of a row
        self._by_sha256: dict[str, str] = {}
        self._named: dict[str, list[str]] = defaultdict(list)  # of each label, the files of these hashes:
        self._hashes: dict[str, array[int]] = defaultdict(
            lambda: array("Q")
        )  # they grow in place, for they may be many
        self.rows: dict[str, dict[str, Row]] = defaultdict(dict)
        for path in sorted(self._out.glob(f"*/{NAME}")):
            for row in read_rows(path):
                self._learn(row)
        saved = self._by_sha256.values()
        self.images = Counter(name.split("/")[0] for name in saved if (self._out / name).exists())

    def _learn(self, row: Row) -> None:
        self.rows[row.label][row.address] = row
        if row.file:
            self._by_sha256[row.sha256] = row.file
        if row.file and re.fullmatch("[0-9a-f]{16}", row.perceptual_hash):  # spreadsheets spoil some
            self._named[row.label].append(row.file)
            self._hashes[row.label].append(int(row.perceptual_hash, 16))

    def judged(self, row: Row, folder: str, answer: Response) -> Row:
        """Return ``row`` with what came of its address; an image saved in ``folder`` is on disk by then."""
        raw, digest = answer.body, hashlib.sha256(answer.body).hexdigest()
        row = row._replace(final_address=answer.url, sha256=digest, bytes=str(len(raw)))
        if twin := self._by_sha256.get(digest):
            return row._replace(status=f"duplicate of {twin}")
        try:
            image = decode(raw, row.address)
        except UnreadableImage as error:  # a page in an image's place, "Please wait", say, may be gone tomorrow
            kind = "failed" if isinstance(answer, TextResponse) else "refused"
            return row._replace(status=f"{kind}: {error.reason}")
        (height, width), value = image.shape[:2], perceptual_hash(image)
        row = row._replace(width=str(width), height=str(height), perceptual_hash=f"{value:016x}")
        if min(height, width) < self._options.min_side:
            return row._replace(status=f"refused by min_side: its {width} x {height} pixels are too few")
        if similar := near(np.frombuffer(self._hashes[row.label], np.uint64), value)[:1].tolist():
            return row._replace(status=f"near-duplicate of {self._named[row.label][similar[0]]}")
        name = f"{folder}/{digest[:16]}.{(file_facts(raw)['container'] or 'jpeg').lower()}"
        with atomic_write(self._out / name, "wb") as file:
            file.write(raw)
        return row._replace(status="saved", file=name)

    def add(self, row: Row) -> None:
        """Add a row, in place of another of its address; it is on disk when this returns."""
        row = Row(*(one_line(cell, MAX_CELL) for cell in row))
        path = self._out / row.label / NAME
        if row.label not in self._begun:
            with atomic_write(path) as file:
                csv.writer(file, lineterminator="\n").writerows([Row._fields, *self.rows[row.label].values()])
            self._begun.add(row.label)
        with open(path, "a", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow(row)
            file.flush()
            os.fsync(file.fileno())
        self._learn(row)
