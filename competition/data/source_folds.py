"""Folds that hold out whole sources (``split=by-source``), so that a score speaks of sources that no model has seen.

Rows of one source stay together, and so do those of one group, whatever sources they are of: a photograph and its AI
twin tie their camera to their generator. A class whose images are all of one source has nothing to hold out: its groups
are dealt out like those of any folds.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from competition.core.errors import UserError
from competition.core.text import counted, listed

_REMEDY = "give fewer, another source= or group=, or split=folds."


@dataclass(frozen=True)
class Units:
    """What no fold may divide: ``unit`` (n,) of each row, a code 0, 1, ..., and ``varied``, for class 0 and class 1,
    whether its images are of more sources than one."""

    unit: np.ndarray
    varied: tuple[bool, bool]


def find_units(train: pd.DataFrame) -> Units:
    """Return the parts of ``train`` (label, group, source) that sources and groups tie together, whatever its order.

    Raises ``UserError`` where each class is of a single source.
    """
    label = train["label"].to_numpy()
    zero, one = (train["source"][label == number].nunique() > 1 for number in (0, 1))
    if not zero and not one:
        raise UserError(
            "split=by-source: all images of each class are of one source, so there is none to hold out: name a source= "
            "of several values, or split=folds."
        )
    group, source = (
        np.unique(train[column].to_numpy(object), return_inverse=True)[1] for column in ("group", "source")
    )
    tied = np.where(label == 1, one, zero)  # a class of one source is not held together by it
    groups = int(group.max()) + 1
    pairs = group[tied], groups + source[tied]
    size = groups + int(source.max()) + 1
    graph = coo_matrix((np.ones(len(pairs[0]), bool), pairs), shape=(size, size))
    component = connected_components(graph, directed=False)[1]
    return Units(np.unique(component[group], return_inverse=True)[1], (zero, one))


def check_sources(train: pd.DataFrame, k: int) -> None:
    """Raise ``UserError`` where ``train`` (label, group, source) has fewer sources of a class to hold out than ``k``
    folds."""
    units = find_units(train)
    for label, varied in enumerate(units.varied):
        inside = (train["label"] == label).to_numpy()
        apart, sources = len(np.unique(units.unit[inside])), train["source"][inside].nunique()
        if varied and apart < k:
            tied = f", {apart} when those that share a group count as one ({_tied(train)})" if apart < sources else ""
            raise UserError(
                f"split=by-source: class {label} is of {counted(sources, 'source')}{tied}, too few for folds={k}: "
                + (f"give folds={apart}, or another source= or group=." if apart > 1 else _REMEDY)
            )


def _tied(train: pd.DataFrame) -> str:
    """Return a group of several sources as words."""
    several = train.groupby("group")["source"].unique().sort_index()
    name = several.index[several.map(len) > 1][0]
    return f"'{name}' holds images of {listed(sorted(several[name]))}"


def deal_sources(train: pd.DataFrame, k: int, seed: int) -> np.ndarray:
    """Return the fold of each row of ``train`` (id, label, group, source), (n,) int64, 0..k-1, whatever its order.

    The largest units go first, each to the fold that has the least of what it brings: its share of each class's rows.
    So each fold gets a source of each class before any gets its second, and rows are balanced as far as whole sources
    can be. Units of one size are dealt in an order that is the seed's.
    Raises ``UserError`` where a fold would hold one class alone.
    """
    check_sources(train, k)
    units = find_units(train).unit
    rows = np.zeros((units.max() + 1, 2))
    np.add.at(rows, (units, train["label"].to_numpy()), 1)
    shares = rows / rows.sum(axis=0)
    order = np.random.default_rng(seed).permutation(len(rows))
    order = order[np.argsort(-rows[order].sum(axis=1), kind="stable")]
    held = np.zeros((k, 2))  # of each class's rows, the share that a fold has
    fold_of = np.empty(len(rows), np.int64)
    for unit in order:
        fold = int(np.argmin(held @ (shares[unit] > 0)))
        fold_of[unit] = fold
        held[fold] += shares[unit]
    if (held == 0).any():
        raise UserError(
            f"split=by-source: folds={k} leaves fold {int(np.argwhere(held == 0)[0][0])} one class only, for the "
            f"sources are few and large: {_REMEDY}"
        )
    return fold_of[units]


def source_notes(train: pd.DataFrame, classes: tuple[str, str]) -> list[str]:
    """Return what the user should know of folds by source: the class that they hold out no sources of."""
    single = [name for name, varied in zip(classes, find_units(train).varied, strict=True) if not varied]
    return [
        f"all '{name}' images are of one source, so they are split at random: the score speaks of unseen sources of "
        "the other class alone"
        for name in single
    ]
