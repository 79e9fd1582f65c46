"""How good decisions and probabilities are: F1 of class 1 and the numbers that stand beside it.

Also the checks of inputs which all of ``scoring`` shares: what they refuse, they refuse with the offending value.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special
from sklearn import metrics as sklearn_metrics

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Codes = NDArray[np.intp]  # folds, groups and parts: numbers 0, 1, ...


def f1(label: ArrayLike, decision: ArrayLike) -> float:
    """Return F1 of class 1, 2TP / (2TP + FP + FN); 0 where nothing is true positive, as with ``zero_division=0``.

    ``label`` and ``decision`` are (n,) arrays of 0 and 1; anything else, or no row at all, raises ``ValueError``.
    """
    label, decision = check_binary("label", label), check_binary("decision", decision)
    check_same_length(label=label, decision=decision)
    true_positive, positives, called = (int(np.count_nonzero(rows)) for rows in (label & decision, label, decision))
    return 2 * true_positive / max(positives + called, 1)


def auc(label: ArrayLike, score: ArrayLike) -> float:
    """Return the area under the ROC curve of (n,) scores; NaN where ``label`` (n,) 0/1 holds one class only."""
    return float(sklearn_metrics.roc_auc_score(label, score)) if np.unique(np.asarray(label)).size > 1 else math.nan


def summary(label: ArrayLike, prob: ArrayLike, decision: ArrayLike) -> dict[str, float]:
    """Return accuracy, precision, recall, f1, auc, pr_auc, log_loss and predicted_positive_rate of (n,) arrays.

    ``auc`` and ``pr_auc`` (average precision) rank ``prob``; where ``label`` holds one class only they are NaN, which
    JSON cannot hold. ``log_loss`` is in nats, probabilities of exactly 0 and 1 moved inward by one float64 epsilon, as
    scikit-learn does. Precision and recall are 0 where nothing is called positive or is positive. Raises ``ValueError``
    for labels or decisions other than 0 and 1, probabilities outside [0, 1], unequal lengths and no rows.
    """
    label, decision = check_binary("label", label), check_binary("decision", decision)
    prob = check_prob("prob", check_score("prob", prob))
    check_same_length(label=label, prob=prob, decision=decision)
    return {
        "accuracy": float(sklearn_metrics.accuracy_score(label, decision)),
        "precision": float(sklearn_metrics.precision_score(label, decision, zero_division=0)),
        "recall": float(sklearn_metrics.recall_score(label, decision, zero_division=0)),
        "f1": f1(label, decision),
        "auc": auc(label, prob),
        "pr_auc": float(sklearn_metrics.average_precision_score(label, prob)) if 0 < label.mean() < 1 else math.nan,
        "log_loss": float(sklearn_metrics.log_loss(label, prob, labels=[False, True])),
        "predicted_positive_rate": float(decision.mean()),
    }


def sigmoid(logit: ArrayLike) -> Floats:
    """Return the probability of each logit, in float64 and without overflow."""
    return np.asarray(special.expit(np.asarray(logit, np.float64)))


def logit(prob: ArrayLike, edge: float) -> Floats:
    """Return the logit of each probability, in float64; those nearer than ``edge`` to 0 or 1 count as that near."""
    return np.asarray(special.logit(np.clip(np.asarray(prob, np.float64), edge, 1 - edge)))


def check_binary(name: str, values: ArrayLike) -> Bools:
    """Return (n,) integers or booleans as booleans; raise ``ValueError`` unless there are some and all are 0 or 1."""
    values = np.asarray(values)
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"{name} must have one dimension and at least one row; its shape is {values.shape}")
    if values.dtype.kind not in "iub":
        raise ValueError(f"{name} must be integers or booleans; its dtype is {values.dtype}")
    if values.min() < 0 or values.max() > 1:
        row = int(np.argmax((values < 0) | (values > 1)))
        raise ValueError(f"{name} must hold only 0 and 1; row {row} holds {values[row]}")
    return values.astype(np.bool_)


def check_positives(label: Bools) -> None:
    """Raise ``ValueError`` where no label is 1: no threshold can then be tuned."""
    if not label.any():
        raise ValueError(f"label has no 1 among its {label.size} rows, so no threshold is best")


def check_score(name: str, values: ArrayLike) -> NDArray[np.floating]:
    """Return (n,) real scores in their own precision (integers as float64), or raise ``ValueError`` at a NaN."""
    values = np.asarray(values)
    if values.ndim != 1 or values.dtype.kind not in "fiu":
        raise ValueError(f"{name} must be real numbers in one dimension; it is {values.dtype} of shape {values.shape}")
    if values.dtype.kind != "f" or values.dtype.itemsize > 8:
        values = values.astype(np.float64)
    missing = np.isnan(values)
    if missing.any():
        raise ValueError(f"{name} must be numbers; row {int(np.argmax(missing))} holds nan")
    return values


def check_prob(name: str, values: ArrayLike) -> Floats:
    """Return probabilities of any shape as float64, or raise ``ValueError`` at the first one outside [0, 1]."""
    values = np.asarray(values, dtype=np.float64)
    outside = ~((values >= 0) & (values <= 1))
    if outside.any():
        raise ValueError(f"{name} must lie in [0, 1]; it holds {values[outside][0]}")
    return values


def check_group(group: ArrayLike | None, rows: int) -> Codes:
    """Return (n,) group names as codes 0..G-1 in the names' order; ``None`` makes each row its own group."""
    if group is None:
        return np.arange(rows)
    group = np.asarray(group)
    if group.shape != (rows,):
        raise ValueError(f"group must name the group of each of {rows} rows; its shape is {group.shape}")
    return np.unique(group, return_inverse=True)[1]


def check_same_length(**arrays: NDArray[Any]) -> None:
    """Raise ``ValueError`` naming the lengths unless all arrays have the same one."""
    if len({len(array) for array in arrays.values()}) > 1:
        raise ValueError("lengths differ: " + ", ".join(f"{name} {len(array)}" for name, array in arrays.items()))
