"""Where each training image is from, as ``source=`` says: a column of train.csv, or the folders below class folders."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

import pandas as pd

from competition.core.errors import UserError, did_you_mean
from competition.core.text import on_lines
from competition.data.layouts.csv_text import Table, given_column

FOLDERS = "folders"
MAX_SOURCES = 1000  # a column of more values is an id, a time or a prompt rather than a camera, a site or a generator


def source_column(rule: str) -> str | None:
    """Return NAME of ``column:NAME``, ``None`` for ``none`` and ``folders``; ``UserError`` for any other rule."""
    kind, _, column = rule.partition(":")
    if kind == "column" and column:
        return column
    if rule not in ("none", FOLDERS):
        raise UserError(f"source={rule} is not a rule{did_you_mean(rule, ['none', FOLDERS, 'column:NAME'])}")
    return None


def column_sources(rule: str, table: Table) -> dict[str, pd.Series]:
    """Return ``source`` (text) of each row of train.csv, indexed like ``table.frame``; nothing where ``rule`` is none.

    Raises ``UserError`` for a column that is not there, has empty cells or more than ``MAX_SOURCES`` values.
    """
    if rule == "none":
        return {}
    if rule == FOLDERS:
        raise UserError(
            f"source={FOLDERS} needs class folders, and {table.path} is a table: name its column with "
            "source=column:NAME, or leave source out."
        )
    column = given_column(table.frame.columns, str(source_column(rule)), f"source={rule}", table.path)
    values = table.frame[column].str.strip()
    empty = values == ""
    if empty.any():
        raise UserError(
            f"source={rule}: {table.path} has {on_lines(values.index[empty])} without a value there: fill them in."
        )
    return {"source": _checked(values, rule, table.path)}


def folder_sources(rule: str, ids: Sequence[str], base: Path, root: Path) -> dict[str, pd.Series]:
    """Return ``source`` (text) of each image in class folders by its ``ids`` (paths relative to ``root``).

    It is the folder below the class folder of ``base``, whatever lies deeper; an image in the class folder itself is of
    a source named like the class. Folders of one name below both classes are one source. Nothing where ``rule`` is
    none; raises ``UserError`` where no class folder has folders.
    """
    if rule == "none":
        return {}
    if rule != FOLDERS:
        raise UserError(
            f"source={rule} needs the rows of a train.csv; {root} has class folders: give source={FOLDERS}, or leave "
            "source out."
        )
    inside = [PurePosixPath(one).relative_to(base.relative_to(root).as_posix()).parts for one in ids]
    if all(len(parts) < 3 for parts in inside):
        raise UserError(
            f"source={FOLDERS}: the class folders in {base} have no folders in them: sort each class's images into one "
            "for each source, or leave source out."
        )
    return {"source": _checked(pd.Series([parts[1] if len(parts) > 2 else parts[0] for parts in inside]), rule, base)}


def _checked(values: pd.Series, rule: str, where: Path) -> pd.Series:
    if (count := values.nunique()) > MAX_SOURCES:
        raise UserError(
            f"source={rule} gives {count:,} sources in {where}, more than the {MAX_SOURCES:,} there may be: name what "
            "many images share, such as a camera, a site or a generator."
        )
    return values
