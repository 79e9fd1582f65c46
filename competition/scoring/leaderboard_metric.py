"""What a leaderboard scores: metrics of decided labels, made from counts, and metrics of probabilities, made from rows.

Both know their value, and what each row adds to it, so that two answers to the same rows can be compared with an error.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from competition.core.errors import UserError, did_you_mean
from competition.scoring.arrays import Bools, Floats, check_binary, check_prob, check_same_length

STEP = 1e-6  # of a share of the rows: by such steps a metric's slope is found
EDGE = 1e-7  # probabilities nearer than this to 0 or 1 count as that near: one row cannot cost more than 16 nats
FBETA = "fbeta:"
BETAS = (0.01, 100)  # of F-beta: beyond these it is precision or recall alone


class Counts(NamedTuple):
    """Rows that are positive and called so, called so, positive, and all: numbers or arrays, expectations included."""

    found: Any
    called: Any
    positives: Any
    rows: Any


@dataclass(frozen=True)
class LabelMetric:
    """A metric of decisions, the higher the better.

    ``of_counts`` gives its value, and ``worth_calling`` the probability from which calling one more row positive pays,
    where the decisions so far have these counts: the derivatives of the value for one more positive row, called so, and
    one more negative one, weighed by the probability, then cancel (for F1 it is half of F1: Lipton et al. 2014, arXiv
    1402.1892; for all such metrics Koyejo et al. 2014, arXiv 1505.01802). ``counts_negatives``: whether negative rows
    that are called negative count; if not, the metric is about class 1 alone.
    """

    name: str
    title: str
    of_counts: Callable[[Counts], Floats]
    worth_calling: Callable[[Counts], Floats]
    counts_negatives: bool = True
    calibrated: ClassVar[bool] = False
    sign: ClassVar[int] = 1

    @property
    def about(self) -> str:
        """The metric in words: which class it is about, where it is about one."""
        return self.title if self.counts_negatives else f"{self.title} of class 1"

    def value(self, label: ArrayLike, prob: ArrayLike, decision: ArrayLike) -> float:
        """Return the metric of (n,) decisions 0 and 1; ``prob`` plays no part. Raises ``ValueError`` for others."""
        return float(self.of_counts(_counts(label, decision)))

    def influence(self, label: ArrayLike, prob: ArrayLike, decision: ArrayLike) -> Floats:
        """Return (n,) numbers of sum 0: what each row adds to the value, to first order (the infinitesimal jackknife).

        Metrics do not change when all counts are multiplied, so shares of the rows stand in for counts. Where all rows
        are called alike, or are of one class, a metric may have no slope, and the numbers are 0.
        """
        label, decision = check_binary("label", label), check_binary("decision", decision)
        if any(values.all() or not values.any() for values in (label, decision)):
            return np.zeros(label.size)
        shares = np.array(_counts(label, decision)) / label.size
        steps = STEP * np.eye(len(shares))
        slopes = [(self.of_counts(Counts(*(shares + s))) - self.of_counts(Counts(*(shares - s)))) for s in steps]
        found, called, positives, rows = np.array(slopes) / (2 * STEP) / label.size
        return np.asarray(found * (label & decision) + called * decision + positives * label + rows)


@dataclass(frozen=True)
class ProbabilityMetric:
    """A metric of probabilities: ``start`` - ``sign`` times the mean of the rows' ``losses``; ``sign`` is -1 where less
    is better. ``calibrated``: whether probabilities must mean what they say, and not only rank."""

    name: str
    title: str
    losses: Callable[[Bools, Floats], Floats]
    calibrated: bool
    start: float = 0.0
    sign: int = -1

    @property
    def about(self) -> str:
        """The metric in words."""
        return self.title

    def value(self, label: ArrayLike, prob: ArrayLike, decision: ArrayLike) -> float:
        """Return the metric of (n,) probabilities; ``decision`` plays no part. Raises ``ValueError`` for others."""
        label, prob = check_binary("label", label), check_prob("prob", prob)
        check_same_length(label=label, prob=prob)
        return self.start - self.sign * float(self.losses(label, prob).mean())

    def influence(self, label: ArrayLike, prob: ArrayLike, decision: ArrayLike) -> Floats:
        """Return (n,) numbers of sum 0: what each row adds to the value, to first order."""
        label, prob = check_binary("label", label), check_prob("prob", prob)
        losses = self.losses(label, prob)
        return np.asarray(-self.sign * (losses - losses.mean()) / losses.size)


Metric = LabelMetric | ProbabilityMetric


def of_labels(metric: Metric) -> LabelMetric:
    """Return a metric that is known to be one of labels: for those of probabilities nothing is decided."""
    if isinstance(metric, ProbabilityMetric):
        raise ValueError(f"{metric.name} scores probabilities: there is no threshold to tune for it")
    return metric


def _counts(label: ArrayLike, decision: ArrayLike) -> Counts:
    label, decision = check_binary("label", label), check_binary("decision", decision)
    check_same_length(label=label, decision=decision)
    found, called, positives = (int(np.count_nonzero(rows)) for rows in (label & decision, decision, label))
    return Counts(found, called, positives, label.size)


def _ratio(above: ArrayLike, below: ArrayLike) -> Floats:
    """Return a quotient, 0 where the divisor is."""
    above, below = np.broadcast_arrays(np.asarray(above, np.float64), np.asarray(below, np.float64))
    return np.asarray(np.divide(above, below, out=np.zeros(below.shape), where=below > 0))


def _fbeta(counts: Counts, beta: float) -> Floats:
    return _ratio((1 + beta**2) * counts.found, beta**2 * counts.positives + counts.called)


def _accuracy(counts: Counts) -> Floats:
    return _ratio(counts.rows - counts.positives - counts.called + 2 * counts.found, counts.rows)


def _balanced_accuracy(counts: Counts) -> Floats:
    """Return the mean of both classes' recalls; that of the one class where there is no row of the other."""
    negatives, rejected = counts.rows - counts.positives, counts.rows - counts.positives - counts.called + counts.found
    recalls = _ratio(counts.found, counts.positives) + _ratio(rejected, negatives)
    return np.asarray(recalls / np.maximum(1.0 * (counts.positives > 0) + (negatives > 0), 1))


def _mcc(counts: Counts) -> Floats:
    """Return Matthews' correlation, 0 where either side has one value only."""
    found, called, positives, rows = (np.asarray(value, np.float64) for value in counts)
    spread = np.sqrt(np.maximum(positives * (rows - positives), 0)) * np.sqrt(np.maximum(called * (rows - called), 0))
    return _ratio(rows * found - positives * called, spread)


def _mcc_worth_calling(counts: Counts) -> Floats:
    found, called, positives, rows = (np.asarray(value, np.float64) for value in counts)
    slope = _ratio((rows * found - positives * called) * (rows - 2 * called), 2 * called * (rows - called))
    return np.asarray(np.clip((positives + slope) / rows, 0, 1))


def fbeta(beta: float, name: str = "") -> LabelMetric:
    """Return F-beta of class 1, in which recall counts ``beta`` times as much as precision."""
    return LabelMetric(
        name or f"{FBETA}{beta:g}",
        f"F{beta:g}",
        partial(_fbeta, beta=beta),
        lambda counts: _fbeta(counts, beta) / (1 + beta**2),
        counts_negatives=False,
    )


def log_losses(label: Bools, prob: Floats) -> Floats:
    """Return each row's log-loss in nats, (n,)."""
    right = np.where(label, prob, 1 - prob)
    return np.asarray(-np.log(np.clip(right, EDGE, 1 - EDGE)))


def brier_losses(label: Bools, prob: Floats) -> Floats:
    """Return each row's squared error, (n,)."""
    return np.asarray((prob - label) ** 2)


def auc_losses(label: Bools, prob: Floats) -> Floats:
    """Return (n,) numbers whose mean is 1 - AUC, and whose spread is that of the AUC over rows.

    They are the placement values of DeLong, DeLong and Clarke-Pearson (1988), each class weighed by its rows: of a
    positive row the share of negative ones that it does not exceed, and the reverse. One class alone counts as chance.
    """
    from scipy import stats  # half a second, which those who only name a metric do without

    rows, ones = label.size, int(label.sum())
    if ones in (0, rows):
        return np.full(rows, 0.5)
    ranks, place = stats.rankdata(prob), np.empty(rows)
    for part, others in ((label, rows - ones), (~label, ones)):
        place[part] = (ranks[part] - stats.rankdata(prob[part])) / others  # the share of the other class below it
    place[~label] = 1 - place[~label]
    value = float(place[label].mean())
    return np.asarray(1 - value + (value - place) * np.where(label, rows / ones, rows / (rows - ones)))


F1 = fbeta(1.0, "f1")
METRICS: dict[str, Metric] = {
    one.name: one
    for one in (
        F1,
        LabelMetric("accuracy", "accuracy", _accuracy, lambda counts: np.full(np.shape(counts.called), 0.5)),
        LabelMetric(
            "balanced_accuracy",
            "balanced accuracy",
            _balanced_accuracy,
            lambda counts: _ratio(counts.positives, counts.rows),
        ),
        LabelMetric("mcc", "MCC", _mcc, _mcc_worth_calling),
        ProbabilityMetric("auc", "AUC", auc_losses, calibrated=False, start=1.0, sign=1),
        ProbabilityMetric("log_loss", "log-loss", log_losses, calibrated=True),
        ProbabilityMetric("brier", "Brier score", brier_losses, calibrated=True),
    )
}


def find_metric(name: str) -> Metric:
    """Return the metric of that name, ``fbeta:B`` included. Raises UserError for any other."""
    if name.startswith(FBETA):
        try:
            beta = float(name.removeprefix(FBETA))
        except ValueError:
            beta = 0.0
        if not BETAS[0] <= beta <= BETAS[1]:
            raise UserError(f"metric={name} needs a number from {BETAS[0]} to {BETAS[1]}, as in metric=fbeta:0.5.")
        return fbeta(beta)
    if name not in METRICS:
        raise UserError(f"metric={name} is not a known metric{did_you_mean(name, [*METRICS, FBETA + 'B', 'auto'])}")
    return METRICS[name]
