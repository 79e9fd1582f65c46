"""Where to cut a score into 0 and 1: the exact F1 optimum, the rules that smooth it, and cross-fitting.

Promises: ``best_threshold`` is never beaten on its own rows by any other cut, and ``cross_fit`` judges no row by a
threshold which that row helped to choose.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import ArrayLike, NDArray

from competition.errors import UserError, did_you_mean
from competition.scoring.metrics import check_binary, check_group, check_same_length, check_score

Rule = Callable[[ArrayLike, ArrayLike, ArrayLike | None, int], float]
"""(label, score, group, seed) -> threshold. A rule that needs more, such as a known prior or the test set's scores, is
a ``functools.partial`` of a function with further keyword arguments: wherever a rule's name goes, a ``Rule`` may go."""


def best_threshold(label: ArrayLike, score: ArrayLike) -> tuple[float, float]:
    """Return the threshold with the highest F1 on these rows, over all cuts of the score, and that F1.

    ``label`` (n,) holds 0 and 1, at least one of them 1; ``score`` (n,) is any ordered score, infinities included.
    Equal scores are called alike. The threshold is the midpoint between the lowest score called positive and the next
    lower one, in the precision of ``score``, or the lowest score called positive itself where no number lies between
    or every row is called positive. Of cuts with equal F1 the highest wins. Raises ``ValueError`` for other labels, NaN
    scores, unequal lengths, no rows and no positive.

    O(n log n) (Lipton et al. 2014, arXiv 1402.1892), about a second for ten million rows: lowering a cut past a
    negative only costs, so the optimum lies just below a positive's score, and the two classes can be sorted apart,
    without an argsort.
    """
    label, score = _check_rows(label, score)
    positive, negative = np.sort(score[label]), np.sort(score[~label])
    true_positive = np.arange(positive.size, 0, -1)
    negative_below = np.searchsorted(negative, positive)
    # Half of F1 = 2TP / (positives + called). Of equal positives the first counts the whole block and beats the others.
    half_f1 = true_positive / (label.size + true_positive - negative_below)
    cut = positive.size - 1 - int(np.argmax(half_f1[::-1]))
    below = [ordered[end - 1] for ordered, end in ((positive, cut), (negative, negative_below[cut])) if end > 0]
    return _between(max(below, default=None), positive[cut]), float(2 * half_f1[cut])


def bootstrap_threshold(
    label: ArrayLike, score: ArrayLike, group: ArrayLike | None = None, seed: int = 0, draws: int = 200
) -> float:
    """Return the median of ``best_threshold`` over ``draws`` resamples of whole groups, with replacement.

    The single best cut follows the noise of a few rows; the median over resamples smooths it. Inputs and errors are
    those of ``best_threshold``; ``group`` (n,) names the rows that are drawn together, ``None`` draws row by row. The
    same inputs and seed give the same threshold. A resample without any positive has no best cut and is drawn again.
    """
    if draws < 1:
        raise ValueError(f"a bootstrap needs at least one draw; draws is {draws}")
    label, score = _check_rows(label, score)
    group = check_group(group, label.size)
    # Sorted once, from the highest score down; a resample is then no more than a multiplicity for each row.
    order = np.argsort(score)[::-1]
    label, score, group = label[order], score[order], group[order]
    block_end = np.flatnonzero(np.append(score[1:] < score[:-1], True))
    groups = int(group.max()) + 1
    rng = np.random.default_rng(seed)
    thresholds: list[float] = []
    while len(thresholds) < draws:
        weight = np.bincount(rng.integers(groups, size=groups), minlength=groups)[group]
        if weight[label].any():
            thresholds.append(_best_weighted(label, score, weight, block_end))
    return float(np.median(thresholds))


def _best_weighted(
    label: NDArray[np.bool_], score: NDArray[np.floating], weight: NDArray[np.int64], block_end: NDArray[np.intp]
) -> float:
    """Return the best threshold where row i, in descending order of score, counts ``weight[i]`` times."""
    true_positive = np.cumsum(weight * label)
    called = np.cumsum(weight)[block_end]
    values = 2 * true_positive[block_end] / (true_positive[-1] + called)
    # The first of equals is the highest cut, and for that reason one whose own block was drawn.
    cut = block_end[np.argmax(values)]
    drawn_below = np.flatnonzero(weight[cut + 1 :])
    return _between(score[cut + 1 + drawn_below[0]] if drawn_below.size else None, score[cut])


def _between(lower: np.floating | None, upper: np.floating) -> float:
    """Return the midpoint, or ``upper`` where there is nothing below or rounding leaves nothing in between."""
    if lower is None or np.isinf(lower):
        return float(upper)
    middle = lower / 2 + upper / 2
    return float(middle if lower < middle <= upper else upper)


def _check_rows(label: ArrayLike, score: ArrayLike) -> tuple[NDArray[np.bool_], NDArray[np.floating]]:
    label, score = check_binary("label", label), check_score("score", score)
    check_same_length(label=label, score=score)
    if not label.any():
        raise ValueError(f"label has no 1 among its {label.size} rows, so F1 has no best threshold")
    return label, score


def _argmax(label: ArrayLike, score: ArrayLike, group: ArrayLike | None, seed: int) -> float:
    return best_threshold(label, score)[0]


RULES: dict[str, Rule] = {"argmax": _argmax, "bootstrap": bootstrap_threshold}
DEFAULT_RULE = "bootstrap"


def find_rule(rule: str | Rule) -> Rule:
    """Return the rule of that name; a number in text, such as ``"0.5"``, is the rule that always answers it.

    Raises ``UserError`` for anything else, so a configuration can be checked before there is a score.
    """
    if callable(rule):
        return rule
    if rule in RULES:
        return RULES[rule]
    try:
        fixed = float(rule)
    except ValueError:
        fixed = math.nan
    if not math.isfinite(fixed):
        raise UserError(f"threshold rule '{rule}' is neither a number nor a known rule{did_you_mean(rule, RULES)}")
    return lambda label, score, group, seed: fixed


def choose_threshold(
    rule: str | Rule, label: ArrayLike, score: ArrayLike, group: ArrayLike | None = None, seed: int = 0
) -> float:
    """Return the threshold which ``rule`` (see ``find_rule``) chooses on these rows, in the units of ``score``.

    A number in text is returned as it is, whatever the rows. Raises what ``find_rule`` and the rule raise.
    """
    return float(find_rule(rule)(label, score, group, seed))


def cross_fit(
    label: ArrayLike,
    score: ArrayLike,
    fold: ArrayLike,
    group: ArrayLike | None,
    rule: str | Rule = DEFAULT_RULE,
    seed: int = 0,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Decide each row by the threshold that ``rule`` chooses on all rows of the *other* folds.

    All inputs are (n,) and aligned; ``fold`` is any fold names. Returns the decisions (0 and 1) and the threshold used
    for each row. Raises ``ValueError`` when there is but one fold, for then no other rows exist to choose from, and for
    rows the rule refuses. That no group crosses folds is for the folds to promise, and is not checked here.
    """
    label, score, fold = check_binary("label", label), check_score("score", score), np.asarray(fold)
    check_same_length(label=label, score=score, fold=fold)
    group = check_group(group, label.size)
    names = np.unique(fold)
    if names.size < 2:
        raise ValueError(f"cross-fitting needs at least two folds; all {label.size} rows are in fold {names[0]}")
    used = np.empty(label.size)
    for name in names:
        inside = fold == name
        used[inside] = choose_threshold(rule, label[~inside], score[~inside], group[~inside], seed)
    return (score >= used).astype(np.int64), used
