"""Pictures that are there more than once: byte for byte or to the eye, in train, across folds, in the test set.

Pairs of positions in ``AuditInputs.rows`` are *exact* (equal bytes) or *near* (alike by hash and thumbnail).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from competition.audit.findings import Finding
from competition.audit.inputs import AuditInputs
from competition.core.text import counted
from competition.data.duplicates.perceptual_hash import copies

ALARM_SHARE = 0.01  # share of the training rows from which copies across folds make a score dishonest


@dataclass(frozen=True)
class Copies:
    """Pairs (m, 2) of positions: each file with the first of its content, and near ones; no pair of two test rows."""

    exact: np.ndarray
    near: np.ndarray

    @property
    def both(self) -> np.ndarray:
        """All pairs."""
        return np.concatenate([self.exact, self.near])


def find_copies(inputs: AuditInputs) -> Copies:
    """Return the copies among all rows, near ones only where every image was decoded."""
    none = np.empty((0, 2), np.int64)
    if inputs.content is None:
        return Copies(none, none)
    exact = _exact(inputs.content)
    near = none
    if inputs.decoded:
        # Of equal files one stands for all, but one of each label and set, so that what differs in these is seen.
        keys = pd.DataFrame({"content": inputs.content, "label": inputs.rows["label"], "set": inputs.rows["set"]})
        chosen = np.flatnonzero(~keys.duplicated().to_numpy() & inputs.pictured)
        near = chosen[copies(inputs.hashes[chosen], inputs.thumbnails[chosen])]
        near = near[inputs.content[near[:, 0]] != inputs.content[near[:, 1]]]
    train = inputs.train
    return Copies(exact, near[(near < train).any(axis=1)])


def clusters(pairs: np.ndarray, n: int) -> np.ndarray:
    """Return the number (n,) of the connected component of each position; which numbers these are means nothing."""
    graph = coo_matrix((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    return connected_components(graph, directed=False)[1]


def duplicate_findings(
    inputs: AuditInputs, found: Copies, twins: np.ndarray, fold: pd.Series | None
) -> Iterator[Finding]:
    """Yield the findings about copies. ``twins`` (k, 2) do not count as copies; ``fold``: by training id."""
    near = found.near[~_among(found.near, twins)]
    found = Copies(found.exact, near)
    label = inputs.rows["label"].fillna(-1).to_numpy(np.int64)
    train = inputs.train
    group = inputs.rows["group"].to_numpy(object)
    within = [pairs[(pairs < train).all(axis=1)] for pairs in (found.exact, near)]
    alike = within[1][label[within[1][:, 0]] == label[within[1][:, 1]]]
    remedy = "Keep copies in one fold with group=auto, or leave all but one out."
    for name, pairs, words in (
        ("exact-duplicates", within[0], "exact copies of another, byte for byte"),
        ("near-duplicates", alike, "to the eye the same picture as another"),
    ):
        kept = fold is not None or (group[pairs[:, 0]] == group[pairs[:, 1]]).all()
        yield from _finding(inputs, name, "note" if kept else "warning", pairs, f"training images are {words}", remedy)
    yield from _finding(
        inputs,
        "conflicting-labels",
        "warning",
        _mixed(np.concatenate(within), label),
        "training images have a copy of the other class: mislabelled, or a photo and its AI twin",
        "Look at them: correct or leave out what is mislabelled, and keep twins in one fold with group=auto.",
    )
    if fold is not None:
        yield from _across(inputs, np.concatenate(within), fold, remedy)
    yield from _finding(
        inputs,
        "duplicates-in-test",
        "warning",
        _mixed(found.both, np.arange(len(label)) < train),
        "images are both in the training and in the test set",
        "Their test labels are known: leave these training rows out, and do not count on such luck elsewhere.",
    )


def _across(inputs: AuditInputs, pairs: np.ndarray, fold: pd.Series, remedy: str) -> Iterator[Finding]:
    place = inputs.rows["id"].iloc[: inputs.train].map(fold).to_numpy()
    pairs = pairs[pd.notna(place[pairs]).all(axis=1)]  # a row that was left out has no fold
    rows = np.unique(_mixed(pairs, pd.factorize(place)[0]))
    if len(rows):
        cluster = clusters(pairs, len(inputs.rows))
        share = len(rows) / inputs.train
        table = _numbered(inputs, rows, cluster[rows], fold=place[rows].astype(np.int64))
        level = "alarm" if share >= ALARM_SHARE else "warning"
        what = f"{len(rows):,} training images ({share:.1%}) have a copy in another fold, which flatters the score."
        figures = {"rows": len(rows), "share": round(share, 4)}
        yield Finding("duplicates-across-folds", level, what, remedy, figures, table)


def _mixed(pairs: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Return the pairs of those clusters in which ``value``, by position, differs.

    Of whole clusters, for three copies are linked by two pairs, and a chain leaks from its one end to its other.
    """
    rows, codes = np.unique(pairs, return_inverse=True)
    cluster = clusters(codes.reshape(-1, 2), len(rows))
    mixed = pd.Series(value[rows]).groupby(cluster).transform("nunique").to_numpy() > 1
    return pairs[mixed[codes.reshape(-1, 2)[:, 0]]]


def _finding(
    inputs: AuditInputs, name: str, level: str, pairs: np.ndarray, words: str, remedy: str
) -> Iterator[Finding]:
    """Yield the finding about these pairs, if there are any."""
    rows = np.unique(pairs)
    cluster = clusters(pairs, len(inputs.rows))[rows]
    count = len(np.unique(cluster))
    if count:
        figures = {"rows": len(rows), "clusters": count, "largest": int(np.bincount(cluster).max())}
        what = f"{len(rows):,} {words} ({counted(count, 'cluster')})."
        yield Finding(name, level, what, remedy, figures, _numbered(inputs, rows, cluster))


def _numbered(inputs: AuditInputs, rows: np.ndarray, cluster: np.ndarray, **columns: np.ndarray) -> pd.DataFrame:
    """Return rows with their cluster, numbered from 1 by the first id in each, sorted by it."""
    table = inputs.select(rows, cluster=cluster, **columns)
    first = table.groupby("cluster")["id"].min().sort_values()
    number = pd.Series(np.arange(1, len(first) + 1), index=first.index)
    return table.assign(cluster=table["cluster"].map(number)).sort_values(["cluster", "set", "id"], ignore_index=True)


def _among(pairs: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return which pairs are among the others, whichever comes first in each."""
    known = set(map(tuple, np.sort(others, axis=1).tolist()))
    return np.array([tuple(pair) in known for pair in np.sort(pairs, axis=1).tolist()], bool)


def _exact(content: np.ndarray) -> np.ndarray:
    """Return each position whose content came before, with a position of it: chains of equal contents."""
    order = np.argsort(content, kind="stable")
    same = (content[order[1:]] == content[order[:-1]]) & (content[order[1:]] >= 0)
    return np.stack([order[:-1][same], order[1:][same]], axis=1)
