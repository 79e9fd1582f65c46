"""Thresholds from what probabilities promise instead of from single labels: half the best F1 one can expect.

Labels only calibrate here; the search itself runs over expectations, which are smoother than counts. With the test
rows' scores at hand the same search runs on their class balance instead of the training rows'.
"""

import numpy as np
from numpy.typing import ArrayLike

from competition.scoring.calibration import Calibrator, choose_calibrator
from competition.scoring.metrics import check_positives, check_prob, check_score
from competition.scoring.rows import OofRows
from competition.scoring.shift.class_prior import em_prior, shift_prior

HALVINGS = 60  # of [0, 1]: less than the spacing of numbers near 1


def best_expected_f1(prob: ArrayLike) -> float:
    """Return the best F1 that cutting (m,) calibrated probabilities can be expected to reach.

    2 E[TP] / (E[positives] + called), the best over all cuts, in place of the expectation of the ratio, from which it
    differs by O(1/m). The best cut is at half its value (Lipton et al. 2014, arXiv 1402.1892).
    """
    ordered = np.sort(check_prob("prob", check_score("prob", prob)))[::-1]
    called = np.arange(1, ordered.size + 1)
    return float((2 * np.cumsum(ordered) / (ordered.sum() + called)).max())


def calibrated_threshold(rows: OofRows, seed: int = 0, target: ArrayLike | None = None) -> float:
    """Return the probability at which a calibrated one is half the best expected F1 of these rows.

    The rows choose and fit the calibrator (``choose_calibrator``, whose errors these are). With the (m,) ``target``
    probabilities, which have no labels, it is for their most likely class balance (Saerens et al. 2002, after
    calibration as by Alexandari et al. 2020): they are moved to it, and half their best expected F1 is moved back. That
    is only right where nothing but the class balance differs: under another generator it is worse than doing nothing.
    Raises ``ValueError`` where no label is 1 and, with target rows, where all are.
    """
    check_positives(rows.label)
    calibrator = choose_calibrator(rows, seed).calibrator
    if target is None:
        return _first_reaching(calibrator, best_expected_f1(calibrator(rows.prob)) / 2)
    seen, old = calibrator(target), float(rows.label.mean())
    new = em_prior(seen, old)
    cut = best_expected_f1(shift_prior(seen, old, new)) / 2
    return _first_reaching(calibrator, float(shift_prior(cut, new, old)))


def _first_reaching(calibrator: Calibrator, value: float) -> float:
    """Return the lowest probability that is calibrated to ``value`` or more, 1 if none is."""
    low, high = 0.0, 1.0
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if calibrator(middle) >= value else (middle, high)
    return high
