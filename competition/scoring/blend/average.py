"""The averages of the ensemble: logits over views and fold models of one member, probabilities over members.

All sum in float64 and in the order given, so the same inputs give the same bytes.
"""

import numpy as np
from numpy.typing import ArrayLike

from competition.scoring.arrays import Floats, check_prob


def mean_logit(logits: ArrayLike) -> Floats:
    """Return the (n,) mean over the first axis of (n_views, n) logits: test-time views, or fold models, of one member.

    Raises ``ValueError`` for another shape, no views, and logits that are not finite.
    """
    logits = _check_table("logits", np.asarray(logits, dtype=np.float64))
    if not np.isfinite(logits).all():
        view, row = np.argwhere(~np.isfinite(logits))[0]
        raise ValueError(f"logits must be finite; view {view}, row {row} holds {logits[view, row]}")
    return np.asarray(logits.mean(axis=0))


def mean_prob(probs: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Return the (n,) weighted mean over the first axis of (n_members, n) probabilities; no weights are equal weights.

    Raises ``ValueError`` for another shape, no members, probabilities outside [0, 1], and weights that are not one
    finite, non-negative number per member with a positive sum.
    """
    probs = check_prob("probs", _check_table("probs", np.asarray(probs, dtype=np.float64)))
    weights = np.ones(len(probs)) if weights is None else np.asarray(weights, dtype=np.float64)
    if weights.shape != (len(probs),):
        raise ValueError(f"weights must be one number for each of {len(probs)} members; their shape is {weights.shape}")
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.sum() > 0):
        raise ValueError(f"weights must be finite and non-negative with a positive sum; they are {weights.tolist()}")
    # Not a matrix product: its order of summation may change with the number of threads. Rounding may pass 1 by an ulp.
    return np.asarray(np.clip((weights[:, None] * probs).sum(axis=0) / weights.sum(), 0.0, 1.0))


def mean_known(probs: ArrayLike, weights: ArrayLike | None = None) -> Floats:
    """Return :func:`mean_prob` of (n_members, ...) probabilities, NaN where a member has none (NaN)."""
    probs = np.asarray(probs, dtype=np.float64)
    known = ~np.isnan(probs).any(axis=0)
    blended = np.full(probs.shape[1:], np.nan)
    if known.any():
        blended[known] = mean_prob(probs[:, known], weights)
    return blended


def _check_table(name: str, values: Floats) -> Floats:
    if values.ndim != 2 or len(values) == 0:
        raise ValueError(f"{name} must be a table of at least one row of predictions; the shape is {values.shape}")
    return values
