"""Everything a report says of one set of judged rows, as JSON values: undefined figures are None, never NaN."""

import math
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import metrics as sklearn_metrics

from competition.scoring.arrays import Bools, Floats, check_binary, check_prob, check_same_length, check_score
from competition.scoring.metrics import summary

BINS = 10


def evaluate(label: ArrayLike, prob: ArrayLike, decision: ArrayLike) -> dict[str, Any]:
    """Return all figures of (n,) labels, probabilities of class 1 and decisions, keyed as in metrics.json.

    ``"0"`` and ``"1"`` hold precision, recall, f1 and support of each class, ``"macro"`` their plain means; tn, fp, fn
    and tp count rows with class 1 as the positive one. ``pr_auc`` is average precision, ``log_loss`` in nats, ``brier``
    the mean squared error of the probability, ``mcc`` Matthews' correlation. ``ece``, the expected calibration error,
    is the mean over rows of |mean probability - share of class 1| of the row's bin, in ten bins of equal count (see
    ``reliability``). A figure whose denominator is 0 is None, as is a mean over one, and what ranks or correlates where
    there is one class only. Raises ``ValueError`` for labels or decisions other than 0 and 1, probabilities outside
    [0, 1], unequal lengths and no rows.
    """
    figures = {key: _known(value) for key, value in summary(label, prob, decision).items()}
    label, prob, decision = np.asarray(label, bool), np.asarray(prob, np.float64), np.asarray(decision, bool)
    (tn, fp), (fn, tp) = sklearn_metrics.confusion_matrix(label, decision, labels=[False, True]).tolist()
    *shares, support = sklearn_metrics.precision_recall_fscore_support(
        label, decision, labels=[False, True], zero_division=np.nan
    )
    of_classes = dict(zip(("precision", "recall", "f1"), shares, strict=True))
    mean_prob, share, count = reliability(label, prob)
    return {
        "n": label.size,
        "positives": tp + fn,
        "positive_rate": (tp + fn) / label.size,
        "predicted_positive_rate": figures["predicted_positive_rate"],
        "wrong": fp + fn,
        "accuracy": figures["accuracy"],
        "0": {**{key: _known(both[0]) for key, both in of_classes.items()}, "support": int(support[0])},
        "1": {**{key: _known(both[1]) for key, both in of_classes.items()}, "support": int(support[1])},
        "macro": {key: _known(both.mean()) for key, both in of_classes.items()},
        "roc_auc": figures["auc"],
        "pr_auc": figures["pr_auc"],
        "log_loss": figures["log_loss"],
        "brier": float(sklearn_metrics.brier_score_loss(label, prob, pos_label=True)),
        "mcc": _phi(label, decision),
        "ece": float(np.average(np.abs(mean_prob - share), weights=count)),
    } | {"tn": tn, "fp": fp, "fn": fn, "tp": tp}


def _known(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def reliability(label: ArrayLike, prob: ArrayLike, bins: int = BINS) -> tuple[Floats, Floats, NDArray[np.int64]]:
    """Return the mean probability, the share of class 1 and the number of rows of each bin, by rising probability.

    The bins hold equally many rows, up to ties: rows of the same probability share a bin, so that the order of the rows
    cannot matter; a bin that ties leave empty is left out. Errors are those of ``evaluate``.
    """
    label, prob = check_binary("label", label), check_prob("prob", check_score("prob", prob))
    check_same_length(label=label, prob=prob)
    bin_of = np.searchsorted(np.sort(prob), prob) * bins // prob.size
    count = np.bincount(bin_of, minlength=bins)
    used = count > 0
    mean, share = (np.bincount(bin_of, weights=values, minlength=bins)[used] / count[used] for values in (prob, label))
    return mean, share, count[used]


def agreement(decisions: Mapping[str, ArrayLike], label: ArrayLike) -> dict[str, Any]:
    """Return how far members decide alike on the same (n,) rows, which is what averaging them can gain from.

    ``pairs`` holds for every two members the share of ``equal`` decisions, Cohen's ``kappa`` (agreement beyond chance)
    and ``error_correlation`` (phi of being wrong: 0 where errors are independent, 1 where they are the same). ``wrong``
    is each member's share of errors. ``all_right``, ``all_wrong`` and ``split`` count rows: only where members are
    split can a choice between them change the answer, and ``oracle_accuracy`` is that of always choosing well. Kappa is
    None where both members call every row the same class, the correlation where a member is never or always wrong.
    Raises ``ValueError`` for values other than 0 and 1, unequal lengths and no rows.
    """
    label = check_binary("label", label)
    called = {name: check_binary(name, values) for name, values in decisions.items()}
    check_same_length(label=label, **called)
    wrong = {name: decision ^ label for name, decision in called.items()}
    times_wrong = np.sum(list(wrong.values()), axis=0)
    all_right, all_wrong = int((times_wrong == 0).sum()), int((times_wrong == len(wrong)).sum())
    return {
        "members": list(decisions),
        "wrong": {name: float(error.mean()) for name, error in wrong.items()},
        "pairs": [
            {
                "members": [one, other],
                "equal": float(np.equal(called[one], called[other]).mean()),
                "kappa": _kappa(called[one], called[other]),
                "error_correlation": _phi(wrong[one], wrong[other]),
            }
            for one, other in combinations(decisions, 2)
        ],
        "all_right": all_right,
        "all_wrong": all_wrong,
        "split": label.size - all_right - all_wrong,
        "oracle_accuracy": 1 - all_wrong / label.size,
    }


def _kappa(one: Bools, other: Bools) -> float | None:
    if np.unique(np.concatenate([one, other])).size < 2:
        return None
    return float(sklearn_metrics.cohen_kappa_score(one, other, labels=[False, True]))


def _phi(one: Bools, other: Bools) -> float | None:
    """Return Matthews' correlation; None where either is the same in all rows."""
    if any(values.all() or not values.any() for values in (one, other)):
        return None
    return float(sklearn_metrics.matthews_corrcoef(one, other))
