"""What a set of out-of-fold predictions is worth: the cross-fitted F1 with both its intervals, and the threshold."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from competition.scoring.averaging import as_if_averaged
from competition.scoring.interval import cv_interval, leaderboard_range
from competition.scoring.metrics import summary
from competition.scoring.threshold import choose_threshold, cross_fit


@dataclass(frozen=True)
class Score:
    """``figures``: see metrics.summary, at the cross-fitted decisions (at .5 with a single fold).

    ``threshold`` is the one for the test set, chosen on all rows; ``test_rate`` the share of test rows that it calls
    positive. ``test_rate`` and ``leaderboard`` are None without a test set.
    """

    decision: NDArray[np.int64]
    figures: dict[str, float]
    interval: tuple[float, float]
    leaderboard: tuple[float, float] | None
    threshold: float
    cross_fitted: bool
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

    With one fold there are no other folds to choose a threshold on: the decisions are those at .5.
    """
    prob, test_prob = np.asarray(prob, float), np.asarray(test_prob, float)
    cross_fitted = len(np.unique(fold)) > 1
    if cross_fitted:
        decision, used = cross_fit(label, prob, fold, group, rule, seed)
        threshold = choose_threshold(rule, label, prob, group, seed)
    else:
        decision, used, threshold = (prob >= 0.5).astype(np.int64), 0.5, 0.5
    seen = test_prob[~np.isnan(test_prob)]
    parts = np.asarray(test_parts, float)
    averaged = as_if_averaged(label, prob, parts[:, ~np.isnan(parts).any(axis=0)]) >= used
    return Score(
        decision=decision,
        figures=summary(label, prob, decision),
        interval=cv_interval(label, decision, group, seed=seed),
        leaderboard=_leaderboard(label, decision, averaged, group, len(test_prob), public_fraction, seed),
        threshold=threshold,
        cross_fitted=cross_fitted,
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
