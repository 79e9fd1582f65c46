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
from competition.scoring.arrays import Floats
from competition.scoring.best_threshold import best_threshold, bootstrap_threshold, rate_threshold
from competition.scoring.calibration import check_calibration, choose_calibrator
from competition.scoring.leaderboard_metric import of_labels
from competition.scoring.rows import OofRows
from competition.scoring.threshold.expected_value import calibrated_threshold
from competition.scoring.threshold.robust import believe

Rule = Callable[[OofRows, int, ArrayLike | None], float]
"""(rows, seed, target) -> threshold. ``target`` (m,) are the scores of the rows that the threshold is for, in the units
of ``rows.prob``; ``None`` where they are not known. Wherever a rule's name goes, a ``Rule`` may go."""

AUTO = "auto"
ROBUST = "robust"
PRIOR = "prior:"


def _auto(rows: OofRows, seed: int, target: ArrayLike | None) -> float:
    """``auto`` where nothing is known of a test set; ``auto.decide`` is the whole of it."""
    return RULES["calibrated" if is_calibrated(rows, seed) else "bootstrap"](rows, seed, target)


def _robust(rows: OofRows, seed: int, target: ArrayLike | None) -> float:
    """The best expected metric under a broad belief about the target rows; without them nothing is shifted."""
    return _auto(rows, seed, None) if target is None else believe(rows, target).threshold


def _prior(rows: OofRows, seed: int, target: ArrayLike | None, rate: float | None) -> float:
    """Call the share ``rate`` of the target rows positive; as many as among the labels, where nothing is declared."""
    if target is None or rate is None:
        # Half a row is kept from either end: a rate of 0 or 1 would name no threshold.
        rate = float(np.clip(rows.label.mean(), 0.5 / rows.label.size, 1 - 0.5 / rows.label.size))
    return rate_threshold(rows.prob if target is None else target, rate)


RULES: dict[str, Rule] = {
    "argmax": lambda rows, seed, target: best_threshold(rows.label, rows.prob, of_labels(rows.metric))[0],
    "bootstrap": lambda rows, seed, target: bootstrap_threshold(rows, seed),
    "calibrated": lambda rows, seed, target: calibrated_threshold(rows, seed),
    "em": calibrated_threshold,
    ROBUST: _robust,
    AUTO: _auto,
}
DEFAULT_RULE = "bootstrap"


def is_calibrated(rows: OofRows, seed: int = 0) -> bool:
    """Return whether the chosen calibrator's probabilities hold on rows that it has not seen."""
    return check_calibration(rows.with_prob(choose_calibrator(rows, seed).prob)).holds


def declared_share(rule: str | Rule) -> float | None:
    """Return the positive rate of the test set that ``prior:P`` declares, None for any other rule."""
    return _number(rule.removeprefix(PRIOR)) if isinstance(rule, str) and rule.startswith(PRIOR) else None


def find_rule(rule: str | Rule) -> Rule:
    """Return the rule of that name.

    ``argmax`` is the best cut of the tuning rows, ``bootstrap`` its median over resamples, ``calibrated`` where the
    expected metric is best, ``em`` the same at the class balance that the target rows' scores suggest, ``robust`` has
    the best expected metric where the target rows are of another world (``robust.believe``), ``prior:P`` calls the
    share P of them positive, ``auto`` chooses among them (``auto.decide``), and a number in text, such as ``"0.5"``, is
    the rule that always answers it. Raises ``UserError`` for anything else, so that a configuration can be checked
    before there is a score.
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
    return lambda rows, seed, target: fixed


def is_number(rule: str | Rule) -> bool:
    """Return whether the rule is a number in text, which needs no rows to tune it on."""
    return isinstance(rule, str) and math.isfinite(_number(rule))


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan


def looks_at_test(rule: str | Rule) -> bool:
    """Return whether the rule goes by the scores of the test rows themselves."""
    return rule in ("em", ROBUST) or declared_share(rule) is not None


def tuning_rows(rows: OofRows, rule: str | Rule) -> OofRows:
    """Return the rows that a threshold is tuned on: clean and degraded ones, where there are such (``rows.web``).

    A rule that looks at the test rows sees in their scores what befell them, and keeps to the clean rows.
    """
    return rows.tuning if rows.web is None or looks_at_test(rule) else rows.web


def choose_threshold(rule: str | Rule, rows: OofRows, seed: int = 0, target: ArrayLike | None = None) -> float:
    """Return the threshold which ``rule`` (see ``find_rule``) chooses on these rows, in the units of ``rows.prob``.

    ``target`` (m,) are the scores of the rows to be decided; without them ``em`` is ``calibrated``, ``robust`` is
    ``auto`` and ``prior:P`` keeps to the labels' own rate. ``calibrated``, ``em``, ``robust`` and ``auto`` need scores
    that are probabilities. Raises what ``find_rule`` and the rule raise.
    """
    return float(find_rule(rule)(rows, seed, target))


def cross_fit(
    rows: OofRows, rule: str | Rule = DEFAULT_RULE, seed: int = 0, target: ArrayLike | None = None
) -> tuple[NDArray[np.int64], Floats]:
    """Decide each row by the threshold that ``rule`` chooses on all rows of the *other* folds.

    Where weights were cross-fitted too, each fold's threshold is chosen by the probabilities that never saw it
    (``rows.by_fold``). A rule that looks at target rows is shown the fold's own scores, or those in ``target`` (m,), if
    given: what the threshold for *them* makes of each fold. Rules that are about the test set alone give way without it
    (``own_rate``). With ``rows.web`` the other folds' rows are those (``tuning_rows``); the fold's own are judged as
    they are.

    Returns the decisions (0 and 1) and the threshold used for each row, both (n,). Raises ``ValueError`` when there is
    but one fold, for then no other rows exist to choose from, and for rows the rule refuses. That no group crosses
    folds is for the folds to promise, and is not checked here.
    """
    if rows.folds < 2:
        raise ValueError(f"cross-fitting needs at least two folds; all {rows.label.size} rows are in one")
    tuned_on = tuning_rows(rows, rule)
    rule = own_rate(rule) if target is None else rule
    used = np.empty(rows.label.size)
    for k, scores in enumerate(tuned_on.by_fold):
        inside = rows.fold == k
        shown = rows.by_fold[k][inside] if target is None else target
        used[inside] = choose_threshold(rule, tuned_on.subset(tuned_on.fold != k, scores), seed, shown)
    return (rows.own >= used).astype(np.int64), used


def decide_unseen(rows: OofRows, rule: str | Rule, seed: int = 0) -> tuple[NDArray[np.int64], Floats]:
    """Decide the rows that are judged (``rows.judged``) without a look at their labels: decisions and thresholds used.

    With folds by ``cross_fit``; of a hold-out by the threshold of the rows that are not held out; with a single fold,
    which leaves no other rows, at .5, or at the number that ``rule`` is.
    """
    judged = rows.judged
    if rows.held_out is not None:
        threshold = choose_threshold(own_rate(rule), tuning_rows(rows, rule), seed, judged.prob)
    elif rows.folds > 1:
        return cross_fit(rows, rule, seed)
    else:
        threshold = choose_threshold(rule, rows, seed) if is_number(rule) else 0.5
    return (judged.prob >= threshold).astype(np.int64), np.full(judged.prob.size, threshold)


def own_rate(rule: str | Rule) -> str | Rule:
    """Return the rule for rows that are not the test set: itself, but for two that are about the test set alone.

    ``prior:P`` becomes the rate of the tuning rows, so that it is judged by what it does when what is declared is
    right; ``robust`` becomes ``auto``, for among the training rows there is no other world.
    """
    found = find_rule(rule)
    if rule == ROBUST:
        return AUTO
    return partial(_prior, rate=None) if isinstance(rule, str) and rule.startswith(PRIOR) else found
