"""What a set of out-of-fold predictions is worth: the cross-fitted F1 with both its intervals, and the threshold."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from competition.scoring.averaging import as_if_averaged
from competition.scoring.interval import cv_interval, leaderboard_range
from competition.scoring.metrics import summary
from competition.scoring.threshold import RULES, choose_threshold, cross_fit

CROSS_FITTED = "cross-fitted"
HOLD_OUT = "hold-out: tuned on its validation part, judged on its test part"
AT_HALF = "at threshold .5, for want of rows to tune it on"
AS_GIVEN = "at the threshold given"


@dataclass(frozen=True)
class Score:
    """``figures``: see metrics.summary, at the cross-fitted decisions (at .5 with a single fold).

    ``decision`` and everything made of it is about the rows that are judged: all of them, or a hold-out's test part.
    ``threshold`` is the one for the test set; ``test_rate`` the share of test rows that it calls positive. ``how`` says
    how the judging threshold came about: CROSS_FITTED, HOLD_OUT, AT_HALF or AS_GIVEN. ``test_rate`` and ``leaderboard``
    are None without a test set.
    """

    decision: NDArray[np.int64]
    figures: dict[str, float]
    interval: tuple[float, float]
    leaderboard: tuple[float, float] | None
    threshold: float
    how: str
    test_rate: float | None


def score_predictions(
    label: ArrayLike,
    prob: ArrayLike,
    fold: ArrayLike,
    group: ArrayLike,
    test_prob: ArrayLike,
    test_parts: ArrayLike,
    rule: str,
    seed: int = 0,
    public_fraction: float = 1.0,
) -> Score:
    """Score (n,) out-of-fold probabilities; ``test_prob`` (m,) may hold NaN for images that no model could see.

    ``test_parts`` (k, m): the test rows by each fold's models alone, whose mean ``test_prob`` is. The leaderboard range
    reaches from the lower end for one model to the upper end for the mean of all (see ``as_if_averaged``).

    With one fold there are no other folds to choose a threshold on: the decisions are those at .5, or at the number
    that ``rule`` is.
    """
    prob = np.asarray(prob, float)
    if len(np.unique(fold)) > 1:
        decision, used = cross_fit(label, prob, fold, group, rule, seed)
        threshold, how = choose_threshold(rule, label, prob, group, seed), CROSS_FITTED
    else:
        used = threshold = 0.5 if rule in RULES else choose_threshold(rule, label, prob, group, seed)
        decision, how = (prob >= used).astype(np.int64), AT_HALF if rule in RULES else AS_GIVEN
    return _score(label, prob, decision, used, threshold, how, group, test_prob, test_parts, seed, public_fraction)


def score_hold_out(
    label: ArrayLike,
    prob: ArrayLike,
    judged: ArrayLike,
    group: ArrayLike,
    test_prob: ArrayLike,
    test_parts: ArrayLike,
    rule: str,
    seed: int = 0,
    public_fraction: float = 1.0,
) -> Score:
    """Score the rows that ``judged`` (n,) bool marks, at the threshold chosen on the others; else as above."""
    label, prob, group, judged = np.asarray(label), np.asarray(prob, float), np.asarray(group), np.asarray(judged, bool)
    tuned = ~judged
    threshold = choose_threshold(rule, label[tuned], prob[tuned], group[tuned], seed)
    label, prob, group = label[judged], prob[judged], group[judged]
    decision = (prob >= threshold).astype(np.int64)
    return _score(label, prob, decision, threshold, threshold, HOLD_OUT, group, test_prob, test_parts, seed,
                  public_fraction)  # fmt: skip


def _score(label, prob, decision, used, threshold: float, how: str, group, test_prob, test_parts, seed: int,
           public_fraction: float) -> Score:  # fmt: skip
    """Judge decisions; ``used`` is the threshold, or each row's, behind them."""
    test_prob, parts = np.asarray(test_prob, float), np.asarray(test_parts, float)
    seen = test_prob[~np.isnan(test_prob)]
    averaged = as_if_averaged(label, prob, parts[:, ~np.isnan(parts).any(axis=0)]) >= used
    return Score(
        decision=decision,
        figures=summary(label, prob, decision),
        interval=cv_interval(label, decision, group, seed=seed),
        leaderboard=_leaderboard(label, decision, averaged, group, len(test_prob), public_fraction, seed),
        threshold=threshold,
        how=how,
        test_rate=float((seen >= threshold).mean()) if len(seen) else None,
    )


def _leaderboard(
    label, one, averaged, group, rows: int, public_fraction: float, seed: int
) -> tuple[float, float] | None:
    """Span the ranges of one model's decisions and of the mean's, which bracket where averaging may take the score."""
    if not rows:
        return None
    ends = [leaderboard_range(label, decision, group, rows, public_fraction, seed=seed)
            for decision in (one, averaged.astype(np.int64))]  # fmt: skip
    return min(low for low, _ in ends), max(high for _, high in ends)
