"""The rows that scores are made of, as all of ``scoring`` takes them: out of fold, and of the test set."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from competition.scoring.arrays import Bools, Codes, Floats, check_binary, check_group, check_same_length, check_score
from competition.scoring.leaderboard_metric import F1, Metric


@dataclass(frozen=True, eq=False)
class OofRows:
    """Rows with their labels, and what models that did not train on them make of them; checked once, here.

    ``label`` (n,) bool. ``prob`` (n,) float64: the probability of class 1, of several members by the weights that the
    test set is blended by. ``fold`` and ``group`` (n,): codes 0, 1, ... in the order of the names given; rows of one
    group go together. ``crossed`` (k, n) or None: row j is all rows blended by weights that never saw the j-th fold.
    ``held_out`` (n,) bool or None: of one split instead of folds, the rows that take part in no choice and are judged.
    ``web``, or None: some of these rows as they are and degraded, which thresholds are tuned on in place of these.
    ``metric``: what answers to these rows are scored by, and so what they are tuned for.
    """

    label: Bools
    prob: Floats
    fold: Codes
    group: Codes
    crossed: Floats | None
    held_out: Bools | None
    web: "OofRows | None" = None
    metric: Metric = F1

    def __init__(
        self,
        label: ArrayLike,
        prob: ArrayLike,
        fold: ArrayLike | None = None,
        group: ArrayLike | None = None,
        crossed: ArrayLike | None = None,
        held_out: ArrayLike | None = None,
    ) -> None:
        """Check (n,) arrays; ``fold`` and ``group`` hold names of any kind.

        Without ``fold`` all rows are in one; without ``group`` each row is its own. Raises ``ValueError`` with the
        offending value for labels other than 0 and 1, probabilities that are NaN, other shapes, unequal lengths and no
        rows.
        """
        known = check_binary("label", label)
        probs = check_score("prob", prob).astype(np.float64, copy=False)
        check_same_length(label=known, prob=probs)
        folds = np.zeros(known.size) if fold is None else np.asarray(fold)
        check_same_length(label=known, fold=folds)
        code = np.unique(folds, return_inverse=True)[1]
        object.__setattr__(self, "label", known)
        object.__setattr__(self, "prob", probs)
        object.__setattr__(self, "fold", code)
        object.__setattr__(self, "group", check_group(group, known.size))
        object.__setattr__(self, "crossed", None if crossed is None else _check_crossed(crossed, self))
        object.__setattr__(self, "held_out", None if held_out is None else np.asarray(held_out, bool))
        if self.held_out is not None:
            check_same_length(label=known, held_out=self.held_out)

    @property
    def folds(self) -> int:
        """The number of folds."""
        return int(self.fold.max()) + 1

    @property
    def groups(self) -> int:
        """The number of groups."""
        return int(self.group.max()) + 1

    @property
    def by_fold(self) -> Floats:
        """The probabilities (k, n) to choose by for each fold, and to judge its rows by: ``crossed``, or all alike."""
        return np.broadcast_to(self.prob, (self.folds, self.prob.size)) if self.crossed is None else self.crossed

    @property
    def own(self) -> Floats:
        """The probability (n,) that judges each row: by weights that never saw its fold."""
        return self.by_fold[self.fold, np.arange(self.prob.size)]

    def subset(self, kept: Bools, prob: Floats | None = None) -> "OofRows":
        """Return the rows that ``kept`` (n,) marks, with their ``prob`` or another one (n,)."""
        held_out = None if self.held_out is None else self.held_out[kept]
        prob = self.prob if prob is None else prob
        rows = OofRows(self.label[kept], prob[kept], self.fold[kept], self.group[kept], None, held_out)
        return rows.scored_by(self.metric)

    def with_prob(self, prob: ArrayLike, crossed: ArrayLike | None = None) -> "OofRows":
        """Return the same rows with other probabilities."""
        return OofRows(self.label, prob, self.fold, self.group, crossed, self.held_out).scored_by(self.metric)

    def scored_by(self, metric: Metric) -> "OofRows":
        """Return the same rows, of which answers are scored by another metric."""
        found = copy.copy(self)
        object.__setattr__(found, "metric", metric)
        return found

    def tuned_on(self, web: "OofRows | None") -> "OofRows":
        """Return the same rows with others to tune thresholds on: of the same folds, and none that is held out."""
        found = copy.copy(self)
        object.__setattr__(found, "web", web)
        return found

    @property
    def tuning(self) -> "OofRows":
        """The rows that thresholds may be chosen on: all, or all that are not held out."""
        return self if self.held_out is None else self.subset(~self.held_out).tuned_on(self.web)

    @property
    def judged(self) -> "OofRows":
        """The rows that a score is about: all, or those held out; ``prob`` is what judges them."""
        return self.with_prob(self.own) if self.held_out is None else self.subset(self.held_out)


def _check_crossed(crossed: ArrayLike, rows: OofRows) -> Floats:
    table, wanted = np.asarray(crossed, np.float64), (rows.folds, rows.label.size)
    if table.shape != wanted:
        raise ValueError(f"crossed must be {wanted}, a row for each fold; its shape is {table.shape}")
    return np.stack([check_score(f"crossed {k}", row) for k, row in enumerate(table)])


@dataclass(frozen=True, eq=False)
class TestRows:
    """The test set's rows as models see them, without labels: ``prob`` (m,), the mean that decides, and ``parts``
    (k, m), what the models of each fold alone make of them. NaN where no model could see an image."""

    __test__ = False  # not a test case, whatever pytest makes of the name

    prob: Floats
    parts: Floats

    @cached_property
    def seen(self) -> "TestRows":
        """The rows that models could see."""
        return TestRows(self.prob[~np.isnan(self.prob)], self.parts[:, ~np.isnan(self.parts).any(axis=0)])


def stacked(members: Mapping[str, OofRows]) -> tuple[OofRows, Floats]:
    """Return the rows that all members share, and each member's probabilities of them, (m, n), in the order given.

    Raises ``ValueError`` for no members, and for members of other rows.
    """
    if not members:
        raise ValueError("members must hold at least one; there is none")
    first = next(iter(members.values()))
    for name, rows in members.items():
        for what in ("label", "fold", "group"):
            if not np.array_equal(getattr(rows, what), getattr(first, what)):
                raise ValueError(f"all members must have the same rows; those of {name} differ in {what}")
    return first, np.stack([rows.prob for rows in members.values()])
