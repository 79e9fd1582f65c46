"""CSV files as text: every cell is what the file says, so that ``007`` stays ``007`` and ``NA`` stays ``NA``.

Whatever is wrong with a file is one sentence naming the file, the line and the column. Lines count as editors and
spreadsheets count them: the header is line 1.
"""

import csv
import io
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from competition.core.errors import UserError, did_you_mean
from competition.core.text import counted, listed, on_lines

ID_COLUMNS = ("id", "image_id", "imageid", "uuid", "key")
FILE_COLUMNS = tuple(
    "file_name filename file file_path filepath image_path img_path path image_name image_file image img picture "
    "photo name".split()
)
LABEL_COLUMNS = tuple(
    "label labels target class class_name generated is_generated ai_generated is_ai_generated is_ai is_fake ai fake y "
    "category ground_truth answer".split()
)
INDEX_COLUMNS = ("", "unnamed:_0")  # how pandas writes a row index, and how it writes one that it has read before


def read_text(path: Path) -> str:
    """Return a UTF-8 file, its line ends untouched; ``UserError`` if it is absent, empty, too large or not
    text."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError):
        raise UserError(f"There is no file {path}: name another folder with data=.") from None
    except MemoryError:
        size = path.stat().st_size
        raise UserError(f"{path} does not fit into memory ({size:,} bytes): is it the right file?") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text (byte {error.start}): save it as a UTF-8 CSV.") from None
    if "\0" in text:
        raise UserError(f"{path} is not text (it holds a zero byte): save it as a UTF-8 CSV.")
    if not text.strip():
        raise UserError(f"{path} is empty: download it again.")
    return text


def csv_rows(text: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, cells) of each row that is not blank, the header's cells stripped; ``path`` is for the messages."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header = None
    try:
        for cells in reader:
            if not cells:
                continue
            if header is None:
                header = cells = [cell.strip() for cell in cells]
                twice = [name for name in header if header.count(name) > 1] if len(set(header)) < len(header) else []
                if twice:
                    raise UserError(f"{path} has two columns named '{twice[0]}': rename one of them.")
            elif len(cells) != len(header):
                raise UserError(
                    f"{path}, line {reader.line_num}, has {counted(len(cells), 'cell')} where the header has "
                    f"{len(header)}: correct that line."
                )
            yield reader.line_num, cells
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num}, is not CSV ({error}): correct that line.") from None


@dataclass(frozen=True)
class Table:
    """A CSV file: ``frame`` holds text only, its index is the line of each row in the file at ``path``."""

    path: Path
    frame: pd.DataFrame


def read_table(path: Path) -> Table:
    """Read a CSV file as text; ``UserError`` if it is absent, empty, no UTF-8, ragged or holds no rows."""
    lines, rows = zip(*csv_rows(read_text(path), path), strict=True)
    header, rows = rows[0], rows[1:]
    if not rows:
        raise UserError(f"{path} has a header and no rows: download it again.")
    columns = dict(zip(header, zip(*rows, strict=True), strict=True))
    return Table(path, pd.DataFrame(columns, index=pd.Index(lines[1:], name="line"), dtype="str"))


def usual_column(columns: Iterable[str], names: Sequence[str]) -> str | None:
    """Return the column that stands first in ``names``; case, spaces and hyphens do not matter."""
    plain = {column.lower().replace(" ", "_").replace("-", "_"): column for column in reversed(list(columns))}
    return next((plain[name] for name in names if name in plain), None)


def given_column(columns: Collection[str], column: str, setting: str, path: Path) -> str:
    """Return ``column``, or raise ``UserError`` if ``path`` has no such column; ``setting`` is where it was named."""
    if column in columns:
        return column
    hint = did_you_mean(column, [name for name in columns if name]) or f"; it has {listed(columns, 8)}."
    raise UserError(f"{setting}: {path} has no column '{column}'{hint}")


def label_column_of(columns: Collection[str], label_column: str | None, path: Path) -> str:
    """Return the column of labels: the one given, or the first with a usual name, else ``UserError``."""
    if label_column is not None:
        return given_column(columns, label_column, f"label_column={label_column}", path)
    found = usual_column(columns, LABEL_COLUMNS)
    if found is None:
        raise UserError(f"{path} has no label column among {listed(columns, 8)}: name it with label_column=.")
    return found


def checked_ids(ids: pd.Series, path: Path) -> pd.Series:
    """Return ``ids`` (text, indexed by line), or raise ``UserError`` for an empty, broken or repeated one."""
    empty = ids.str.strip() == ""
    if empty.any():
        raise UserError(
            f"{path} has {on_lines(ids.index[empty])} with an empty {ids.name or 'id'}: fill them in or remove them."
        )
    broken = ids.str.contains(r"[\r\n]")
    if broken.any():
        first = ids[broken].iloc[0]
        raise UserError(f"{path}, line {ids.index[broken][0]}: the id {first!r} holds a line break: rename it.")
    repeated = ids[ids.duplicated()]
    if len(repeated):
        raise UserError(
            f"{path} repeats {counted(len(repeated), 'id')}, first '{repeated.iloc[0]}' (line {repeated.index[0]}): "
            "keep one row for each."
        )
    return ids


def ids_and_files(table: Table, id_column: str | None, label_name: str) -> tuple[pd.Series, pd.Series]:
    """Return the id of each row and the file it names: two columns where the CSV has both, else one and the same."""
    columns = [name for name in table.frame.columns if name != label_name]
    columns = [name for name in columns if name != usual_column(table.frame.columns, INDEX_COLUMNS)]
    file_name = usual_column(columns, FILE_COLUMNS)
    id_name = id_column or usual_column(columns, ID_COLUMNS) or file_name
    if id_column is not None:
        given_column(table.frame.columns, id_column, f"id_column={id_column}", table.path)
    elif id_name is None and len(columns) == 1:
        id_name = columns[0]
    if id_name is None:
        raise UserError(
            f"{table.path} has no id column among {listed(table.frame.columns, 8)}: name the one that names the images "
            "with id_column=."
        )
    ids = checked_ids(table.frame[id_name], table.path)
    return ids, ids if file_name in (None, id_name) else checked_ids(table.frame[file_name], table.path)
