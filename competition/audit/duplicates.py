"""Pictures that are there more than once: byte for byte or to the eye, in train, across folds, in the test set.

Pairs of positions in ``Evidence.rows`` are *exact* (equal bytes) or *near* (perceptual hash, confirmed by thumbnail).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from competition.audit.findings import Finding
from competition.audit.inputs import Evidence
from competition.data.duplicates.perceptual_hash import copies

_MANY = 0.01  # share of the training rows from which copies across folds make a score dishonest


@dataclass(frozen=True)
class Copies:
    """Pairs (m, 2) of positions: each file with the first of its content, and near ones; no pair of two test rows."""

    exact: np.ndarray
    near: np.ndarray

    @property
    def both(self) -> np.ndarray:
        """All pairs."""
        return np.concatenate([self.exact, self.near])


def find_copies(evidence: Evidence) -> Copies:
    """Return the copies among all rows, as far as the evidence goes."""
    none = np.empty((0, 2), np.int64)
    if evidence.content is None:
        return Copies(none, none)
    exact = _exact(evidence.content)
    near = none
    if evidence.hashes is not None:
        # Of equal files one stands for all, but one of each label and set, so that what differs in these is seen.
        keys = pd.DataFrame({"content": evidence.content, "label": evidence.rows["label"], "set": evidence.rows["set"]})
        chosen = np.flatnonzero(~keys.duplicated().to_numpy() & evidence.pictured)
        near = chosen[copies(evidence.hashes[chosen], evidence.thumbnails[chosen])]
        near = near[evidence.content[near[:, 0]] != evidence.content[near[:, 1]]]
    train = evidence.train
    return Copies(exact, near[(near < train).any(axis=1)])


def clusters(pairs: np.ndarray, n: int) -> np.ndarray:
    """Return the number (n,) of the connected component of each position; which numbers these are means nothing."""
    graph = coo_matrix((np.ones(len(pairs), bool), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    return connected_components(graph, directed=False)[1]


def duplicate_findings(
    evidence: Evidence, found: Copies, twins: np.ndarray, fold: pd.Series | None
) -> Iterator[Finding]:
    """Yield the findings about copies. ``twins`` (k, 2) are no copies of each other; ``fold``: by training id."""
    near = found.near[~_among(found.near, twins)]
    found = Copies(found.exact, near)
    label = evidence.rows["label"].fillna(-1).to_numpy(np.int64)
    train = evidence.train
    group = evidence.rows["group"].to_numpy(object)
    within = [pairs[(pairs < train).all(axis=1)] for pairs in (found.exact, near)]
    alike = within[1][label[within[1][:, 0]] == label[within[1][:, 1]]]
    remedy = "Keep copies in one fold with group=auto, or leave all but one out."
    for name, pairs, words in (
        ("exact-duplicates", within[0], "exact copies of another, byte for byte"),
        ("near-duplicates", alike, "to the eye the same picture as another"),
    ):
        if len(pairs):
            kept = fold is not None or (group[pairs[:, 0]] == group[pairs[:, 1]]).all()
            yield _finding(evidence, name, "note" if kept else "warning", pairs, "training images are " + words, remedy)
    yield from _conflicts(evidence, within, label)
    if fold is not None:
        yield from _across(evidence, np.concatenate([within[0], within[1]]), fold, remedy)
    crossing = _mixed(found.both, np.arange(len(label)) < train)
    if len(crossing):
        yield _finding(
            evidence,
            "duplicates-in-test",
            "warning",
            crossing,
            "images are both in the training and in the test set",
            "Their test labels are known: leave these training rows out, and do not count on such luck elsewhere.",
        )


def _conflicts(evidence: Evidence, within: list[np.ndarray], label: np.ndarray) -> Iterator[Finding]:
    pairs = _mixed(np.concatenate(within), label)
    if len(pairs):
        yield _finding(
            evidence,
            "conflicting-labels",
            "warning",
            pairs,
            "training images have a copy of the other class: mislabelled, or a photo and its AI twin",
            "Look at them: correct or leave out what is mislabelled, and keep twins in one fold with group=auto.",
        )


def _across(evidence: Evidence, pairs: np.ndarray, fold: pd.Series, remedy: str) -> Iterator[Finding]:
    place = evidence.rows["id"].iloc[: evidence.train].map(fold).to_numpy()
    pairs = pairs[pd.notna(place[pairs]).all(axis=1)]  # a row that was left out has no fold
    rows = np.unique(_mixed(pairs, pd.factorize(place)[0]))
    if len(rows):
        cluster = clusters(pairs, len(evidence.rows))
        share = len(rows) / evidence.train
        table = _numbered(evidence, rows, cluster[rows], fold=place[rows].astype(np.int64))
        yield Finding(
            "duplicates-across-folds",
            "alarm" if share >= _MANY else "warning",
            f"{len(rows):,} training images ({share:.1%}) have a copy in another fold, which flatters the score.",
            remedy,
            {"rows": len(rows), "share": round(share, 4)},
            table,
        )


def _mixed(pairs: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Return the pairs of those clusters in which ``value``, by position, differs.

    Of whole clusters, for three copies are linked by two pairs, and a chain leaks from its one end to its other.
    """
    rows, codes = np.unique(pairs, return_inverse=True)
    cluster = clusters(codes.reshape(-1, 2), len(rows))
    mixed = pd.Series(value[rows]).groupby(cluster).transform("nunique").to_numpy() > 1
    return pairs[mixed[codes.reshape(-1, 2)[:, 0]]]


def _finding(evidence: Evidence, name: str, level: str, pairs: np.ndarray, words: str, remedy: str) -> Finding:
    rows = np.unique(pairs)
    cluster = clusters(pairs, len(evidence.rows))[rows]
    count = len(np.unique(cluster))
    return Finding(
        name,
        level,
        f"{len(rows):,} {words} ({count:,} {'cluster' if count == 1 else 'clusters'}).",
        remedy,
        {"rows": len(rows), "clusters": count, "largest": int(np.bincount(cluster).max())},
        _numbered(evidence, rows, cluster),
    )


def _numbered(evidence: Evidence, rows: np.ndarray, cluster: np.ndarray, **columns: np.ndarray) -> pd.DataFrame:
    """Return rows with their cluster, numbered from 1 by the first id in each, sorted by it."""
    table = evidence.select(rows, cluster=cluster, **columns)
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
