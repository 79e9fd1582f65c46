"""Pixel CSVs: a label column and one column per pixel value, as in bitgrit's competition; there are no image files.

Values are standardised floats and stay what they are, float32 from the file to the model. A row's values are an image
in (height, width, channel) order.
"""

import io
import math
import re
from pathlib import Path

import numpy as np
import pandas as pd

from competition.core.errors import UserError
from competition.core.text import counted
from competition.data.layouts.csv_text import (
    ID_COLUMNS,
    INDEX_COLUMNS,
    LABEL_COLUMNS,
    Table,
    checked_ids,
    csv_rows,
    given_column,
    label_column_of,
    read_text,
    usual_column,
)
from competition.data.layouts.dataset import Dataset, LayoutSettings, table_of
from competition.data.layouts.labels import encode, group_column, group_rows, label_texts
from competition.data.layouts.sources import column_sources, source_column
from competition.data.layouts.test_files import read_sample, read_test_labels

MIN_PIXEL_COLUMNS = 16  # a 4x4 image's: fewer numbered columns are taken for pixels where layout=pixels says so alone


def read_pixels(root: Path, settings: LayoutSettings) -> Dataset:
    """Read ``train.csv`` and ``test.csv`` of pixel values. See :func:`data.layouts.read.read_dataset`.

    Ids are row numbers, "0" first, unless the tables have an id column or a sample submission lists them.
    """
    path, id_column = root / "train.csv", settings.id_column
    text = read_text(path)
    columns = _header(text, path)
    label_name = label_column_of(columns, settings.label_column, path)
    if id_column is not None:
        given_column(columns, id_column, f"id_column={id_column}", path)
    named = {label_name, id_column, group_column(settings.group), source_column(settings.source)}
    pixel_columns = _pixel_columns(columns, named)
    size = image_shape(len(pixel_columns), settings.image_shape, path)
    table, values = _read_values(text, path, pixel_columns)
    labels, classes = encode(label_texts(table.frame[label_name], path), settings.positive, path)
    ids, _ = _ids(table, id_column)
    beside = {"group": group_rows(settings.group, table, ids), **column_sources(settings.source, table)}
    train = table_of(id=ids, path=[""] * len(ids), label=labels, **beside)

    ids, test_values, header, numbered = _read_test(root, pixel_columns, named, label_name, id_column)
    test = table_of(id=ids, path=[""] * len(ids))
    known = read_test_labels(root, test["id"], label_name, classes, by_row=numbered)
    pixels = values.reshape(-1, *size), test_values.reshape(-1, *size)
    return Dataset("pixels", root, train, test, known, pixels, header, classes)


def is_pixel_csv(path: Path, named: set[str | None]) -> bool:
    """Say whether the columns that are neither ``named`` nor label, id or index are numbered and hold numbers.

    Numbered are ``0``, ``pixel0``, ``1x1`` and the like.
    """
    rows = csv_rows(read_text(path), path)
    columns = next(rows)[1]
    pixel_columns = set(_pixel_columns(columns, named | {usual_column(columns, LABEL_COLUMNS)}))
    if len(pixel_columns) < MIN_PIXEL_COLUMNS or not all(name[-1:].isdigit() for name in pixel_columns):
        return False
    _, cells = next(rows, (0, []))
    return all(_number(cell) is not None for name, cell in zip(columns, cells, strict=False) if name in pixel_columns)


def image_shape(n: int, shape: str | None, path: Path) -> tuple[int, int, int]:
    """Return (height, width, channels) of ``n`` values: as ``shape`` says (``20x20x3``), else a square of 3 or 1."""
    if shape is not None:
        match = re.fullmatch("([1-9][0-9]*)x([1-9][0-9]*)(?:x([13]))?", shape.strip().lower())
        if match is None:
            raise UserError(f"image_shape={shape} is not a shape: write HEIGHTxWIDTHxCHANNELS, with 1 or 3 channels.")
        height, width, channels = (int(one or 1) for one in match.groups())
        if (values := height * width * channels) != n:
            raise UserError(
                f"image_shape={shape} makes {values:,} values, but {path} has {n:,} pixel columns: correct it."
            )
        return height, width, channels
    for channels in (3, 1):
        side = math.isqrt(n // channels)
        if n and side * side * channels == n:
            return side, side, channels
    raise UserError(
        f"{path} has {n:,} pixel columns, which do not make a square image of 3 channels or 1: "
        "give image_shape=HEIGHTxWIDTHxCHANNELS."
    )


def _header(text: str, path: Path) -> list[str]:
    return next(csv_rows(text, path))[1]


def _pixel_columns(columns: list[str], named: set[str | None]) -> list[str]:
    """Return the columns that are neither ``named`` nor, by their name, ids or a row index."""
    beside = named | {usual_column(columns, ID_COLUMNS), usual_column(columns, INDEX_COLUMNS)}
    return [name for name in columns if name not in beside]


def _ids(table: Table, id_column: str | None) -> tuple[pd.Series, str | None]:
    """Return each row's id and the column it is from, ``None`` where ids are row numbers."""
    column = id_column if id_column in table.frame.columns else usual_column(table.frame.columns, ID_COLUMNS)
    if column is None:
        return pd.Series(range(len(table.frame)), index=table.frame.index).astype("str"), None
    return checked_ids(table.frame[column], table.path), column


def _read_test(
    root: Path, pixel_columns: list[str], named: set[str | None], label_name: str, id_column: str | None
) -> tuple[list[str], np.ndarray, tuple[str, str], bool]:
    """Return ids, values (n, pixels), the submission's header, and whether rows are known by their place alone."""
    path = root / "test.csv"
    if not path.is_file():
        return [], np.zeros((0, len(pixel_columns)), np.float32), ("id", label_name), True
    text = read_text(path)
    columns = _header(text, path)
    extra = [name for name in _pixel_columns(columns, named - {label_name}) if name not in set(pixel_columns)]
    lacking = [name for name in pixel_columns if name not in set(columns)]
    if extra or lacking:
        problem = f"lacks '{lacking[0]}'" if lacking else f"has '{extra[0]}' too"
        wrong = counted(len(extra) + len(lacking), "such column")
        raise UserError(f"{path} must have the pixel columns of train.csv and {problem} ({wrong}): correct its header.")
    table, values = _read_values(text, path, pixel_columns)
    ids, id_name = _ids(table, id_column)
    header, ids = (id_name or "id", label_name), list(ids)
    sample = read_sample(root, pd.Series(ids) if id_name else None)
    if sample is not None:
        header, order = sample
        if len(order) != len(ids):
            raise UserError(
                f"The sample submission in {root} has {counted(len(order), 'row')} and test.csv {len(ids):,}: "
                "download both again."
            )
        place = dict(zip(ids if id_name else order, range(len(ids)), strict=True))
        ids, values = order, values[[place[one] for one in order]]
    return ids, values, header, id_name is None


def _read_values(text: str, path: Path, pixel_columns: list[str]) -> tuple[Table, np.ndarray]:
    """Return the columns beside the pixels as text, and the pixels, float32 (n, len(pixel_columns)), all finite."""
    columns = _header(text, path)
    pixels, place = set(pixel_columns), {name: number for number, name in enumerate(columns)}
    # One column more than the header has: pandas would drop the surplus cells of a row that is too long, silently.
    types = {number: "float32" if name in pixels else "str" for name, number in place.items()} | {len(columns): "str"}
    try:
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused below
            frame = pd.read_csv(
                io.StringIO(text.lstrip("\r\n")),
                header=None,
                skiprows=1,
                names=list(types),
                dtype=types,
                index_col=False,
                keep_default_na=False,
                na_values=[""],
            )
    except ValueError:
        raise _bad_cell(text, path, pixels) from None
    if frame.empty:
        raise UserError(f"{path} has a header and no rows: download it again.")
    values = frame[[place[name] for name in pixel_columns]].to_numpy(np.float32)
    if frame[len(columns)].notna().any() or not np.isfinite(values).all():
        raise _bad_cell(text, path, pixels)
    beside = {name: frame[number].fillna("") for name, number in place.items() if name not in pixels}
    return Table(path, pd.DataFrame(beside, index=frame.index).set_axis(pd.RangeIndex(2, len(frame) + 2))), values


def _bad_cell(text: str, path: Path, pixel_columns: set[str]) -> UserError:
    """Return the error that names the first cell that is not a finite number; a row of wrong length raises its own."""
    rows = csv_rows(text, path)
    columns = next(rows)[1]
    for line, cells in rows:
        for column, cell in zip(columns, cells, strict=True):
            if column in pixel_columns and _number(cell) is None:
                return UserError(
                    f"{path}, line {line}, column '{column}': '{cell}' is not a finite number: correct or remove it."
                )
    return UserError(f"{path} holds numbers in no usual spelling: write them like -0.5 or 1e-3.")


def _number(cell: str) -> float | None:
    """Return the cell's value, or ``None`` if it is not a number that is finite in float32."""
    try:
        value = float(cell)
    except ValueError:
        return None
    return value if abs(value) <= float(np.finfo(np.float32).max) else None
