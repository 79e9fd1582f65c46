"""Thresholds from what probabilities promise instead of from single labels: where the expected metric is best.

Labels only calibrate here; the search itself runs over expectations, which are smoother than counts. With the test
rows' scores at hand the same search runs on their class balance instead of the training rows'.
"""

import numpy as np
from numpy.typing import ArrayLike

from competition.scoring.arrays import check_positives, check_prob, check_score
from competition.scoring.calibration import Calibrator, choose_calibrator
from competition.scoring.leaderboard_metric import F1, Counts, LabelMetric, of_labels
from competition.scoring.rows import OofRows
from competition.scoring.shift.class_prior import em_prior, shift_prior

HALVINGS = 60  # of [0, 1]: less than the spacing of numbers near 1


def best_expected(prob: ArrayLike, metric: LabelMetric = F1) -> tuple[float, float]:
    """Return where to cut (m,) calibrated probabilities for the best value of the metric to be expected, and the value.

    It is the metric of expected counts, the best over all cuts, in place of its expectation, from which it differs by
    O(1/m). The cut is the probability from which calling one more row positive pays (``worth_calling``): half of the
    value for F1, one half for accuracy, the share of class 1 for balanced accuracy.
    """
    ordered = np.sort(check_prob("prob", check_score("prob", prob)))[::-1]
    counts = Counts(np.cumsum(ordered), np.arange(1, ordered.size + 1), ordered.sum(), ordered.size)
    values = metric.of_counts(counts)
    best = int(np.argmax(values))
    return float(metric.worth_calling(Counts(counts.found[best], counts.called[best], *counts[2:]))), float(
        values[best]
    )


def calibrated_threshold(rows: OofRows, seed: int = 0, target: ArrayLike | None = None) -> float:
    """Return the probability at which a calibrated one is where the rows' metric is expected to be best.

    The rows choose and fit the calibrator (``choose_calibrator``, whose errors these are). With the (m,) ``target``
    probabilities, which have no labels, it is for their most likely class balance (Saerens et al. 2002, after
    calibration as by Alexandari et al. 2020): they are moved to it, and their best cut is moved back. That is only
    right where nothing but the class balance differs: under another generator it is worse than doing nothing.
    Raises ``ValueError`` where no label is 1 and, with target rows, where all are.
    """
    check_positives(rows.label)
    calibrator, metric = choose_calibrator(rows, seed).calibrator, of_labels(rows.metric)
    if target is None:
        return first_reaching(calibrator, best_expected(calibrator(rows.prob), metric)[0])
    seen, old = calibrator(target), float(rows.label.mean())
    new = em_prior(seen, old)
    cut, _ = best_expected(shift_prior(seen, old, new), metric)
    return first_reaching(calibrator, float(shift_prior(cut, new, old)))


def first_reaching(calibrator: Calibrator, value: float) -> float:
    """Return the lowest probability that is calibrated to ``value`` or more, 1 if none is."""
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if calibrator(middle) >= value else (middle, high)
    return high
