"""The rules that choose a threshold, by name, and cross-fitting, which judges them.

Promises: a rule is known to be one before there is a score, and ``cross_fit`` judges no row by a threshold which that
row's label helped to choose. Rules may look at the *scores* of the rows that they are for: those are known beforehand.
"""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from competition.core.errors import UserError, did_you_mean
from competition.scoring.best_threshold import best_threshold, bootstrap_threshold, rate_threshold
from competition.scoring.calibration import check_calibration, choose_calibrator
from competition.scoring.metrics import check_binary, check_group, check_same_length, check_score
from competition.scoring.threshold.expected_f1 import calibrated_threshold, em_threshold

__all__ = [
    "DEFAULT_RULE",
    "RULES",
    "Rule",
    "best_threshold",
    "bootstrap_threshold",
    "choose_threshold",
    "cross_fit",
    "find_rule",
]

Rule = Callable[[ArrayLike, ArrayLike, ArrayLike | None, int, ArrayLike | None], float]
"""(label, score, group, seed, target) -> threshold. ``target`` (m,) are the scores of the rows that the threshold is
for, in the units of ``score``; ``None`` where they are not known. Wherever a rule's name goes, a ``Rule`` may go."""

AUTO = "auto"
PRIOR = "prior:"


def _argmax(label, score, group, seed, target) -> float:
    return best_threshold(label, score)[0]


def _bootstrap(label, score, group, seed, target) -> float:
    return bootstrap_threshold(label, score, group, seed)


def _calibrated(label, score, group, seed, target) -> float:
    return calibrated_threshold(label, score, group, seed)


def _auto(label, score, group, seed, target) -> float:
    """``auto`` where nothing is known of a test set; ``rules.decide`` is the whole of it."""
    rule = "calibrated" if is_calibrated(label, score, group, seed) else "bootstrap"
    return RULES[rule](label, score, group, seed, target)


def _prior(label, score, group, seed, target, rate: float | None) -> float:
    """Call the share ``rate`` of the target rows positive; as many as among the labels, where nothing is declared."""
    own = float(check_binary("label", label).mean())
    if target is None or rate is None:
        # Half a row is kept from either end: a rate of 0 or 1 would name no threshold.
        rate = float(np.clip(own, 0.5 / len(label), 1 - 0.5 / len(label)))
    return rate_threshold(score if target is None else target, rate)


RULES: dict[str, Rule] = {
    "argmax": _argmax,
    "bootstrap": _bootstrap,
    "calibrated": _calibrated,
    "em": em_threshold,
    AUTO: _auto,
}
DEFAULT_RULE = "bootstrap"


def is_calibrated(label: ArrayLike, prob: ArrayLike, group: ArrayLike | None = None, seed: int = 0) -> bool:
    """Return whether the chosen calibrator's probabilities hold on rows that it has not seen."""
    return check_calibration(label, choose_calibrator(label, prob, group, seed).prob, group).holds


def find_rule(rule: str | Rule) -> Rule:
    """Return the rule of that name.

    ``argmax`` is the best cut of the tuning rows, ``bootstrap`` its median over resamples, ``calibrated`` half the best
    expected F1, ``em`` the same at the class balance that the target rows' scores suggest, ``prior:P`` calls the share
    P of the target rows positive, ``auto`` chooses among them (``rules.decide``), and a number in text, such as
    ``"0.5"``, is the rule that always answers it. Raises ``UserError`` for anything else, so that a configuration can
    be checked before there is a score.
    """
    if callable(rule):
        return rule
    if rule in RULES:
        return RULES[rule]
    if rule.startswith(PRIOR) or rule == PRIOR[:-1]:
        rate = _number(rule.removeprefix(PRIOR))
        if not 0 < rate < 1:
            raise UserError(
                f"threshold rule '{rule}' needs the test set's positive rate, strictly between 0 and 1, as in prior:0.3"
            )
        return partial(_prior, rate=rate)
    fixed = _number(rule)
    if not math.isfinite(fixed):
        name, *rest = rule.split(":")
        known = [*RULES, f"{PRIOR}P"]
        raise UserError(
            f"threshold rule '{rule}' is neither a number nor a known rule"
            f"{did_you_mean(f'{name}:P' if rest else name, known)}"
        )
    return lambda label, score, group, seed, target: fixed


def is_number(rule: str | Rule) -> bool:
    """Return whether the rule is a number in text, which needs no rows to tune it on."""
    return isinstance(rule, str) and math.isfinite(_number(rule))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def choose_threshold(
    rule: str | Rule,
    label: ArrayLike,
    score: ArrayLike,
    group: ArrayLike | None = None,
    seed: int = 0,
    target: ArrayLike | None = None,
) -> float:
    """Return the threshold which ``rule`` (see ``find_rule``) chooses on these rows, in the units of ``score``.

    ``target`` (m,) are the scores of the rows to be decided; without them ``em`` is ``calibrated`` and ``prior:P``
    keeps to the labels' own rate. A number in text is returned as it is, whatever the rows. ``calibrated``, ``em`` and
    ``auto`` need scores that are probabilities. Raises what ``find_rule`` and the rule raise.
    """
    return float(find_rule(rule)(label, score, group, seed, target))


def cross_fit(
    label: ArrayLike,
    score: ArrayLike,
    fold: ArrayLike,
    group: ArrayLike | None,
    rule: str | Rule = DEFAULT_RULE,
    seed: int = 0,
    target: ArrayLike | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Decide each row by the threshold that ``rule`` chooses on all rows of the *other* folds.

    All inputs are (n,) and aligned; ``fold`` is any fold names. ``score`` may be (k, n): row j holds the scores that
    judge the j-th fold name in sorted order, as when the members' weights are cross-fitted too; its threshold is then
    chosen on that row's other folds. A rule that looks at target rows is shown the fold's own scores (and ``prior:P``
    the other folds' positive rate: it is judged by what it does when what is declared is right), or those in
    ``target`` (m,), if given: what the threshold for *them* makes of each fold.

    Returns the decisions (0 and 1) and the threshold used for each row, both (n,). Raises ``ValueError`` when there is
    but one fold, for then no other rows exist to choose from, and for rows the rule refuses. That no group crosses
    folds is for the folds to promise, and is not checked here.
    """
    label, fold = check_binary("label", label), np.asarray(fold)
    names, code = np.unique(fold, return_inverse=True)
    table = by_fold(score, names.size, label.size)
    check_same_length(label=label, score=table[0], fold=fold)
    group = check_group(group, label.size)
    if names.size < 2:
        raise ValueError(f"cross-fitting needs at least two folds; all {label.size} rows are in fold {names[0]}")
    rule = own_rate(rule) if target is None else rule
    used = np.empty(label.size)
    for k, scores in enumerate(table):
        inside = code == k
        shown = scores[inside] if target is None else target
        used[inside] = choose_threshold(rule, label[~inside], scores[~inside], group[~inside], seed, shown)
    return (own_score(table, code) >= used).astype(np.int64), used


def own_rate(rule: str | Rule) -> str | Rule:
    """Return the rule for rows that are not the test set: itself, but ``prior:P`` at the rate of the tuning rows."""
    found = find_rule(rule)
    return partial(_prior, rate=None) if isinstance(rule, str) and rule.startswith(PRIOR) else found


def by_fold(score: ArrayLike, folds: int, rows: int) -> NDArray[np.floating]:
    """Return (k, n) scores, where (n,) are the same for every fold; raise ``ValueError`` for another number of rows."""
    score = np.asarray(score)
    if score.ndim == 1:
        score = check_score("score", score)
        return np.broadcast_to(score, (folds, score.size))
    if score.shape != (folds, rows):
        raise ValueError(
            f"score must be ({rows},), or ({folds}, {rows}) with a row for each fold; its shape is {score.shape}"
        )
    return np.stack([check_score(f"score {k}", row) for k, row in enumerate(score)])


def own_score(table: NDArray[np.floating], code: NDArray[np.intp]) -> NDArray[np.floating]:
    """Return the (n,) scores that judge the rows: of (k, n), each row's in its own fold, ``code`` (n,) in 0..k-1."""
    return table[code, np.arange(code.size)]
