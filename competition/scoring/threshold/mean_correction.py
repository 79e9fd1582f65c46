"""What averaging does to a score: out-of-fold rows are judged by one model, test rows by the mean of all folds' models.

The mean is less noisy, so the leaderboard tends to lie above the CV score, and its best cut elsewhere. How much less is
seen without any label: the folds' models disagree on the test rows by just the noise that their mean averages out.
"""

import numpy as np
from numpy.typing import ArrayLike

from competition.scoring.arrays import Bools, Floats, check_prob, logit, sigmoid
from competition.scoring.rows import OofRows

EDGE = 1e-9  # probabilities are kept this far from 0 and 1, so that logits stay finite
MIN_SPREAD_SHARE = 0.05  # share of a class's variance that is never taken for noise


def as_if_averaged(rows: OofRows, test_parts: ArrayLike) -> OofRows:
    """Return out-of-fold rows with probabilities as the mean of all folds' models might have given them.

    ``test_parts`` (k, m): each fold's own probabilities of the test rows. With s the variance of a class's logits and v
    the variance between models (mean over test rows, unbiased), the mean of k models has variance s - v (1 - 1/k): each
    class's logits are drawn towards their mean by the root of that share. This takes noise as independent of the row,
    which holds roughly; it is for the submission's threshold and the leaderboard range, never for the score. With fewer
    than two models, models that agree or no test rows the very ``rows`` come back.
    """
    parts = np.asarray(test_parts, float)
    if parts.ndim != 2 or len(parts) < 2 or not parts.shape[1]:
        return rows
    noise = logit(parts, EDGE).var(axis=0, ddof=1).mean() * (1 - 1 / len(parts))
    if noise < EDGE:
        return rows
    crossed = None if rows.crossed is None else [_drawn_in(rows.label, prob, noise) for prob in rows.crossed]
    averaged = rows.with_prob(_drawn_in(rows.label, rows.prob, noise), crossed)
    return averaged if rows.web is None else averaged.tuned_on(as_if_averaged(rows.web, test_parts))


def _drawn_in(label: Bools, prob: Floats, noise: float) -> Floats:
    """Return probabilities with each class's logits drawn to their mean, as if without ``noise`` of their variance."""
    logits = logit(check_prob("prob", prob), EDGE)
    for rows in (label, ~label):
        spread = logits[rows].var() if rows.any() else 0.0
        if spread > 0:
            share = max(1 - noise / spread, MIN_SPREAD_SHARE)
            centre = logits[rows].mean()
            logits[rows] = centre + (logits[rows] - centre) * np.sqrt(share)
    return sigmoid(logits)
