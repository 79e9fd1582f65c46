"""Answers to rows that had no part in them: decided labels, or probabilities, as the rows' metric scores them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from competition.scoring.arrays import Floats
from competition.scoring.groups import grouped_error
from competition.scoring.leaderboard_metric import LabelMetric
from competition.scoring.metrics import summary
from competition.scoring.probabilities import calibrate_unseen
from competition.scoring.rows import OofRows
from competition.scoring.threshold.rules import Rule, decide_unseen


@dataclass(frozen=True)
class Judged:
    """``rows``: those that are judged, by the probabilities that are scored. ``decision`` (n,) 0 and 1, and ``used``
    (n,) the threshold that decided each row, in the units of the probabilities as they were before calibration."""

    rows: OofRows
    decision: NDArray[np.int64]
    used: Floats

    @property
    def value(self) -> float:
        """What the metric of the rows makes of the answers."""
        return self.rows.metric.value(self.rows.label, self.rows.prob, self.decision)

    @property
    def influence(self) -> Floats:
        """What each row adds to it, (n,)."""
        return self.rows.metric.influence(self.rows.label, self.rows.prob, self.decision)

    @property
    def figures(self) -> dict[str, float]:
        """The figures of metrics.summary, and the metric under its own name."""
        return {self.rows.metric.name: self.value, **summary(self.rows.label, self.rows.prob, self.decision)}


def judge(rows: OofRows, rule: str | Rule, seed: int = 0) -> Judged:
    """Answer the rows that are judged: by the threshold that ``rule`` chooses on the others, or by calibrated
    probabilities, then called positive from one half on."""
    if isinstance(rows.metric, LabelMetric):
        return Judged(rows.judged, *decide_unseen(rows, rule, seed))
    prob, used = calibrate_unseen(rows, seed)
    return Judged(rows.judged.with_prob(prob), (prob >= 0.5).astype(np.int64), used)


def compare(one: Judged, other: Judged) -> tuple[float, float]:
    """Return by how much ``one`` is better than ``other``, answers to the same rows, and the standard error by groups;
    infinite with a single group. No draws: the metrics are linearised in each row's share."""
    sign, rows = one.rows.metric.sign, one.rows
    return sign * (one.value - other.value), grouped_error(one.influence - other.influence, rows.group)
