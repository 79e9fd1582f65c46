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


def calibrated_threshold(rows: OofRows, seed: int = 0) -> float:
    """Return the probability at which a calibrated one is half the best expected F1 of these rows.

    The rows choose and fit the calibrator (``choose_calibrator``, whose errors these are). Also ``ValueError`` where no
    label is 1.
    """
    check_positives(rows.label)
    calibrator = choose_calibrator(rows, seed).calibrator
    return _first_reaching(calibrator, best_expected_f1(calibrator(rows.prob)) / 2)


def em_threshold(rows: OofRows, seed: int, target: ArrayLike | None) -> float:
    """Return the threshold for the class balance of the (m,) ``target`` probabilities, which have no labels.

    The calibrator of ``calibrated_threshold``; the most likely class balance of the target rows (Saerens et al. 2002,
    after calibration as by Alexandari et al. 2020); their probabilities moved to it; half their best expected F1, moved
    back. Only right where nothing but the class balance differs: under another generator it is worse than doing
    nothing. Without target rows it is ``calibrated_threshold``. Raises what that raises, and ``ValueError`` where all
    labels are 1.
    """
    if target is None:
        return calibrated_threshold(rows, seed)
    check_positives(rows.label)
    calibrator = choose_calibrator(rows, seed).calibrator
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
