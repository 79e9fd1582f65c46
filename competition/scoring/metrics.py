"""How good decisions and probabilities are: F1 of class 1 and the numbers that stand beside it."""

import math

import numpy as np
from numpy.typing import ArrayLike
from sklearn import metrics as sklearn_metrics

from competition.scoring.arrays import check_binary, check_prob, check_same_length, check_score


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
