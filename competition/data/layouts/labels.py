"""Which of two classes is class 1, and which rows must share a fold."""

import math

import pandas as pd

from competition.core.errors import UserError, did_you_mean
from competition.core.text import listed, on_lines
from competition.data.layouts.csv_text import INDEX_COLUMNS, Table, given_column, usual_column

# Names that say "made by AI", in lower case and without spaces, hyphens or underscores: class 1 unless positive= says
# otherwise. A data set in which two classes, or none, carry such a name needs positive=.
POSITIVE_NAMES = frozenset(
    "1 true yes fake fakes fakeimages 1fake ai aigenerated aigeneratedimages aiimages aiart aimade artificial deepfake "
    "deepfakes diffusion gan generated machine machinegenerated synthetic synthesized".split()
)


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


def is_positive(name: str) -> bool:
    """Whether a label or folder of this name is usually that of images made by AI."""
    return "".join(filter(str.isalnum, name.lower())) in POSITIVE_NAMES


def two_classes(names: list[str], positive: str | None, where: object) -> tuple[str, str]:
    """Return the names of class 0 and class 1.

    ``names`` are the distinct labels or folders found in ``where``. Class 1 is ``positive`` (any case), else the only
    one of the two in :data:`POSITIVE_NAMES`. Raises ``UserError`` unless there are two and class 1 is beyond doubt.
    """
    if len(names) != 2:
        raise UserError(
            f"{where} must have exactly two classes and has {len(names)} ({listed(sorted(names), 6)}): leave two."
        )
    if positive is not None:
        exact = [name for name in names if name == positive]
        found = exact or [name for name in names if name.lower() == positive.strip().lower()]
    else:
        found = [name for name in names if is_positive(name)]
    if len(found) != 1:
        first, second = sorted(names)
        if positive is None:
            raise UserError(
                f"The names '{first}' and '{second}' in {where} do not tell which is class 1 (made by AI): "
                f"give positive='{first}' or positive='{second}'."
            )
        raise UserError(f"positive={positive} is not a class of {where}{did_you_mean(positive, names)}")
    one = found[0]
    return next(name for name in names if name != one), one


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
