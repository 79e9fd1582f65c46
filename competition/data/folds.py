"""Stratified, group-aware folds, made once and kept in ``folds/<name>/folds.csv``.

No group crosses folds and every fold holds both classes. A row's fold depends on the set of rows and the seed alone,
never on their order; a kept file is checked against the data on every use.
"""

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import StratifiedGroupKFold

from competition.data.tables import counted, listed, read_table
from competition.errors import UserError
from competition.files import atomic_write

COLUMNS = ["id", "label", "group", "fold"]
_REMEDY = "choose another name=, or make the folds anew with overwrite=true."


def make_folds(train: pd.DataFrame, k: int, seed: int) -> pd.DataFrame:
    """Return id (text), label (int64), group (text) and fold (int64, 0..k-1) of each row, in ``train``'s order.

    scikit-learn's ``StratifiedGroupKFold`` on the rows sorted by id: 5 s for 80,000 rows in pairs and 11 s for 80,000
    single rows at k=5 (one core). Raises ``UserError`` where k folds of both classes cannot be had.
    """
    check_possible(train, k)
    order = np.argsort(train["id"].to_numpy(object), kind="stable")
    labels, groups = train["label"].to_numpy()[order], train["group"].to_numpy(object)[order]
    splitter = StratifiedGroupKFold(n_splits=k, shuffle=True, random_state=seed)
    fold = np.empty(len(train), np.int64)
    for number, (_, inside) in enumerate(splitter.split(labels, labels, groups)):
        if len(set(labels[inside])) < 2:
            raise UserError(
                f"folds={k} leaves fold {number} one class only, for the groups are few and large: say fewer folds, or "
                "another group=."
            )
        fold[order[inside]] = number
    return train[["id", "label", "group"]].assign(fold=fold).reset_index(drop=True)


def open_folds(path: Path, train: pd.DataFrame, k: int, seed: int) -> pd.DataFrame:
    """Return the folds kept at ``path``, or make and keep them if there is no such file; rows in ``train``'s order.

    Raises ``UserError`` if the file is not one of ``k`` folds of exactly these ids, labels and groups.
    """
    if not path.exists():
        folds = make_folds(train, k, seed)
        with atomic_write(path) as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(COLUMNS)
            writer.writerows(folds.itertuples(index=False))
        return folds
    kept = read_table(path).frame
    if list(kept.columns) != COLUMNS:
        raise UserError(f"{path} has the columns {listed(kept.columns, 8)}, not {listed(COLUMNS, 4)}: {_REMEDY}")
    _check_ids(path, kept["id"], train["id"])
    kept = kept.set_index("id").loc[train["id"]].reset_index()
    for column in ("label", "group"):
        _check_same(path, kept, train, column)
    _check_numbers(path, kept["fold"], k)
    crossing = kept.groupby("group")["fold"].nunique()
    if (crossing > 1).any():
        raise UserError(f"{path}: group '{crossing.index[crossing > 1][0]}' lies in more than one fold: {_REMEDY}")
    return kept.astype({"label": "int64", "fold": "int64"})


def check_possible(train: pd.DataFrame, k: int) -> None:
    """Raise ``UserError`` where ``train`` (label, group) cannot be split into ``k`` folds that hold both classes."""
    if k < 2:
        raise UserError(f"folds={k} leaves nothing to validate on: say 2 or more.")
    groups = train.groupby("label")["group"].nunique()
    for label in (0, 1):
        count = int(groups.get(label, 0))
        if count < k:
            raise UserError(f"Class {label} has {counted(count, 'group')} of rows, too few for folds={k}: say fewer.")


def _check_ids(path: Path, kept: pd.Series, ids: pd.Series) -> None:
    repeated = kept[kept.duplicated()]
    if len(repeated):
        raise UserError(f"{path} has id '{repeated.iloc[0]}' twice (line {repeated.index[0]}): {_REMEDY}")
    for lacking, says in (
        (_missing_from(ids, kept), "lacks ids of the data"),
        (_missing_from(kept, ids), "has ids not in the data"),
    ):
        if len(lacking):
            raise UserError(f"{path} {says} ({len(lacking):,}, first '{lacking.iloc[0]}'): {_REMEDY}")


def _missing_from(ids: pd.Series, others: Iterable[str]) -> pd.Series:
    """Return the ids that are not among the others."""
    return ids[~ids.isin(set(others))]


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


def _check_numbers(path: Path, fold: pd.Series, k: int) -> None:
    wrong = fold[~fold.str.fullmatch("0|[1-9][0-9]{0,5}")]
    if len(wrong):
        raise UserError(f"{path}: '{wrong.iloc[0]}' is no number of a fold: {_REMEDY}")
    found = sorted(fold.astype("int64").unique())
    if found != list(range(len(found))):
        raise UserError(f"{path}: its folds are {listed(found, 12)}, not numbered from 0 without a gap: {_REMEDY}")
    if len(found) != k:
        raise UserError(f"folds={k} but {path} has {len(found)}: say folds={len(found)}, or {_REMEDY}")
