"""What a set of out-of-fold predictions is worth: the cross-fitted F1 with both its intervals, and the threshold."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from competition.scoring.intervals import Bootstrap, cv_interval, leaderboard_range, leaderboard_rows
from competition.scoring.metrics import Floats, summary
from competition.scoring.rows import OofRows, TestRows
from competition.scoring.shift.class_prior import Prior
from competition.scoring.shift.verdict import LABEL_SHIFT, Shift
from competition.scoring.threshold.auto import decide, submission_threshold
from competition.scoring.threshold.mean_correction import as_if_averaged
from competition.scoring.threshold.robust import Expected, believe
from competition.scoring.threshold.rules import ROBUST, cross_fit, decide_unseen, declared_share, is_number

CROSS_FITTED = "cross-fitted"
HOLD_OUT = "hold-out: tuned on its validation part, judged on its test part"
AT_HALF = "at threshold .5, for want of rows to tune it on"
AS_GIVEN = "at the threshold given"
NOTHING_KNOWN = (0.0, 1.0)  # how well a score is known that rests on a single group of rows


@dataclass(frozen=True)
class _Decided:
    """Decisions and how they came about; see ``Score``."""

    decision: NDArray[np.int64]
    used: Floats
    threshold: float
    how: str
    rule: str
    why: str


@dataclass(frozen=True)
class Score(_Decided):
    """``figures``: see metrics.summary, at the cross-fitted decisions (at .5 with a single fold).

    ``decision`` and ``prob`` (n,) and everything made of them are about the rows that are judged: all of them, or a
    hold-out's test part; ``prob`` is the probability that was judged, and ``used`` (n,) the threshold that decided it.
    ``threshold`` is that for the test set, in the units of its mean probability; ``test_rate`` the share of test rows
    it calls positive; it and ``leaderboard`` are None without a test set. ``how`` says how the judging threshold came
    about: CROSS_FITTED, HOLD_OUT, AT_HALF or AS_GIVEN. ``rule`` is the one that was used, which is what ``auto``
    decided on, and ``why`` one clause. ``expected_f1`` is None but where the test set is another world: there it is
    what can be expected of the threshold, and ``leaderboard`` its range, under what may still be believed
    (``robust.believe``).
    """

    prob: Floats
    figures: dict[str, float]
    interval: tuple[float, float]
    leaderboard: tuple[float, float] | None
    test_rate: float | None
    expected_f1: float | None = None


def score_predictions(
    rows: OofRows, test: TestRows, rule: str, seed: int = 0, public_fraction: float = 1.0, shift: Shift | None = None
) -> Score:
    """Score out-of-fold rows, and choose the threshold of the test set (``submission_threshold``).

    Where weights were cross-fitted (``rows.crossed``), each row is judged by those that never saw its fold, and the
    test set's threshold is chosen on the rows by the weights of the test set. Of a hold-out everything is chosen on the
    rows that are not held out, and those held out are judged; a rule that looks at target rows is shown them for the
    score, and the test rows for the submission. With one fold there are no other rows to choose a threshold on: the
    decisions are those at .5, or at the number that ``rule`` is.

    With folds, the leaderboard range reaches from the lower end for one model to the upper end for the mean of all
    (``as_if_averaged``). Where ``shift`` is a label shift and features show no other, it is for the test's estimated
    class balance, by the rule that is shown the test's scores; in another world it is that of the belief.
    """
    seen, judged, bootstrap = test.seen, rows.judged, Bootstrap(seed=seed)
    prior = shift.prior if seen.prob.size and shift and shift.verdict == LABEL_SHIFT and shift.features_agree else None
    made = _decide(rows, seen, rule, seed, shift)
    interval, leaderboard = NOTHING_KNOWN, NOTHING_KNOWN if test.prob.size else None
    if judged.groups > 1:
        interval = cv_interval(judged.label, made.decision, judged.group, bootstrap)
    if leaderboard and judged.groups > 1:
        ends = _expected_decisions(rows, seen, made, seed, prior is not None)
        leaderboard = _span(judged, ends, leaderboard_rows(test.prob.size, public_fraction), prior, bootstrap)
    believed = _expected(rows, seen, made, shift)
    return Score(
        prob=judged.prob,
        figures=summary(judged.label, judged.prob, made.decision),
        interval=interval,
        leaderboard=(believed.low, believed.high) if believed else leaderboard,
        test_rate=float((seen.prob >= made.threshold).mean()) if seen.prob.size else None,
        expected_f1=believed.f1 if believed else None,
        **vars(made) | {"why": made.why + (f"; expected there: F1 {believed}" if believed else "")},
    )


def _span(
    judged: OofRows, ends: list[NDArray[np.int64]], size: int, prior: Prior | None, bootstrap: Bootstrap
) -> tuple[float, float]:
    """Return the lowest and the highest end of the leaderboard ranges of all decisions in ``ends``."""
    spans = [leaderboard_range(judged.label, end, judged.group, size, prior, bootstrap) for end in ends]
    return min(low for low, _ in spans), max(high for _, high in spans)


def _expected(rows: OofRows, test: TestRows, made: _Decided, shift: Shift | None) -> Expected | None:
    """Return what to expect of the threshold in another world; None in the training rows' own or without test rows."""
    if not test.prob.size or not (made.rule == ROBUST or (shift and shift.elsewhere)):
        return None
    averaged = as_if_averaged(rows.tuning, test.parts)
    return believe(averaged, test.prob, declared_share(made.rule)).expected(made.threshold)


def _decide(rows: OofRows, test: TestRows, rule: str, seed: int, shift: Shift | None) -> _Decided:
    if rows.held_out is None and rows.folds < 2:
        decision, used = decide_unseen(rows, rule, seed)
        how = AS_GIVEN if is_number(rule) else AT_HALF
        return _Decided(decision, used, float(used[0]), how, rule, how)
    rule, why = decide(rule, rows.tuning, shift, seed)
    decision, used = decide_unseen(rows, rule, seed)
    threshold = submission_threshold(rule, rows.tuning, test, seed)
    return _Decided(decision, used, threshold, CROSS_FITTED if rows.held_out is None else HOLD_OUT, rule, why)


def _expected_decisions(
    rows: OofRows, test: TestRows, made: _Decided, seed: int, shifted: bool
) -> list[NDArray[np.int64]]:
    """Return the decisions that the leaderboard range spans: one model's and the mean's, of a hold-out one model's.

    Where the class balance ``shifted``, they are those that the rule makes when it is shown the test's scores: one
    model's scores go with the test scores of single models, the mean's with those of the mean.
    """
    if rows.held_out is not None:
        return [(rows.judged.prob >= made.threshold).astype(np.int64) if shifted else made.decision]
    averaged = as_if_averaged(rows, test.parts)
    if rows.folds < 2:
        return [made.decision, (averaged.own >= made.threshold).astype(np.int64)]
    if shifted:
        targets = (rows, test.parts.ravel()), (averaged, test.prob)
        return [cross_fit(scored, made.rule, seed, target)[0] for scored, target in targets]
    return [made.decision, made.decision if averaged is rows else cross_fit(averaged, made.rule, seed)[0]]
