"""Stratified, group-aware folds or hold-out parts, made once and kept in ``folds/<name>/folds.csv``.

No group crosses folds and every fold holds both classes. A row's fold depends on the set of rows and the seed alone,
never on their order; a kept file is checked against the data on every use. Where the rows come with a ``source``, each
fold holds out whole sources (data/source_folds.py), and the file has that column, too.

In a hold-out split a row's ``fold`` is one of TRAIN, VALIDATION and JUDGED: the one model is fitted on the first,
stopped and tuned on the second, and scored on the third, where there is one.
"""

import csv
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold, train_test_split

from competition.core.errors import UserError
from competition.core.files import atomic_write
from competition.core.text import counted, listed
from competition.data.layouts.csv_text import read_table
from competition.data.many_folds import deal_groups
from competition.data.source_folds import check_sources, deal_sources

COLUMNS = ["id", "label", "group", "fold"]  # and SOURCE, where folds hold out whole sources
SOURCE = "source"
TRAIN, VALIDATION, JUDGED = -1, 0, 1
MANY = 200_000  # groups, for which scikit-learn's greedy splitter takes some 25 s, and for ten times as many 300
Shares = Sequence[float] | None  # of a hold-out split's rows: training, validation and perhaps judging; None: K folds
_REMEDY = "choose another name=, or make new folds with overwrite=true."


def make_folds(train: pd.DataFrame, k: int, seed: int, shares: Shares = None) -> pd.DataFrame:
    """Return id (text), label (int64), group (text), fold (int64) and, where ``train`` has it, source of each row.

    Rows are in ``train``'s order. Folds are 0..k-1: with a column ``source`` they hold out whole sources
    (``deal_sources``), otherwise they are those of scikit-learn's ``StratifiedGroupKFold`` on the rows sorted by id, 5
    s for 80,000 rows in pairs and 11 s for 80,000 single rows at k=5 (one core), and beyond ``MANY`` groups those of
    :func:`deal_groups`. With ``shares``, ``k`` plays no part: groups are drawn for each part, stratified by the classes
    they hold. Raises ``UserError`` where parts of both classes cannot be had.
    """
    check_possible(train, k, shares)
    if shares is not None:
        fold = _hold_out(train, shares, seed)
    else:
        fold = (deal_sources if SOURCE in train else _k_folds)(train, k, seed)
    return folds_table(train, fold)


def folds_table(train: pd.DataFrame, fold: np.ndarray) -> pd.DataFrame:
    """Return what folds.csv holds: the columns of ``train`` that it has, with each row's ``fold`` (n,)."""
    return train.assign(fold=fold)[_columns(train)].reset_index(drop=True)


def _columns(train: pd.DataFrame) -> list[str]:
    return [*COLUMNS, SOURCE] if SOURCE in train else COLUMNS


def _hold_out(train: pd.DataFrame, shares: Sequence[float], seed: int) -> np.ndarray:
    kinds = train.groupby("group")["label"].agg(["min", "max"]).sort_index().sum(axis=1)
    sizes = [max(1, round(share * len(kinds))) for share in shares]
    try:
        rest, validation = train_test_split(kinds, test_size=sizes[1], stratify=kinds, random_state=seed)
        judged = rest[:0]
        if len(shares) == 3:
            judged = train_test_split(rest, test_size=sizes[2], stratify=rest, random_state=seed)[1]
    except ValueError as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{_named(shares)} cannot be made of {len(kinds)} groups ({reason}): change split=.") from error
    fold = np.select(
        [train["group"].isin(validation.index), train["group"].isin(judged.index)], [VALIDATION, JUDGED], TRAIN
    ).astype(np.int64)
    for part in np.unique(fold):
        if train["label"][fold == part].nunique() < 2:
            raise UserError(
                f"{_named(shares)} leaves a part of one class only, for the groups are few or large: change split=."
            )
    return fold


def _named(shares: Sequence[float]) -> str:
    return f"split=holdout:{','.join(f'{share:g}' for share in shares)}"


def _k_folds(train: pd.DataFrame, k: int, seed: int) -> np.ndarray:
    fold = (deal_groups if train["group"].nunique() > MANY else _usual_folds)(train, k, seed)
    for number in range(k):
        if train["label"][fold == number].nunique() < 2:
            raise UserError(
                f"folds={k} leaves fold {number} one class only, for the groups are few and large: give fewer folds, "
                "or another group=."
            )
    return fold


def _usual_folds(train: pd.DataFrame, k: int, seed: int) -> np.ndarray:
    order = np.argsort(train["id"].to_numpy(object), kind="stable")
    labels, groups = train["label"].to_numpy()[order], train["group"].to_numpy(object)[order]
    fold = np.empty(len(train), np.int64)
    splitter = StratifiedGroupKFold(n_splits=k, shuffle=True, random_state=seed)
    for number, (_, inside) in enumerate(splitter.split(labels, labels, groups)):
        fold[order[inside]] = number
    return fold


def open_folds(
    path: Path,
    train: pd.DataFrame,
    k: int,
    seed: int,
    shares: Shares = None,
    folds_from: Callable[[pd.DataFrame], pd.DataFrame] | None = None,
) -> pd.DataFrame:
    """Return the folds kept at ``path``, or new ones if there is no such file; rows in ``train``'s order.

    Nothing is written (:func:`keep_folds`). ``folds_from`` returns those of another machine in the place of new ones.
    Raises ``UserError`` if the file is not one of these folds, or hold-out parts, of exactly these ids, labels and
    groups.
    """
    if not path.exists():
        return folds_from(train) if folds_from else make_folds(train, k, seed, shares)
    kept = read_table(path).frame
    columns = _columns(train)
    _check_columns(path, list(kept.columns), columns)
    _check_ids(path, kept["id"], train["id"])
    kept = kept.set_index("id").loc[train["id"]].reset_index()
    for column in columns:
        if column not in ("id", "fold"):
            _check_same(path, kept, train, column)
    _check_numbers(path, kept["fold"], k, shares)
    crossing = kept.groupby("group")["fold"].nunique()
    if (crossing > 1).any():
        raise UserError(f"{path}: group '{crossing.index[crossing > 1][0]}' lies in more than one fold: {_REMEDY}")
    return kept.astype({"label": "int64", "fold": "int64"})


def read_folds(path: Path) -> pd.DataFrame:
    """Return the folds kept at ``path``, every column as text; UserError where it holds something else."""
    kept = read_table(path).frame
    if list(kept.columns) != [*COLUMNS, SOURCE]:
        _check_columns(path, list(kept.columns), COLUMNS)
    _check_ids(path, kept["id"], kept["id"])
    return kept


def keep_folds(path: Path, table: pd.DataFrame) -> None:
    """Write the folds of a ``table`` (see :func:`make_folds`) to ``path``, unless they are what stands there."""
    folds = folds_table(table, table["fold"].to_numpy())
    if folds_in(path, SOURCE in table) == _by_id(folds):
        return
    with atomic_write(path) as file:
        folds.to_csv(file, index=False, lineterminator="\n")


def _by_id(folds: pd.DataFrame) -> dict[str, str]:
    return dict(zip(folds["id"], folds["fold"].astype(str), strict=True))


def folds_in(path: Path, by_source: bool | None = None) -> dict[str, str] | None:
    """Return the fold of each id in a file that :func:`keep_folds` wrote; None for any other, and for one whose folds
    are not, or are, ``by_source``."""
    if not path.is_file():  # a pipe would be waited for
        return None
    rows = list(csv.reader(path.read_text(encoding="utf-8", errors="replace").splitlines()))
    known = [
        columns for sourced, columns in ((False, COLUMNS), (True, [*COLUMNS, SOURCE])) if by_source in (None, sourced)
    ]
    if not rows or rows[0] not in known or any(len(row) != len(rows[0]) for row in rows):
        return None
    return {row[0]: row[3] for row in rows[1:]}


def check_possible(train: pd.DataFrame, k: int, shares: Shares = None) -> None:
    """Raise ``UserError`` where ``train`` (label, group, perhaps source) cannot be split into parts that hold both
    classes."""
    k = len(shares) if shares else k
    if k < 2:
        raise UserError(f"folds={k} leaves nothing to validate on: give 2 or more.")
    groups = train.groupby("label")["group"].nunique()
    for label in (0, 1):
        count = int(groups.get(label, 0))
        if count < k:
            raise UserError(
                f"Class {label} has {counted(count, 'group')} of rows, too few for "
                + (f"{k} parts: change split=." if shares else f"folds={k}: give fewer.")
            )
    if SOURCE in train and not shares:
        check_sources(train, k)


def _check_columns(path: Path, kept: list[str], columns: list[str]) -> None:
    if {SOURCE} == set(kept).symmetric_difference(columns):
        kind = "folds by source" if SOURCE in kept else "folds that are not by source"
        raise UserError(f"{path} holds {kind}, and split= wants others: {_REMEDY}")
    if kept != columns:
        raise UserError(f"{path} has the columns {listed(kept, 8)}, not {listed(columns, 5)}: {_REMEDY}")


def _check_ids(path: Path, kept: pd.Series, ids: pd.Series) -> None:
    repeated = kept[kept.duplicated()]
    if len(repeated):
        raise UserError(f"{path} has id '{repeated.iloc[0]}' twice (line {repeated.index[0]}): {_REMEDY}")
    for lacking, problem in (
        (ids[~ids.isin(kept)], "lacks ids of the data"),
        (kept[~kept.isin(ids)], "has ids not in the data"),
    ):
        if len(lacking):
            raise UserError(f"{path} {problem} ({len(lacking):,}, first '{lacking.iloc[0]}'): {_REMEDY}")


def _check_same(path: Path, kept: pd.DataFrame, train: pd.DataFrame, column: str) -> None:
    """Raise ``UserError`` if a label or group in the file, row by row the same ids, is not the data's."""
    now = train[column].astype("str").to_numpy(object)
    changed = np.flatnonzero(kept[column].to_numpy(object) != now)
    if len(changed):
        first = changed[0]
        raise UserError(
            f"{path}: the {column} of '{kept['id'][first]}' is '{kept[column][first]}' there and '{now[first]}' in the "
            f"data ({counted(len(changed), 'such row')}): {_REMEDY}"
        )


def _check_numbers(path: Path, fold: pd.Series, k: int, shares: Shares) -> None:
    wrong = fold[~fold.str.fullmatch("0|-1|[1-9][0-9]{0,5}")]
    if len(wrong):
        raise UserError(f"{path}: '{wrong.iloc[0]}' is not the number of a fold: {_REMEDY}")
    found = sorted(fold.astype("int64").unique())
    if (found[0] == TRAIN) != (shares is not None):
        kind = "a hold-out split" if shares is None else "folds"
        raise UserError(f"{path} holds {kind}, and split= wants others: {_REMEDY}")
    if shares is not None:
        if len(found) != len(shares):
            raise UserError(f"{path} holds a hold-out split into {len(found)} parts, not {len(shares)}: {_REMEDY}")
        return
    if found != list(range(len(found))):
        raise UserError(f"{path}: its folds are {listed(found, 12)}, not numbered from 0 without a gap: {_REMEDY}")
    if len(found) != k:
        raise UserError(f"folds={k} but {path} has {len(found)}: give folds={len(found)}, or {_REMEDY}")


def crosses_folds(fold: pd.Series, group: pd.Series) -> np.ndarray:
    """Return which rows are in another fold than the first row of their group, (n,) bool: the models that judge them
    have learned from the group. Both are aligned by position."""
    first = fold.groupby(group.to_numpy()).transform("first")
    return (fold != first).to_numpy()
