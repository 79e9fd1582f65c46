"""What a set of out-of-fold predictions is worth: the cross-fitted score with both its intervals, and the threshold."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from competition.scoring.arrays import Floats
from competition.scoring.intervals import Bootstrap, cv_interval, leaderboard_range, leaderboard_rows
from competition.scoring.judge import Judged, judge
from competition.scoring.leaderboard_metric import Metric, ProbabilityMetric, of_labels
from competition.scoring.probabilities import loss_interval, loss_range, submit_probabilities
from competition.scoring.rows import OofRows, TestRows
from competition.scoring.shift.class_prior import Prior
from competition.scoring.shift.verdict import LABEL_SHIFT, Shift
from competition.scoring.threshold.auto import decide, submission_threshold
from competition.scoring.threshold.mean_correction import as_if_averaged
from competition.scoring.threshold.robust import believe
from competition.scoring.threshold.rules import ROBUST, cross_fit, declared_share, is_number

CROSS_FITTED = "cross-fitted"
HOLD_OUT = "hold-out: tuned on its validation part, judged on its test part"
AT_HALF = "at threshold .5, for want of rows to tune it on"
AS_GIVEN = "at the threshold given"
UNCALIBRATED = "uncalibrated, for want of rows to calibrate on"
NOTHING_KNOWN = (0.0, 1.0)  # how well a score is known that rests on a single group of rows


@dataclass(frozen=True)
class Score:
    """``figures``: see metrics.summary, and the metric under its own name, at the cross-fitted answers.

    ``decision`` and ``prob`` (n,) and everything made of them are about the rows that are judged: all of them, or a
    hold-out's test part; ``prob`` is the probability that was judged, calibrated where the metric asks for that, and
    ``used`` (n,) the threshold that decided it, in the units of the models' own probabilities. ``threshold`` is that
    for the test set, in the same units, ``cut`` in those of ``prob`` and ``test_prob``: the latter, (m,), stand for the
    test rows, NaN where no model could see an image. ``test_rate`` is the share of test rows called positive; it and
    ``leaderboard`` are None without a test set. ``how`` says how the judging threshold or calibrator came about:
    CROSS_FITTED, HOLD_OUT, AT_HALF or AS_GIVEN. ``rule`` is the one that was used, which is what ``auto`` decided on,
    or how probabilities came about, and ``why`` one clause. ``expected`` is None but where the test set is another
    world: there it is what can be expected of the threshold, and ``leaderboard`` its range, under what may still be
    believed (``robust.believe``); of probabilities nothing is promised there, so that ``leaderboard`` is None.
    """

    metric: Metric
    figures: dict[str, float]
    decision: NDArray[np.int64]
    prob: Floats
    used: Floats
    interval: tuple[float, float]
    leaderboard: tuple[float, float] | None
    threshold: float
    cut: float
    test_prob: Floats
    test_rate: float | None
    how: str
    rule: str
    why: str
    expected: float | None = None

    @property
    def value(self) -> float:
        """The score: what the metric makes of the judged rows."""
        return self.figures[self.metric.name]


def score_predictions(
    rows: OofRows, test: TestRows, rule: str, seed: int = 0, public_fraction: float = 1.0, shift: Shift | None = None
) -> Score:
    """Score out-of-fold rows by their metric, and choose the threshold of the test set (``submission_threshold``), or
    the probabilities that are submitted (``submit_probabilities``).

    Where weights were cross-fitted (``rows.crossed``), each row is judged by those that never saw its fold, and the
    test set's threshold is chosen on the rows by the weights of the test set. Of a hold-out everything is chosen on the
    rows that are not held out, and those held out are judged; a rule that looks at target rows is shown them for the
    score, and the test rows for the submission. With one fold there are no other rows to choose a threshold on: the
    decisions are those at .5, or at the number that ``rule`` is.

    With folds, the leaderboard range reaches from the lower end for one model to the upper end for the mean of all
    (``as_if_averaged``). Where ``shift`` is a label shift and features show no other, it is for the test's estimated
    class balance, by the rule that is shown the test's scores; in another world it is that of the belief.
    """
    seen = test.seen
    prior = shift.prior if seen.prob.size and shift and shift.verdict == LABEL_SHIFT and shift.features_agree else None
    size = leaderboard_rows(test.prob.size, public_fraction) if test.prob.size else 0
    scored = _score_probabilities if isinstance(rows.metric, ProbabilityMetric) else _score_labels
    return scored(rows, test, (rule, seed, shift), size, prior)


def _score_labels(
    rows: OofRows, test: TestRows, settings: tuple[str, int, Shift | None], size: int, prior: Prior | None
) -> Score:
    """Return the score of rows whose metric is one of labels; ``size`` is how many a leaderboard scores."""
    rule, seed, shift = settings
    seen, judged = test.seen, rows.judged
    rule, why, how = _rule_for(rows, rule, seed, shift)
    made = judge(rows, rule, seed)
    threshold = (
        float(made.used[0]) if how in (AT_HALF, AS_GIVEN) else submission_threshold(rule, rows.tuning, seen, seed)
    )
    bootstrap = Bootstrap(seed=seed, metric=of_labels(rows.metric))
    interval, known = NOTHING_KNOWN, NOTHING_KNOWN if size else None
    if judged.groups > 1:
        interval = cv_interval(judged.label, made.decision, judged.group, bootstrap)
    if size and judged.groups > 1:
        ends = _expected_decisions(rows, seen, made, (rule, threshold, seed), prior is not None)
        known = _span(judged, ends, size, prior, bootstrap)
    believed = None
    if seen.prob.size and (rule == ROBUST or (shift and shift.elsewhere)):
        averaged = as_if_averaged(rows.tuning, seen.parts)
        believed = believe(averaged, seen.prob, declared_share(rule)).expected(threshold)
    return Score(
        metric=rows.metric,
        figures=made.figures,
        decision=made.decision,
        prob=made.rows.prob,
        used=made.used,
        interval=interval,
        leaderboard=(believed.low, believed.high) if believed else known,
        threshold=threshold,
        cut=threshold,
        test_prob=test.prob,
        test_rate=float((seen.prob >= threshold).mean()) if seen.prob.size else None,
        how=how,
        rule=rule,
        why=why + (f"; expected there: {rows.metric.title} {believed}" if believed else ""),
        expected=believed.value if believed else None,
    )


def _score_probabilities(
    rows: OofRows, test: TestRows, settings: tuple[str, int, Shift | None], size: int, prior: Prior | None
) -> Score:
    """Return the score of rows whose metric is one of probabilities; ``size`` is how many a leaderboard scores."""
    rule, seed, shift = settings
    metric, made = rows.metric, judge(rows, rule, seed)
    assert isinstance(metric, ProbabilityMetric)
    submitted = submit_probabilities(rows, test, rule, seed, shift)
    interval, leaderboard = NOTHING_KNOWN, NOTHING_KNOWN if size else None
    if made.rows.groups > 1:
        interval = loss_interval(metric, made.rows)
        judged = [made.rows, judge(as_if_averaged(rows, test.seen.parts), rule, seed).rows]
        leaderboard = loss_range(metric, judged, size, prior) if size else None
    seen = submitted.prob[~np.isnan(submitted.prob)]
    single = rows.held_out is None and rows.folds < 2
    return Score(
        metric=metric,
        figures=made.figures,
        decision=made.decision,
        prob=made.rows.prob,
        used=made.used,
        interval=interval,
        leaderboard=None if shift and shift.elsewhere else leaderboard,
        threshold=submitted.threshold,
        cut=0.5,
        test_prob=submitted.prob,
        test_rate=float((seen >= 0.5).mean()) if seen.size else None,
        how=UNCALIBRATED if single else HOLD_OUT if rows.held_out is not None else CROSS_FITTED,
        rule=submitted.how,
        why=submitted.why,
    )


def _span(
    judged: OofRows, ends: list[NDArray[np.int64]], size: int, prior: Prior | None, bootstrap: Bootstrap
) -> tuple[float, float]:
    """Return the lowest and the highest end of the leaderboard ranges of all decisions in ``ends``."""
    spans = [leaderboard_range(judged.label, end, judged.group, size, prior, bootstrap) for end in ends]
    return min(low for low, _ in spans), max(high for _, high in spans)


def _rule_for(rows: OofRows, rule: str, seed: int, shift: Shift | None) -> tuple[str, str, str]:
    """Return the rule to use, one clause that says why, and how the judging threshold comes about."""
    if rows.held_out is None and rows.folds < 2:
        how = AS_GIVEN if is_number(rule) else AT_HALF
        return rule, how, how
    return *decide(rule, rows.tuning, shift, seed), CROSS_FITTED if rows.held_out is None else HOLD_OUT


def _expected_decisions(
    rows: OofRows, test: TestRows, made: Judged, chosen: tuple[str, float, int], shifted: bool
) -> list[NDArray[np.int64]]:
    """Return the decisions that the leaderboard range spans: one model's and the mean's, of a hold-out one model's.

    Where the class balance ``shifted``, they are those that the rule makes when it is shown the test's scores: one
    model's scores go with the test scores of single models, the mean's with those of the mean.
    """
    rule, threshold, seed = chosen
    if rows.held_out is not None:
        return [(rows.judged.prob >= threshold).astype(np.int64) if shifted else made.decision]
    averaged = as_if_averaged(rows, test.parts)
    if rows.folds < 2:
        return [made.decision, (averaged.own >= threshold).astype(np.int64)]
    if shifted:
        targets = (rows, test.parts.ravel()), (averaged, test.prob)
        return [cross_fit(scored, rule, seed, target)[0] for scored, target in targets]
    return [made.decision, made.decision if averaged is rows else cross_fit(averaged, rule, seed)[0]]
