"""CV or public leaderboard: which of them to trust for choosing the final two submissions, by a written rule.

Both estimate the same thing with an error. CV's is what its interval says; the public leaderboard's is that of the few
rows it scores. Pure functions: numbers in, a decision with its reason out.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from competition.kaggle.submission.figures import Figures, place
from competition.scoring.leaderboard_metric import F1
from competition.scoring.shift.verdict import DOMAIN_SHIFT, LABEL_SHIFT

CV, LEADERBOARD = "CV", "the leaderboard"
MIN_HISTORY = 5  # submissions with both scores, from which their history says anything
MIN_ALIKE = 2 / 3  # share of pairs that both order alike, from which their orders agree
CHANCE = 0.05  # gaps whose spread is likelier than this by chance are one offset
MAX_ERROR_SHARE = 0.5  # of CV's error, below which the leaderboard's goes before it: many have looked at it
Z95 = 1.959964  # standard errors from the middle of a 95 % interval to its end


@dataclass(frozen=True)
class FinalTwo:
    """``by``: which score to go by, CV or LEADERBOARD, and ``why``, in one clause; ``keys``: those of up to two
    submissions, and ``second``: why the other of them."""

    by: str
    why: str
    keys: tuple[str, ...]
    second: str


def cv_error(one: Figures) -> float:
    """Return the standard error of the CV score; 0 where it is not known."""
    return (one.interval[1] - one.interval[0]) / (2 * Z95) if one.interval else 0.0


def public_error(one: Figures) -> float:
    """Return the standard error of the public score; 0 where it is not known.

    Of F1 it is that of so many rows; of another metric what the leaderboard range has beyond CV's error.
    """
    if one.public is None or not one.public_rows:
        return 0.0
    if one.scored_by is F1:
        return f1_error(one.public, one.public_rows, one.positive_rate or 0.5)
    width = (one.leaderboard[1] - one.leaderboard[0]) / (2 * Z95) if one.leaderboard else 0.0
    return math.sqrt(max(width**2 - cv_error(one) ** 2, 0.0))


def f1_error(value: float, rows: float, rate: float) -> float:
    """Return the standard error of an F1 ``value`` on ``rows`` rows, a share ``rate`` of them positive and called so.

    The rows that count are those that are positive or called so, m = rows * rate * (2 - F) of them; the share J of true
    positives among them is binomial, and F = 2J / (1 + J) carries its error on: its variance is
    F (1 - F) (2 - F) / (2 n rate). An F of 0 or 1 counts as half a row away from it.
    """
    positive = rows * max(rate, 1 / rows)
    value = min(max(value, 1 / (4 * positive)), 1 - 1 / (4 * positive))
    return math.sqrt(value * (1 - value) * (2 - value) / (2 * positive))


def choose_final_two(scored: Sequence[Figures]) -> FinalTwo:
    """Return which score to go by, and the final two of the submissions that Kaggle scored. The rule:

    1. Where only one of the two scores is known, that one.
    2. With fewer than 5 submissions that have both, and known errors: CV, unless every public score fell outside the
       leaderboard range that its card gave, or the verdict on most of their test sets was another world or a
       label shift: CV is then about another test set than Kaggle's.
    3. With 5 or more: where all gaps between the two are one offset, as far as their standard errors can tell
       (chi-squared test of homogeneity, 5 %), both order submissions alike, and the one with the smaller error does it
       better: CV, unless the leaderboard's error is less than half of CV's. (All public scores are about the same rows,
       whose luck is common to them: the test is lenient, which favours CV.)
    4. Otherwise CV if the two order at least two pairs in three alike. If not, the leaderboard, provided that the
       public scores differ by more than their own error; else CV, for that order is luck.

    The first choice is the best by that score. The second is the best by the other score among those that the first is
    not better than by more than one standard error of their difference; where there is none, the next best, and the
    best of the rest by the other score where only the first has the trusted one. A CV by another metric than the
    newest's is left out.
    """
    scored, sign = _by_one_metric(scored)
    by, why = _decide([one for one in scored if one.cv is not None])
    other, error = (LEADERBOARD, cv_error) if by == CV else (CV, public_error)

    def rank(name: str, one: Figures) -> float:
        value = one.cv if name == CV else one.public
        return -math.inf if value is None else sign * value

    if len(scored) < 2:
        return FinalTwo(by, why, tuple(one.key for one in scored), "")
    first, *rest = sorted(scored, key=lambda one: (-rank(by, one), -rank(other, one)))
    rest = [one for one in rest if (one.cv, one.public) != (first.cv, first.public)] or rest  # the same, twice
    near = [one for one in rest if rank(by, first) - rank(by, one) <= math.hypot(error(first), error(one))]
    known = [one for one in near if rank(other, one) > -math.inf]
    if not known:
        alone = rank(by, rest[0]) == -math.inf and rank(other, rest[0]) > -math.inf
        none = f"none other has a {'CV' if by == CV else 'public'} score; the best of the rest by {other}"
        second = none if alone else f"the next best by {by}"
        return FinalTwo(by, why, (first.key, rest[0].key), second)
    best = max(known, key=lambda one: rank(other, one))  # of equals the better by the score that is trusted
    return FinalTwo(by, why, (first.key, best.key), f"the best by {other} of those within a standard error by {by}")


def _by_one_metric(scored: Sequence[Figures]) -> tuple[list[Figures], int]:
    """Return the submissions with CV scores by the newest's metric alone, and 1 where more of it is better, else -1."""
    metric = next((one.scored_by for one in reversed(scored) if one.cv is not None), F1)
    same = [one if one.scored_by.name == metric.name else replace(one, cv=None) for one in scored]
    return same, metric.sign


def _decide(with_cv: Sequence[Figures]) -> tuple[str, str]:
    both = [one for one in with_cv if one.public is not None]
    if not with_cv:
        return LEADERBOARD, "no submission has a CV score"
    if not both:
        return CV, "no submission has a CV and a public score"
    known = [one for one in both if one.interval and one.public_rows]
    return _few(both) if len(known) < MIN_HISTORY else _history(known)


def _few(both: Sequence[Figures]) -> tuple[str, str]:
    places = [place(one.public, one.leaderboard) for one in both if one.leaderboard]
    if places and "inside" not in places:
        return LEADERBOARD, (
            f"every public score ({len(places)} of {len(places)}) fell outside its leaderboard range, so "
            "CV is about another test set"
        )
    shifted = [one.world for one in both if one.world in (DOMAIN_SHIFT, LABEL_SHIFT)]
    if 2 * len(shifted) > len(both):
        verdict = max((DOMAIN_SHIFT, LABEL_SHIFT), key=shifted.count)
        return LEADERBOARD, (
            f"the verdict on the test set was no 'same world' but '{verdict}', so CV is about another test set"
        )
    count = f"{len(both)} submission{'s' * (len(both) > 1)} with both scores"
    return CV, f"{count} cannot speak against it (that takes {MIN_HISTORY}), and no range or verdict does"


def _history(both: Sequence[Figures]) -> tuple[str, str]:
    cv, public = (np.array([getattr(one, name) for one in both]) for name in ("cv", "public"))
    cv_errors, public_errors = (np.array([error(one) for one in both]) for error in (cv_error, public_error))
    sizes = f"standard errors {np.median(cv_errors):.4f} of CV, {np.median(public_errors):.4f} of the leaderboard"
    offset, one_offset = _common_offset(public - cv, np.hypot(cv_errors, public_errors))
    if one_offset and np.median(public_errors) < MAX_ERROR_SHARE * np.median(cv_errors):
        return LEADERBOARD, f"both order submissions alike (one offset, {offset:+.4f}), and it knows better ({sizes})"
    if one_offset:
        return CV, f"the {len(both)} public scores lie one common offset from it ({offset:+.4f}; {sizes})"
    alike, pairs = _ordered_alike(cv, public)
    orders = f"the gaps differ by more than chance, and of {pairs} pairs of submissions both order {alike} alike"
    if alike >= MIN_ALIKE * pairs:
        return CV, orders
    if public.std(ddof=1) > np.median(public_errors):
        return LEADERBOARD, f"{orders} ({sizes})"
    return CV, f"{orders}, but the public scores differ by less than their own error ({sizes})"


def _common_offset(gap: np.ndarray, error: np.ndarray) -> tuple[float, bool]:
    """Return the mean gap, weighted by its errors, and whether chance alone explains how the gaps differ from it."""
    weight = 1 / np.maximum(error, 1e-6) ** 2
    offset = float(np.average(gap, weights=weight))
    spread = float((weight * (gap - offset) ** 2).sum())
    return offset, bool(stats.chi2.sf(spread, gap.size - 1) > CHANCE)


def _ordered_alike(one: np.ndarray, other: np.ndarray) -> tuple[int, int]:
    """Return how many pairs both order alike, and how many pairs both order at all (neither calls them equal)."""
    first, second = np.triu_indices(one.size, 1)
    sign = np.sign(one[first] - one[second]) * np.sign(other[first] - other[second])
    return int((sign > 0).sum()), int((sign != 0).sum())
