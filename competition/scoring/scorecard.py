"""What a set of out-of-fold predictions is worth: the cross-fitted F1 with both its intervals, and the threshold."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

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
    rule: str,
    seed: int = 0,
    public_fraction: float = 1.0,
) -> Score:
    """Score (n,) out-of-fold probabilities; ``test_prob`` (m,) may hold NaN for images that no model could see.

    With one fold there are no other folds to choose a threshold on: the decisions are those at .5.
    """
    prob, test_prob = np.asarray(prob, float), np.asarray(test_prob, float)
    cross_fitted = len(np.unique(fold)) > 1
    if cross_fitted:
        decision, _ = cross_fit(label, prob, fold, group, rule, seed)
        threshold = choose_threshold(rule, label, prob, group, seed)
    else:
        decision, threshold = (prob >= 0.5).astype(np.int64), 0.5
    seen = test_prob[~np.isnan(test_prob)]
    return Score(
        decision=decision,
        figures=summary(label, prob, decision),
        interval=cv_interval(label, decision, group, seed=seed),
        leaderboard=leaderboard_range(label, decision, group, len(test_prob), public_fraction, seed=seed)
        if len(test_prob)
        else None,
        threshold=threshold,
        cross_fitted=cross_fitted,
        test_rate=float((seen >= threshold).mean()) if len(seen) else None,
    )
