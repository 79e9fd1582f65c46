"""The ways to fit the weights of a mean of members' probabilities: equal, stacking, and Caruana's greedy selection.

Each promises non-negative weights that sum to 1 for (m, n) probabilities; which of them to believe, select.py decides.
"""

from collections.abc import Callable

import numpy as np
from scipy import optimize

from competition.scoring.arrays import Bools, Codes, Floats, sigmoid
from competition.scoring.groups import take_groups
from competition.scoring.rows import OofRows

EDGE = 1e-6  # probabilities are kept this far from 0 and 1, so that one sure mistake is not all of the log-loss
MAX_SLOPE = 50.0  # bound of the recalibration's slope, which perfectly separated classes would send to infinity
WEIGHT_UNITS = 1000  # weights are whole thousandths: less is noise, and a solver's last bits must change no submission
MAX_FIT_ROWS = 20_000  # the most rows that log-loss is fitted on, drawn as whole groups: weights then err by about .01
BAGS, STEPS, MAX_BAG_ROWS = 20, 20, 2000  # of caruana: bags, members added in each, and rows of a bag at most

Fit = Callable[[Floats, Bools, Codes, int], Floats]
"""((m, n) probabilities, (n,) label with both classes, (n,) group, seed) -> (m,) weights."""


def equal(probs: Floats, label: Bools, group: Codes, seed: int = 0) -> Floats:
    """Return 1/m for each of m members."""
    return np.full(len(probs), 1 / len(probs))


def stacking(probs: Floats, label: Bools, group: Codes, seed: int = 0) -> Floats:
    """Return the weights whose mean probability has the least log-loss once it is recalibrated.

    That is: least log-loss of sigmoid(slope * logit(weights . probs) + offset), over the weights on the simplex and
    both parameters of Platt's recalibration. A mean of calibrated members is too timid (Ranjan & Gneiting 2010), so
    plain log-loss would rather take one sure member than a better order; the threshold, chosen afterwards, sees only
    the order, so confidence is left to the recalibration. Of more than MAX_FIT_ROWS rows that many are drawn.
    """
    rows = draw_rows(group, MAX_FIT_ROWS, np.random.default_rng([seed, 0]))
    return _rounded(_solve(probs[:, rows], label[rows])[0])


def caruana(probs: Floats, label: Bools, group: Codes, seed: int = 0) -> Floats:
    """Return the shares in which greedy selection with replacement picks the members (Caruana et al. 2004).

    Each of BAGS bags draws half the rows (at most MAX_BAG_ROWS) as whole groups and starts from the best single
    members, as many as make the best mean (the sorted initialisation). STEPS times it adds the member with which F1 at
    its own best threshold is highest; it keeps the best mean it passed, and the bags are averaged. Bags are of rows,
    not of members: of few members a bag would often lack the best one. F1, because it is the score, and bags smooth it;
    selection by log-loss is a slower stacking. Members whose F1 is tied are taken in their order; ``choose_blend``
    sorts them.
    """
    rng = np.random.default_rng([seed, 1])
    total = np.zeros(len(probs))
    for _ in range(BAGS):
        rows = draw_rows(group, min(MAX_BAG_ROWS, label.size // 2), rng)
        if label[rows].any():
            total += _select(probs[:, rows], label[rows])
    return _rounded(total / total.sum()) if total.any() else equal(probs, label, group)


METHODS: dict[str, Fit] = {"equal": equal, "stacking": stacking, "caruana": caruana}


def draw_rows(group: Codes, most: int, rng: np.random.Generator) -> Codes:
    """Return the rows of randomly drawn whole groups: at most ``most`` of them, but one group at least."""
    if group.size <= most:
        return np.arange(group.size)
    code = np.unique(group, return_inverse=True)[1]
    return np.flatnonzero(take_groups(code, rng.permutation(int(code.max()) + 1), most, 1))


def recalibrated_loss(rows: OofRows, fitted: Bools, judged: Bools, seed: int = 0) -> Floats:
    """Return the log-loss, in nats, of each ``judged`` row after Platt's recalibration on the ``fitted`` ones."""
    known = np.flatnonzero(fitted)
    known = known[draw_rows(rows.group[known], MAX_FIT_ROWS, np.random.default_rng([seed, 2]))]
    _, slope, offset = _solve(rows.prob[None, known], rows.label[known])
    logit = slope * _logit(np.clip(rows.prob[judged], EDGE, 1 - EDGE)) + offset
    return _log_loss(np.where(rows.label[judged], logit, -logit))


def _solve(probs: Floats, label: Bools) -> tuple[Floats, float, float]:
    """Return the weights, slope and offset of the least recalibrated log-loss; one member has weight 1.

    From equal weights, so that equal members remain equal. Where the solver stops short of its start, that is the
    answer: SLSQP gives up on a loss as flat as rounding.
    """
    members, sign = len(probs), np.where(label, 1.0, -1.0)

    def loss(parameters: Floats) -> tuple[float, Floats]:
        weights, (slope, offset) = parameters[:members], parameters[members:]
        # einsum, not a matrix product, whose last bits and whose speed depend on the number of threads.
        prob = np.clip(np.einsum("m,mn->n", weights, probs), EDGE, 1 - EDGE)
        logit = _logit(prob)
        margin = sign * (slope * logit + offset)
        pull = -sign * sigmoid(-margin) / label.size
        by_weight = np.einsum("mn,n->m", probs, pull * slope / (prob * (1 - prob)))
        return _log_loss(margin).mean(), np.array([*by_weight, (pull * logit).sum(), pull.sum()])

    start = np.array([*np.full(members, 1 / members), 1.0, 0.0])
    ones = np.array([*np.ones(members), 0.0, 0.0])
    simplex = {"type": "eq", "fun": lambda at: at[:members].sum() - 1, "jac": lambda at: ones}
    bounds = [(0, 1)] * members + [(0, MAX_SLOPE), (None, None)]
    how = {"method": "SLSQP", "bounds": bounds, "constraints": simplex, "options": {"ftol": 1e-9, "maxiter": 200}}
    found = optimize.minimize(loss, start, jac=True, **how).x
    best = found if np.isfinite(found).all() and loss(found)[0] <= loss(start)[0] else start
    return np.clip(best[:members], 0, 1), float(best[members]), float(best[members + 1])


def _logit(prob: Floats) -> Floats:
    """Return the logit as the solver always took it: faster than arrays.logit, and other in its last bits."""
    return np.asarray(np.log(prob) - np.log1p(-prob))


def _log_loss(margin: Floats) -> Floats:
    """Return log(1 + exp(-margin)) without overflow, several times as fast as logaddexp."""
    return np.asarray(np.maximum(-margin, 0) + np.log1p(np.exp(-np.abs(margin))))


def _select(probs: Floats, label: Bools) -> Floats:
    """Return the shares of the members in one bag's best mean. Of equal means the later, of more picks, is kept."""
    positive, negative = probs[:, label], probs[:, ~label]
    ranking = np.argsort(-_best_f1(positive, negative), kind="stable")
    prefixes = np.cumsum(positive[ranking], axis=0), np.cumsum(negative[ranking], axis=0)
    reached = _best_f1(*prefixes)
    length = 1 + int(np.flatnonzero(reached == reached.max())[-1])
    picks = np.zeros(len(probs))
    picks[ranking[:length]] = 1
    best, best_f1 = picks.copy(), reached.max()
    sums = prefixes[0][length - 1], prefixes[1][length - 1]
    for _ in range(STEPS):
        reached = _best_f1(sums[0] + positive, sums[1] + negative)
        # Of members that raise it equally the one picked least: equal members end up with equal shares.
        chosen = int(np.lexsort((picks, -reached))[0])
        picks[chosen] += 1
        sums = sums[0] + positive[chosen], sums[1] + negative[chosen]
        if reached[chosen] >= best_f1:
            best, best_f1 = picks.copy(), reached[chosen]
    return np.asarray(best / best.sum())


def _best_f1(positive: Floats, negative: Floats) -> Floats:
    """Return what ``best_threshold`` reaches with each of (c, n) scores, of the two classes apart, without its checks.

    The scores are sums where the mean is meant: F1 at the best cut does not know the difference.
    """
    positive, negative = np.sort(positive, axis=1), np.sort(negative, axis=1)
    below = np.stack([np.searchsorted(no, yes) for no, yes in zip(negative, positive, strict=True)])
    found = np.arange(positive.shape[1], 0, -1)
    return np.asarray((2 * found / (found.size + found + negative.shape[1] - below)).max(axis=1))


def _rounded(weights: Floats) -> Floats:
    """Return the weights to the nearest 1/WEIGHT_UNITS, scaled to sum to 1."""
    whole: Floats = np.round(weights / weights.sum() * WEIGHT_UNITS)
    return np.asarray(whole / whole.sum())
