"""The ledger, submissions/ledger.csv: one row a submission, from just before its upload on, and never one lost.

Kaggle's list is the truth about what was accepted and how it scored; the ledger adds what was known beforehand.
"""

import contextlib
import csv
import datetime
import io
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from competition.core.errors import UserError
from competition.core.files import atomic_write
from competition.core.locks import only_one
from competition.core.paths import shown
from competition.kaggle.submission.cards import cards
from competition.kaggle.submission.figures import Figures, Row, cells_of, figures_of
from competition.kaggle.submission.fingerprint import file_mark, marks_in

LEDGER = "ledger.csv"
COLUMNS = (
    *("time", "competition", "name", "file", "fingerprint"),
    *("metric", "cv", "cv_low", "cv_high", "range_low", "range_high", "threshold", "world", "positive_rate"),
    *("public_rows", "commit", "message", "ref", "status", "public", "private", "error", "checked"),
)
NEEDED = ("competition", "fingerprint", "ref")  # columns that every ledger has
UPLOADING, REFUSED = "uploading", "refused"  # not seen on Kaggle's list yet; and Kaggle's answer was no
PENDING, COMPLETE, ERROR = "pending", "complete", "error"  # as Kaggle says
TIME = "%Y-%m-%dT%H:%M:%SZ"
PATIENCE = 30.0  # seconds to wait for another process that changes the ledger


def now() -> str:
    """Return the time as a row writes it."""
    return datetime.datetime.now(datetime.UTC).strftime(TIME)


def seconds_since(time: str) -> float:
    """Return the seconds since a row's time; 0 where it is in the future or no time at all."""
    try:
        then = datetime.datetime.strptime(time, TIME).replace(tzinfo=datetime.UTC)
    except ValueError:
        return 0.0
    return max(0.0, (datetime.datetime.now(datetime.UTC) - then).total_seconds())


def new_row(figures: Figures, competition: str, file: str, mark: str) -> Row:
    """Return the row of a submission that is not made yet."""
    made = {"competition": competition, "file": file, "fingerprint": mark}
    return dict.fromkeys(COLUMNS, "") | cells_of(figures) | made


def known_rows(folder: Path, competition: str) -> dict[str, Row]:
    """Return, by its mark, the row that a submission of each file in ``folder`` with a card would have."""
    marked = ((file_mark(path.read_bytes()), path, card) for path, card in cards(folder))
    return {mark: new_row(figures_of(card), competition, shown(path), mark) for mark, path, card in marked}


def read_ledger(path: Path) -> list[Row]:
    """Return the rows of a ledger, with columns of the user's own; none where there is no file. Raises UserError."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        return []
    except UnicodeDecodeError as error:
        raise UserError(f"{shown(path)} is not UTF-8 text (byte {error.start}): save it as a UTF-8 CSV.") from None
    reader = csv.DictReader(io.StringIO(text, newline=""), restval="")
    missing = [name for name in NEEDED if name not in (reader.fieldnames or ())]
    if missing:
        raise UserError(
            f"{shown(path)} has no column '{missing[0]}', so it is not a ledger: move it away, and ./run.sh "
            "ledger makes a new one from Kaggle's list."
        )
    rows = []
    for row in reader:
        if None in row:
            raise UserError(
                f"{shown(path)}, line {reader.line_num}, has more cells than the header: correct that line."
            )
        rows.append(dict.fromkeys(COLUMNS, "") | row)
    return rows


@contextlib.contextmanager
def open_ledger(folder: Path) -> Iterator[list[Row]]:
    """Yield the rows of ``folder``/ledger.csv to be changed, and write them when the block ends without an error.

    Other processes wait meanwhile; nothing is written where nothing has changed.
    """
    with only_one(folder / ".lock", PATIENCE):
        rows = read_ledger(folder / LEDGER)
        before = [dict(row) for row in rows]
        yield rows
        if rows != before:
            own = dict.fromkeys(name for row in rows for name in row if name not in COLUMNS)
            with atomic_write(folder / LEDGER) as file:
                writer = csv.DictWriter(file, [*COLUMNS, *own], restval="", lineterminator="\n")
                writer.writeheader()
                writer.writerows(rows)


def settle(rows: list[Row], competition: str, listed: Iterable[Row], known: Mapping[str, Row], now: str) -> None:
    """Bring the rows of a competition to what Kaggle lists: of each submission the cells that Kaggle knows.

    A submission belongs to the row with its reference; else to one without a reference whose fingerprint its
    description carries, as a line that was cut short leaves behind; else it gets a row of its own, with what is
    ``known`` of its fingerprint, if it carries one. What a row lacks is filled in as soon as it is known.
    """
    by_ref = {row["ref"]: row for row in rows if row["competition"] == competition and row["ref"]}
    for one in sorted(listed, key=lambda one: (one["time"], one["ref"])):
        marks = marks_in(one["message"])
        row = by_ref.get(one["ref"]) or _waiting(rows, competition, marks)
        if row is None:
            row = dict.fromkeys(COLUMNS, "") | {"competition": competition}
            rows.append(row)
        _fill(row, one, marks, known)
        row |= {"ref": one["ref"], "status": one["status"], "error": one["error"], "checked": now}
        row |= {key: one[key] for key in ("time", "message", "public", "private") if one[key]}


def _fill(row: Row, one: Row, marks: set[str], known: Mapping[str, Row]) -> None:
    """Fill the empty cells of a row with what is known of its fingerprint, or of the last mark that is known of those
    in its description: the card may have come to this machine after the row."""
    mine = row["fingerprint"] or max((mark for mark in marks if mark in known), key=one["message"].rfind, default="")
    found = known.get(mine, {})
    if not row["fingerprint"] and row["file"] == one["file"]:  # Kaggle's name for it, which says less
        row["file"] = ""
    row |= {key: value for key, value in found.items() if value and not row.get(key)}
    row["file"] = row["file"] or one["file"]


def _waiting(rows: Iterable[Row], competition: str, marks: set[str]) -> Row | None:
    """Return the first row of a competition that waits to be found on Kaggle's list under one of these marks."""
    waits = (row for row in rows if row["competition"] == competition and not row["ref"])
    return next((row for row in waits if row["fingerprint"] in marks), None)


def begin(rows: list[Row], row: Row, now: str) -> None:
    """Enter a submission that is about to be uploaded, in place of an attempt at the same that came to nothing."""
    waiting = _waiting(rows, row["competition"], {row["fingerprint"]})
    if waiting is None:
        rows.append(waiting := {})
    waiting |= row | {"time": now, "status": UPLOADING}
