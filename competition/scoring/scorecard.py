"""What a set of out-of-fold predictions is worth: the cross-fitted F1 with both its intervals, and the threshold."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from competition.scoring.intervals import cv_interval, leaderboard_range
from competition.scoring.metrics import summary
from competition.scoring.shift.class_prior import Prior
from competition.scoring.shift.verdict import LABEL_SHIFT, Shift
from competition.scoring.threshold.auto import decide, seen_rows, submission_threshold
from competition.scoring.threshold.mean_correction import as_if_averaged
from competition.scoring.threshold.rules import by_fold, choose_threshold, cross_fit, is_number, own_rate

CROSS_FITTED = "cross-fitted"
HOLD_OUT = "hold-out: tuned on its validation part, judged on its test part"
AT_HALF = "at threshold .5, for want of rows to tune it on"
AS_GIVEN = "at the threshold given"
NOTHING_KNOWN = (0.0, 1.0)  # how well a score is known that rests on a single group of rows


@dataclass(frozen=True)
class Score:
    """``figures``: see metrics.summary, at the cross-fitted decisions (at .5 with a single fold).

    ``decision`` and ``prob`` (n,) and everything made of them are about the rows that are judged: all of them, or a
    hold-out's test part; ``prob`` is the probability that was judged, of (k, n) each row's own, and
    ``used`` (n,) the threshold that decided it. ``threshold`` is that
    for the test set, in the units of its mean probability; ``test_rate`` the share of test rows it calls positive.
    ``how`` says how the judging threshold came about: CROSS_FITTED, HOLD_OUT, AT_HALF or AS_GIVEN. ``rule`` is the one
    that was used, which is what ``auto`` decided on, and ``why`` one clause. ``leaderboard_prior`` is the positive rate
    that the range was drawn for where that is not the training rows' own. ``test_rate`` and ``leaderboard`` are None
    without a test set.
    """

    decision: NDArray[np.int64]
    prob: NDArray[np.float64]
    figures: dict[str, float]
    interval: tuple[float, float]
    leaderboard: tuple[float, float] | None
    leaderboard_prior: float | None
    threshold: float
    used: NDArray[np.float64]
    how: str
    rule: str
    why: str
    test_rate: float | None


def score_predictions(
    label: ArrayLike,
    prob: ArrayLike,
    fold: ArrayLike,
    group: ArrayLike,
    test_prob: ArrayLike,
    test_parts: ArrayLike,
    rule: str,
    seed: int = 0,
    public_fraction: float = 1.0,
    shift: Shift | None = None,
    whole: ArrayLike | None = None,
) -> Score:
    """Score out-of-fold probabilities; ``test_prob`` (m,) may hold NaN for images that no model could see.

    ``prob`` is (n,), or (k, n) where weights were cross-fitted too (see ``cross_fit``); ``whole`` (n,) are then the
    rows by the weights of the test set, which its threshold is chosen on and the score is not. ``test_parts`` (k, m):
    the test rows by each fold's models alone, whose mean ``test_prob`` is. The threshold is ``submission_threshold``'s.

    The leaderboard range reaches from the lower end for one model to the upper end for the mean of all (see
    ``as_if_averaged``). Where ``shift`` is a label shift that features vouch for, both ends are for the test's
    estimated class balance, at what the rule makes of the out-of-fold rows when it is shown the test's scores.

    With one fold there are no other folds to choose a threshold on: the decisions are those at .5, or at the number
    that ``rule`` is.
    """
    own, test, parts = seen_rows(prob, fold, test_prob, test_parts)
    prior = _shifted_prior(shift) if test.size else None
    if len(np.unique(fold)) < 2:
        fixed = is_number(rule)
        threshold = choose_threshold(rule, label, own, group, seed) if fixed else 0.5
        decision = (own >= threshold).astype(np.int64)
        made = _Made(
            decision,
            threshold,
            np.full(decision.size, threshold),
            AS_GIVEN if fixed else AT_HALF,
            rule,
            AS_GIVEN if fixed else AT_HALF,
        )
        averaged = (as_if_averaged(label, own, parts) >= threshold).astype(np.int64)
        return _score(label, own, group, made, [decision, averaged], test_prob, public_fraction, prior, seed)
    whole = own if whole is None else np.asarray(whole, float)
    rule, why = decide(rule, label, whole, group, shift, seed)
    decision, used = cross_fit(label, prob, fold, group, rule, seed)
    threshold = submission_threshold(rule, label, whole, group, test, parts, seed)
    table = by_fold(np.asarray(prob, float), len(np.unique(fold)), len(own))
    averaged = np.stack([as_if_averaged(label, row, parts) for row in table])
    # One model's scores go with the test scores of single models, the mean's with those of the mean.
    one_target, mean_target = (None, None) if prior is None else (parts.ravel(), test)
    one = decision if prior is None else cross_fit(label, prob, fold, group, rule, seed, one_target)[0]
    same = prior is None and np.array_equal(averaged, table)
    mean = decision if same else cross_fit(label, averaged, fold, group, rule, seed, mean_target)[0]
    made = _Made(decision, threshold, used, CROSS_FITTED, rule, why)
    return _score(label, own, group, made, [one, mean], test_prob, public_fraction, prior, seed)


def score_hold_out(
    label: ArrayLike,
    prob: ArrayLike,
    judged: ArrayLike,
    group: ArrayLike,
    test_prob: ArrayLike,
    test_parts: ArrayLike,
    rule: str,
    seed: int = 0,
    public_fraction: float = 1.0,
    shift: Shift | None = None,
) -> Score:
    """Score the rows that ``judged`` (n,) bool marks, at the threshold chosen on the others; else as above.

    ``prob`` is (n,). A rule that looks at target rows is shown the judged rows for the score, and the test rows for the
    submission.
    """
    label, prob, group, judged = np.asarray(label), np.asarray(prob, float), np.asarray(group), np.asarray(judged, bool)
    tuned = ~judged
    _, test, parts = seen_rows(prob, judged, test_prob, test_parts)
    rule, why = decide(rule, label[tuned], prob[tuned], group[tuned], shift, seed)
    threshold = submission_threshold(rule, label[tuned], prob[tuned], group[tuned], test, parts, seed)
    used = choose_threshold(own_rate(rule), label[tuned], prob[tuned], group[tuned], seed, target=prob[judged])
    label, prob, group = label[judged], prob[judged], group[judged]
    decision = (prob >= used).astype(np.int64)
    prior = _shifted_prior(shift) if test.size else None
    ends = [decision if prior is None else (prob >= threshold).astype(np.int64)]
    made = _Made(decision, threshold, np.full(decision.size, used), HOLD_OUT, rule, why)
    return _score(label, prob, group, made, ends, test_prob, public_fraction, prior, seed)


@dataclass(frozen=True)
class _Made:
    """Decisions and how they came about; see ``Score``."""

    decision: NDArray[np.int64]
    threshold: float
    used: NDArray[np.float64]
    how: str
    rule: str
    why: str


def _score(
    label,
    prob,
    group,
    made: _Made,
    ends: list[NDArray[np.int64]],
    test_prob,
    public_fraction: float,
    prior: Prior | None,
    seed: int,
) -> Score:
    """Judge decisions; ``ends`` are those that the leaderboard range spans: one model's and the mean's."""
    test_prob = np.asarray(test_prob, float)
    seen = test_prob[~np.isnan(test_prob)]
    interval, spans = NOTHING_KNOWN, [NOTHING_KNOWN]
    if len(np.unique(group)) > 1:
        interval = cv_interval(label, made.decision, group, seed=seed)
        spans = [
            leaderboard_range(label, end, group, test_prob.size, public_fraction, seed=seed, prior=prior)
            for end in ends
            if test_prob.size
        ]
    leaderboard = (min(low for low, _ in spans), max(high for _, high in spans)) if test_prob.size else None
    return Score(
        decision=made.decision,
        prob=prob,
        figures=summary(label, prob, made.decision),
        interval=interval,
        leaderboard=leaderboard,
        leaderboard_prior=None if prior is None or leaderboard is None else prior.value,
        threshold=made.threshold,
        used=made.used,
        how=made.how,
        rule=made.rule,
        why=made.why,
        test_rate=float((seen >= made.threshold).mean()) if seen.size else None,
    )


def _shifted_prior(shift: Shift | None) -> Prior | None:
    return shift.prior if shift is not None and shift.verdict == LABEL_SHIFT and shift.features_agree else None
