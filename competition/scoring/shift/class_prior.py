"""How many test rows are positive: the test set's class balance, read off its scores without a label.

Sound where only the class balance differs between training and test (*label shift*). Under any other change the figure
is still a number, and wrong: ``verdict.judge_shift`` finds out which case it is.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from competition.scoring import arrays
from competition.scoring.arrays import Floats, check_prob
from competition.scoring.shift.bootstrap import EDGE, ScoreDraws

LEVEL = 0.95
RIDGE = 0.01  # on the slope alone: finite where the classes are wholly apart, and the mean stays right
TRAIN_RATE_ROWS = 1e-9  # how many rows the training rate counts as
NEWTON_STEPS = 50
HALVINGS = 35  # of the interval [0, 1] of priors: 3e-11 is left


@dataclass(frozen=True)
class Prior:
    """The estimated positive rate of the test rows, its 95 % interval, and the training rows' own rate."""

    value: float
    low: float
    high: float
    train: float


def shift_prior(prob: ArrayLike, old: float, new: float) -> Floats:
    """Return probabilities of any shape, calibrated where a share ``old`` is positive, for a share of ``new``.

    Bayes' rule: the odds are multiplied by the ratio of the prior odds (Saerens et al. 2002, eq. 2.4). Probabilities of
    0 and 1 stay. Raises ``ValueError`` for probabilities outside [0, 1] and priors outside (0, 1).
    """
    prob = check_prob("prob", prob)
    for name, prior in (("old", old), ("new", new)):
        _check_prior(name, prior)
    positive, negative = prob * (new / old), (1 - prob) * ((1 - new) / (1 - old))
    return positive / (positive + negative)


def em_prior(prob: ArrayLike, train_prior: float) -> float:
    """Return the positive rate of the test rows that makes their probabilities likeliest.

    ``prob`` (m,) is calibrated where a share ``train_prior`` is positive. This is the point to which the EM algorithm
    of Saerens, Latinne and Decaestecker (2002, Neural Computation 14) converges, found by halving: the likelihood is
    concave in the prior. The estimate keeps half a row away from 0 and 1, so that it can serve as a prior. Raises
    ``ValueError`` for probabilities outside [0, 1], no rows, and a ``train_prior`` outside (0, 1).
    """
    prob = check_prob("prob", prob)
    if prob.ndim != 1 or prob.size == 0:
        raise ValueError(f"prob must be (m,) with at least one row; its shape is {prob.shape}")
    _check_prior("train_prior", train_prior)
    ratio = _likelihood_ratio(arrays.logit(prob, EDGE), train_prior)
    weight = np.full((1, prob.size), 1 / prob.size)
    return float(_likeliest(ratio[None], weight, np.array([train_prior]), prob.size)[0])


def prior_of(scores: ScoreDraws) -> tuple[Prior, Floats, Floats]:
    """Return the test prior, its estimate in each resample, and the training rate in each resample, (draws,) both.

    Platt scaling on the out-of-fold rows makes the mean of the probabilities right, the one thing EM cannot do without
    (Alexandari et al. 2020); the interval is by bootstrap over groups *and* test rows, the scaling fitted anew in each
    draw.
    """
    train = scores.positive.sum(1) / (scores.positive.sum(1) + scores.negative.sum(1))
    logit = _platt(scores.logit, scores.positive, scores.negative)
    values = _likeliest(_likelihood_ratio(logit, train[:, None]), scores.test, train, scores.rows)
    low, high = np.quantile(values[1:], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    prior = Prior(float(values[0]), float(min(low, values[0])), float(max(high, values[0])), float(train[0]))
    return prior, values[1:], train[1:]


def _platt(logit: Floats, positive: Floats, negative: Floats) -> Floats:
    """Return (draws, B) logits scaled and moved so that they are calibrated on each draw's rows, by Newton's method."""
    total = positive + negative
    rate = positive.sum(1) / total.sum(1)
    centre = np.average(logit, weights=total[0])
    scaled = (logit - centre) / max(np.sqrt(np.average((logit - centre) ** 2, weights=total[0])), EDGE)
    slope, intercept = np.zeros(len(rate)), arrays.logit(rate, EDGE)
    for _ in range(NEWTON_STEPS):
        prob = arrays.sigmoid(slope[:, None] * scaled + intercept[:, None])
        residual, curvature = positive - total * prob, total * prob * (1 - prob)
        to_slope, to_intercept = residual @ scaled - RIDGE * slope, residual.sum(1)
        a, b, c = curvature @ scaled**2 + RIDGE, curvature @ scaled, curvature.sum(1) + EDGE
        determinant = a * c - b * b
        slope_step = np.clip((c * to_slope - b * to_intercept) / determinant, -2, 2)
        intercept_step = np.clip((a * to_intercept - b * to_slope) / determinant, -2, 2)
        slope, intercept = slope + slope_step, intercept + intercept_step
        if max(np.abs(slope_step).max(), np.abs(intercept_step).max()) < 1e-7:
            break
    return np.asarray(slope[:, None] * scaled + intercept[:, None])


def _likelihood_ratio(logit: Floats, train_prior: float | Floats) -> Floats:
    """Return how much likelier a score is in class 1 than in class 0."""
    return np.asarray(np.exp(np.clip(logit - special.logit(train_prior), -30, 30)))


def _likeliest(ratio: Floats, weight: Floats, train: Floats, rows: int) -> Floats:
    """Return (draws,) priors at which the mean log of 1 + prior (ratio - 1), concave in it, is highest.

    A trace of a row at the (draws,) training rates decides where scores are uninformative.
    """
    low, high = np.zeros(len(ratio)), np.ones(len(ratio))
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        slope = (weight * (ratio - 1) / (1 + middle[:, None] * (ratio - 1))).sum(1)
        rises = slope + TRAIN_RATE_ROWS * (train / middle - (1 - train) / (1 - middle)) > 0
        low, high = np.where(rises, middle, low), np.where(rises, high, middle)
    return np.clip((low + high) / 2, 0.5 / rows, 1 - 0.5 / rows)


def _check_prior(name: str, value: float) -> None:
    if not 0 < value < 1:
        raise ValueError(f"{name} must lie strictly between 0 and 1; it is {value}")
