"""From scores that rank to probabilities that mean what they say: calibrators, the choice between them, and the check.

Promises: no calibrator ever reverses the order of two rows, none returns 0 or 1, and the choice and the check look only
at probabilities of rows which the calibrator behind them has not seen.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special, stats
from sklearn.isotonic import IsotonicRegression

from competition.core.errors import did_you_mean
from competition.scoring.arrays import (
    Bools,
    Codes,
    Floats,
    check_binary,
    check_prob,
    check_same_length,
    check_score,
    sigmoid,
)
from competition.scoring.groups import deal_groups, grouped_variance
from competition.scoring.rows import OofRows

EDGE = 1e-9  # probabilities are kept this far from 0 and 1, so that logarithms stay finite
FOLDS = 5
BINS = 10
# Calibration fails only where the error is not by chance (level of the test) and large (root mean square over rows): a
# false alarm would keep ``auto`` from following the test set's class balance.
MIN_P_VALUE = 0.001
MAX_ERROR = 0.03
# Fitted on so many rows with a tenth of either class, the parameters' standard errors are about .01 in the logit. The
# choice between calibrators fits some two hundred: of a million rows it took minutes.
MOST_ROWS = 100_000
RARE = 0.1

Transform = Callable[[Floats], Floats]


Calibrator = Callable[[ArrayLike], Floats]
"""A non-decreasing function from probabilities (...,) to calibrated ones of that shape, strictly between 0 and 1;
``ValueError`` for values outside [0, 1]."""


@dataclass(frozen=True)
class CalibratorChoice:
    """``calibrator`` is fitted on all rows; ``losses`` are the cross-fitted log-losses (nats a row) it was chosen by.

    ``prob`` (n,) are the rows' own probabilities, each calibrated without the part that the row is in.
    """

    name: str
    calibrator: Calibrator
    losses: dict[str, float]
    prob: Floats


@dataclass(frozen=True)
class Calibration:
    """Whether probabilities mean what they say.

    ``error``: root mean square over rows of (mean probability - share of class 1) of the row's bin, less what sampling
    alone makes of it. ``p_value``: of a test that it is all sampling. ``holds``: not both significant and large.
    """

    error: float
    p_value: float
    holds: bool


def fit_calibrator(name: str, label: ArrayLike, prob: ArrayLike) -> Calibrator:
    """Return the calibrator of that name, a key of ``CALIBRATORS``, fitted on (n,) labels 0/1 and probabilities.

    ``none`` leaves probabilities alone. ``platt``: a logistic regression on the logit, the two targets drawn inward by
    Platt's (1999) rule, so that classes which do not overlap still have a finite fit; in the binary case it is also
    Alexandari's (2020) bias-corrected temperature scaling. ``beta`` (Kull et al. 2017): a logistic regression on
    log p and -log(1 - p) with non-negative coefficients. ``isotonic``: the non-decreasing steps of least squares
    (Zadrozny and Elkan 2002), kept 1/(n + 2) from 0 and 1. Raises ``ValueError`` for another name, bad labels or
    probabilities, unequal lengths and no rows. Of more than ``MOST_ROWS`` rows so many are drawn and fitted on.
    """
    if name not in CALIBRATORS:
        raise ValueError(f"there is no calibrator '{name}'{did_you_mean(name, CALIBRATORS)}")
    label, prob = check_binary("label", label), check_prob("prob", check_score("prob", prob))
    check_same_length(label=label, prob=prob)
    drawn = _drawn(label)
    transform = CALIBRATORS[name](label[drawn], _inward(prob[drawn]))
    return lambda values: _inward(transform(_inward(check_prob("prob", values))))


def choose_calibrator(rows: OofRows, seed: int = 0) -> CalibratorChoice:
    """Return the simplest calibrator within one standard error of the best log-loss whose calibration holds.

    Both are judged by cross-fitted probabilities; where none holds it is the best. Groups stay together in the inner
    folds, which are not those of the rows. Simplest is the order of ``CALIBRATORS``. The standard error is that
    of the paired difference to the best one, over groups (the one-standard-error rule of Breiman et al. 1984); a few
    rows that are far off make it large enough to excuse almost anything, hence the check. Raises what
    ``fit_calibrator`` raises.
    """
    part = _parts(rows, min(FOLDS, rows.groups), seed)
    crossed = {name: _cross_fit(name, rows, part) for name in CALIBRATORS}
    row_loss = {name: -np.log(np.where(rows.label, found, 1 - found)) for name, found in crossed.items()}
    losses = {name: float(loss.mean()) for name, loss in row_loss.items()}
    best = min(losses, key=losses.__getitem__)
    error = {name: _standard_error(loss - row_loss[best], rows.group) for name, loss in row_loss.items()}
    near = (name for name in losses if losses[name] - losses[best] <= error[name])
    name = next((name for name in near if check_calibration(rows.with_prob(crossed[name])).holds), best)
    return CalibratorChoice(name, fit_calibrator(name, rows.label, rows.prob), losses, crossed[name])


def check_calibration(rows: OofRows) -> Calibration:
    """Return whether the probabilities of rows that no calibrator behind them saw agree with their labels.

    In ten bins of equal count, the chi-squared test of Hosmer and Lemeshow (1980) with as many degrees of freedom as
    bins, as is right for rows that were not fitted on. With groups the variance of a bin is that of its groups' sums.
    The error is freed of its sampling part as by Ferro and Fricker (2012). ``holds`` asks for both, since with many
    rows any trifle is significant, and with few any error may be chance.
    """
    label, prob, group = rows.label, check_prob("prob", rows.prob), rows.group
    bins = int(np.clip(label.size // BINS, 1, BINS))
    bin_of = np.searchsorted(np.sort(prob), prob) * bins // prob.size
    excess = label - prob
    within = np.unique(bin_of * rows.groups + group, return_inverse=True)[1]
    of_cell = np.zeros(within.max() + 1, int)
    of_cell[within] = bin_of
    row_variance = np.bincount(bin_of, prob * (1 - prob), bins)
    seen_variance = np.bincount(of_cell, np.bincount(within, excess) ** 2, bins)
    # Where rows of a group go together their sums vary more; where they are alone the model's own variance is steadier.
    inflation = max(seen_variance.sum() / np.bincount(bin_of, excess**2, bins).sum(), 1.0)
    count, gap, variance = np.bincount(bin_of, minlength=bins), np.bincount(bin_of, excess, bins), row_variance
    used = count > 0
    count, gap, variance = count[used], gap[used], variance[used] * inflation
    p_value = float(stats.chi2.sf((gap**2 / variance).sum(), len(count)))
    error = float(np.sqrt(max(((gap**2 - variance) / count).sum() / label.size, 0.0)))
    return Calibration(error, p_value, p_value >= MIN_P_VALUE or error <= MAX_ERROR)


def _drawn(label: Bools) -> NDArray[np.int64] | slice:
    """Return which rows are fitted on: all; or ``MOST_ROWS`` of them, always the same, where no class is rare."""
    if label.size <= MOST_ROWS or not RARE <= label.mean() <= 1 - RARE:
        return slice(None)
    return np.random.default_rng(0).choice(label.size, MOST_ROWS, replace=False, shuffle=False)


def _isotonic(label: Bools, prob: Floats) -> Transform:
    edge = 1 / (label.size + 2)
    model = IsotonicRegression(y_min=edge, y_max=1 - edge, out_of_bounds="clip").fit(prob, label)
    return lambda values: model.predict(values.ravel()).reshape(values.shape)


def _logistic(label: Bools, prob: Floats, features: Transform) -> Transform:
    """Fit a logistic regression with non-negative coefficients: all features rise with ``prob``, so must the result."""
    positives, negatives = np.count_nonzero(label), np.count_nonzero(~label)
    target = np.where(label, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    table = features(prob)
    scale = np.maximum(table.std(axis=0), EDGE)
    centre = table.mean(axis=0)
    table = (table - centre) / scale

    def loss(parameters: Floats) -> tuple[float, Floats]:
        logit = table @ parameters[1:] + parameters[0]
        slope = sigmoid(logit) - target
        return (np.logaddexp(0, logit) - target * logit).mean(), np.append(slope.mean(), slope @ table / len(table))

    start = np.append(special.logit(target.mean()), np.ones(table.shape[1]))
    bounds = [(None, None)] + [(0, None)] * table.shape[1]
    found = optimize.minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-12}).x
    coefficient = found[1:] / scale
    intercept = found[0] - coefficient @ centre
    return lambda values: sigmoid(features(values) @ coefficient + intercept)


CALIBRATORS: dict[str, Callable[[Bools, Floats], Transform]] = {
    "none": lambda label, prob: lambda values: values,
    "platt": partial(_logistic, features=lambda values: special.logit(values)[..., None]),
    "beta": partial(_logistic, features=lambda values: np.stack([np.log(values), -np.log1p(-values)], axis=-1)),
    "isotonic": _isotonic,
}
"""From the simplest to the most flexible; each fits (n,) labels and probabilities and returns its function."""


def _cross_fit(name: str, rows: OofRows, part: Codes) -> Floats:
    """Return each row's probability by the calibrator fitted on the other parts."""
    found = np.empty(part.size)
    for inside in (part == index for index in range(part.max() + 1)):
        outside = ~inside if not inside.all() else inside  # a single group: there are no others
        found[inside] = fit_calibrator(name, rows.label[outside], rows.prob[outside])(rows.prob[inside])
    return found


def _parts(rows: OofRows, parts: int, seed: int) -> Codes:
    """Return each row's part: whole groups, in the order of their share of class 1, equals at random."""
    share = np.bincount(rows.group, rows.label) / np.bincount(rows.group)
    order = np.lexsort((np.random.default_rng(seed).random(share.size), share))
    return deal_groups(rows.group, order, parts)


def _standard_error(difference: Floats, group: Codes) -> float:
    """Return the standard error of the mean over rows, rows of a group going together."""
    return float(np.sqrt(grouped_variance(difference - difference.mean(), group)) / difference.size)


def _inward(prob: Floats) -> Floats:
    return np.clip(prob, EDGE, 1 - EDGE)
