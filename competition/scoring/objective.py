"""What a search for better settings goes by, and whether what it found is better on rows that it never saw.

Both are means over rows, so that two settings can be compared row by row: most of what makes a score uncertain, which
images happen to be judged, is the same for both and drops out.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from competition.scoring.arrays import Bools, Codes, Floats, check_binary, check_group, check_prob, check_same_length
from competition.scoring.groups import grouped_error
from competition.scoring.leaderboard_metric import METRICS, ProbabilityMetric


@dataclass(frozen=True, eq=False)
class ConditionRows:
    """Rows judged under one or several conditions: ``label`` (n,) bool, ``prob`` (C, n) probabilities of class 1 from
    models that did not train on them, ``fold`` and ``group`` (n,) codes."""

    label: Bools
    prob: Floats
    fold: Codes
    group: Codes

    def __init__(self, label: ArrayLike, prob: ArrayLike, fold: ArrayLike, group: ArrayLike | None) -> None:
        """Check the arrays; ``fold`` and ``group`` hold names of any kind, no ``group``: each row its own.

        Raises ``ValueError`` for labels other than 0 and 1, probabilities outside [0, 1] and unequal lengths.
        """
        known, probs = check_binary("label", label), check_prob("prob", prob)
        check_same_length(label=known, prob=probs.T, fold=np.asarray(fold))
        object.__setattr__(self, "label", known)
        object.__setattr__(self, "prob", probs)
        object.__setattr__(self, "fold", np.unique(np.asarray(fold), return_inverse=True)[1])
        object.__setattr__(self, "group", check_group(group, known.size))


@dataclass(frozen=True)
class Gain:
    """By how much a loss is lower on average, and the standard error of that."""

    value: float
    error: float

    @property
    def is_clear(self) -> bool:
        """Whether it is more than one standard error above nothing."""
        return self.value > self.error

    def __str__(self) -> str:
        return f"{self.value:+.4f} ± {self.error:.4f}"


def row_losses(objective: str, rows: ConditionRows) -> Floats:
    """Return (n,) losses, of which the mean is that of the objective over folds, by their rows, and over conditions.

    ``objective``: the name of a metric of probabilities, such as log_loss, or auc, of which the loss is 1 - AUC. Each
    fold, which has models of its own, is ranked for itself.
    """
    metric, losses = METRICS[objective], np.zeros(rows.label.size)
    assert isinstance(metric, ProbabilityMetric), objective
    for fold in range(int(rows.fold.max()) + 1):
        part = rows.fold == fold
        each = [metric.losses(rows.label[part], prob[part]) for prob in rows.prob]
        losses[part] = np.mean(each, axis=0)
    return losses


def paired_gain(first: Floats, second: Floats, rows: ConditionRows) -> Gain:
    """Return by how much the second losses (n,) are lower than the first, on the same ``rows``.

    Two standard errors are known, and the larger one is returned: that of groups of rows that go together (the images
    might have been others), and that of folds (the models might have come out otherwise, too). Of few folds the latter
    is known but roughly: it is widened so that one of it is passed by chance as rarely as one of a normal distribution
    is (Student's t; of three folds by 1.32).
    """
    saved = first - second
    value = float(saved.mean())
    by_group = grouped_error((saved - value) / saved.size, rows.group)
    counts = np.bincount(rows.fold)
    means = np.bincount(rows.fold, weights=saved) / counts
    by_fold = 0.0
    if (folds := len(means)) > 1:
        by_fold = float(means.std(ddof=1) / math.sqrt(folds) * stats.t.ppf(stats.norm.cdf(1), folds - 1))
    return Gain(value, max(by_group, by_fold))
