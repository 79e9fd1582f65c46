"""The labels of rows as 0 and 1, and which rows must share a fold."""

import math

import pandas as pd

from competition.core.errors import UserError, did_you_mean
from competition.core.text import on_lines
from competition.data.layouts.class_names import two_classes
from competition.data.layouts.csv_text import INDEX_COLUMNS, Table, given_column, usual_column


def _canonical(label: str) -> str:
    """Return ``1`` for ``1.0`` and ``" 1"``, the empty text for what stands for a missing value, else the text."""
    label = label.strip()
    if label.lower() in ("", "nan", "na", "n/a", "null", "none"):
        return ""
    try:
        number = float(label)
    except ValueError:
        return label
    return str(int(number)) if math.isfinite(number) and number.is_integer() else label


def label_texts(column: pd.Series, path: object) -> pd.Series:
    """Return a CSV column of labels (text, indexed by line) in one spelling each; ``UserError`` if one is missing."""
    spelling = {text: _canonical(text) for text in column.unique()}
    labels = column.map(spelling)
    missing = labels == ""
    if missing.any():
        raise UserError(
            f"{path} has {on_lines(column.index[missing])} without a value in column '{column.name}': "
            "fill them in or remove these rows."
        )
    return labels


def encode(labels: pd.Series, positive: str | None, path: object) -> tuple[pd.Series, tuple[str, str]]:
    """Return labels as 0 and 1 (int64), and the names of the two classes.

    Labels that are 0 and 1 already stay as they are: they are what the submission must hold.
    """
    classes = two_classes(list(labels.unique()), positive, path)
    if classes == ("1", "0"):
        raise UserError(f"positive={positive}: the labels in {path} are 0 and 1 and stay so: leave positive out.")
    return (labels == classes[1]).astype("int64"), classes


def group_rows(rule: str, table: Table, ids: pd.Series) -> pd.Series:
    """Return the group (text) of each row, indexed like ``table.frame``.

    ``none``: every row its own; ``pairs``: rows 2k and 2k+1 by the CSV's unnamed index, or by position where it has
    none; ``column:NAME``: the values of that column.
    """
    if rule == "none":
        return ids
    if rule == "pairs":
        return _pairs(table)
    values = table.frame[given_column(table.frame.columns, str(group_column(rule)), f"group={rule}", table.path)]
    empty = values.str.strip() == ""
    if empty.any():
        raise UserError(
            f"group={rule}: {table.path} has {on_lines(values.index[empty])} without a value there: fill them in."
        )
    return values


def split_group(rule: str) -> tuple[str, bool]:
    """Return the declared part of a group rule, and whether the audit's duplicates and twins join it.

    ``auto`` declares nothing, ``auto+pairs`` and ``auto+column:NAME`` what comes after it.
    """
    first, _, rest = rule.partition("+")
    return (rest or "none", True) if first == "auto" else (rule, False)


def group_column(rule: str) -> str | None:
    """Return NAME of ``column:NAME``, ``None`` for ``none`` and ``pairs``; ``UserError`` for any other rule."""
    kind, _, column = rule.partition(":")
    if kind == "column" and column:
        return column
    if rule not in ("none", "pairs"):
        raise UserError(
            f"group={rule} is not a rule{did_you_mean(rule, ['none', 'pairs', 'column:NAME', 'auto', 'auto+pairs'])}"
        )
    return None


def _pairs(table: Table) -> pd.Series:
    lines = table.frame.index
    name = usual_column(table.frame.columns, INDEX_COLUMNS)
    if name is None:
        return pd.Series(range(len(lines)), index=lines).floordiv(2).astype("str")
    index = table.frame[name].str.strip()
    wrong = ~index.str.fullmatch(r"[0-9]{1,18}")
    if wrong.any():
        raise UserError(
            f"group=pairs: the row index in {table.path}, line {lines[wrong][0]}, is '{index[wrong].iloc[0]}': "
            "it must be a whole number."
        )
    index = index.astype("int64")
    if index.duplicated().any():
        first = index[index.duplicated()]
        raise UserError(
            f"group=pairs: the row index {first.iloc[0]} is in {table.path} twice, again on line {first.index[0]}: "
            "pairs cannot be told from it."
        )
    return index.floordiv(2).astype("str")
