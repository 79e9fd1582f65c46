"""Probabilities as a leaderboard scores them: calibrated on other rows, moved to the test set's class balance, bounded.

Where a metric goes by the order alone they are left as the models gave them. Their intervals need no draws: the metrics
are means over rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from competition.scoring.arrays import Floats
from competition.scoring.calibration import Calibrator, choose_calibrator
from competition.scoring.groups import grouped_error
from competition.scoring.leaderboard_metric import ProbabilityMetric
from competition.scoring.rows import OofRows, TestRows
from competition.scoring.shift.class_prior import Prior, em_prior, shift_prior
from competition.scoring.shift.verdict import LABEL_SHIFT, Shift
from competition.scoring.threshold.expected_value import first_reaching
from competition.scoring.threshold.mean_correction import as_if_averaged
from competition.scoring.threshold.rules import declared_share

Z95 = float(stats.norm.ppf(0.975))  # standard errors from the middle of a 95 % range to its ends
RAW = "as the models give them"
ORDER_ALONE = "the metric goes by their order alone"
TOO_FEW = "there are no other rows to calibrate them on"


@dataclass(frozen=True)
class Submitted:
    """Probabilities (m,) of the test rows, NaN where no model could see an image; ``threshold``: the models' own mean
    probability from which they are one half or more; ``how`` they came about, and ``why``, in a clause each."""

    prob: Floats
    threshold: float
    how: str
    why: str


def calibrate_unseen(rows: OofRows, seed: int) -> tuple[Floats, Floats]:
    """Return the probabilities of the rows that are judged (``rows.judged``), calibrated without their fold, (n,).

    Of a hold-out the calibrator is that of the rows that are not held out; with a single fold, which leaves no other
    rows, and where the metric goes by the order alone, probabilities stay as they are. With them, (n,), comes for each
    row the uncalibrated probability from which it is called positive: from which it is calibrated to one half.
    """
    judged = rows.judged
    prob, used = judged.prob.copy(), np.full(judged.prob.size, 0.5)
    if _stays(rows):
        return prob, used
    if rows.held_out is not None:
        calibrator, _ = bounded_calibrator(rows.tuning, seed)
        return calibrator(prob), np.full(prob.size, first_reaching(calibrator, 0.5))
    for k, scores in enumerate(rows.by_fold):
        inside = rows.fold == k
        calibrator, _ = bounded_calibrator(rows.subset(~inside, scores), seed)
        prob[inside], used[inside] = calibrator(scores[inside]), first_reaching(calibrator, 0.5)
    return prob, used


def bounded_calibrator(rows: OofRows, seed: int) -> tuple[Calibrator, str]:
    """Return the calibrator that these rows choose, kept 1/(n + 2) from 0 and 1, and its name.

    That is the rule of succession: n rows without an exception promise no more.
    """
    choice, edge = choose_calibrator(rows, seed), _edge(rows)
    return lambda prob: np.clip(choice.calibrator(prob), edge, 1 - edge), choice.name


def _edge(rows: OofRows) -> float:
    return 1 / (rows.label.size + 2)


def submit_probabilities(rows: OofRows, test: TestRows, rule: str, seed: int, shift: Shift | None) -> Submitted:
    """Return what to submit for the test rows: calibrated on all rows as the mean of the models would have scored them
    (``as_if_averaged``), and moved to the share of class 1 that ``rule`` declares (``prior:P``), or that the scores
    suggest where the verdict is label shift and features show no other (Saerens et al. 2002)."""
    if _stays(rows):
        return Submitted(test.prob, 0.5, RAW, TOO_FEW if rows.metric.calibrated else ORDER_ALONE)
    known = ~np.isnan(test.prob)
    calibrator, name = bounded_calibrator(as_if_averaged(rows.tuning, test.seen.parts), seed)
    prob, edge = test.prob.copy(), _edge(rows.tuning)
    prob[known] = calibrator(prob[known])
    how = f"kept {edge:.2g} from 0 and 1"
    how = f"{how}, uncalibrated" if name == "none" else f"{how}, calibrated ({name})"
    old, new = float(rows.tuning.label.mean()), declared_share(rule)
    why = "which is best on rows that it has not seen" if new is None else "for the declared share of class 1"
    if new is None and known.any() and shift and shift.verdict == LABEL_SHIFT and shift.features_agree:
        new, why = em_prior(prob[known], old), "only the class balance of the test set differs"
    if new is None:
        return Submitted(prob, first_reaching(calibrator, 0.5), how, why)
    prob[known] = np.clip(shift_prior(prob[known], old, new), edge, 1 - edge)
    threshold = first_reaching(calibrator, float(shift_prior(0.5, new, old)))
    return Submitted(prob, threshold, f"{how}, moved to {new:.1%} of class 1", why)


def _stays(rows: OofRows) -> bool:
    return not rows.metric.calibrated or (rows.held_out is None and rows.folds < 2)


def loss_interval(metric: ProbabilityMetric, rows: OofRows) -> tuple[float, float]:
    """Return the 95 % interval of the metric of these rows' probabilities, by groups and the normal approximation."""
    return _span(metric, *_of_share(metric, rows, None))


def loss_range(
    metric: ProbabilityMetric, judged: Sequence[OofRows], size: int, prior: Prior | None
) -> tuple[float, float]:
    """Return where the score on a leaderboard of ``size`` rows of the same world should land, over all of ``judged``.

    Its error is that of the score and that of so many new rows. With the test set's class balance, ``prior``, a metric
    that calibrates is that of probabilities moved to it and rows weighed by it, over the ends of the prior's interval.
    """
    ends = []
    for rows in judged:
        for share in (prior.value, prior.low, prior.high) if prior and metric.calibrated else (None,):
            value, error = _of_share(metric, rows, share)
            ends.append(_span(metric, value, error * np.sqrt(1 + rows.label.size / size)))
    return min(low for low, _ in ends), max(high for _, high in ends)


def _of_share(metric: ProbabilityMetric, rows: OofRows, share: float | None) -> tuple[float, float]:
    """Return the metric, with its standard error, of rows a ``share`` of which is of class 1, or as many as are."""
    if share is None:
        value = metric.value(rows.label, rows.prob, ())
        return value, grouped_error(metric.influence(rows.label, rows.prob, ()), rows.group)
    old = float(rows.label.mean())
    weight = np.where(rows.label, share / old, (1 - share) / (1 - old))
    losses = weight * metric.losses(rows.label, shift_prior(rows.prob, old, share))
    error = grouped_error((losses - weight * losses.mean()) / losses.size, rows.group)
    return metric.start - metric.sign * float(losses.mean()), error


def _span(metric: ProbabilityMetric, value: float, error: float) -> tuple[float, float]:
    """Return the ends of a 95 % range, no lower than 0 and, of a metric that starts at it, no higher than 1."""
    low, high = max(value - Z95 * error, 0.0), value + Z95 * error
    return low, min(high, metric.start) if metric.start else high
