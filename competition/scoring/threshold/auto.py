"""Which rule ``auto`` takes, and why; the threshold for a test set; and all rules side by side on the same rows."""

from dataclasses import dataclass

from competition.scoring.intervals import Bootstrap, cv_interval
from competition.scoring.leaderboard_metric import of_labels
from competition.scoring.rows import OofRows, TestRows
from competition.scoring.shift.verdict import DOMAIN_SHIFT, LABEL_SHIFT, Shift
from competition.scoring.threshold.mean_correction import as_if_averaged
from competition.scoring.threshold.rules import (
    AUTO,
    ROBUST,
    choose_threshold,
    cross_fit,
    find_rule,
    is_calibrated,
    tuning_rows,
)

ASSUMED = (
    "the test set is another world. Assumed are a share of class 1 anywhere around the training rows' {share:.0%}, and "
    "scores that tell the classes apart as well as before, less well or not at all; if you know the share, declare it "
    "with threshold=prior:P"
)
COMPARED = ("argmax", "bootstrap", "calibrated", "em", ROBUST)


def decide(rule: str, rows: OofRows, shift: Shift | None, seed: int = 0) -> tuple[str, str]:
    """Return the rule to use, and one clause that says why.

    Any rule but ``auto`` is itself. ``auto`` is, by what ``tests/benchmarks/bench_honest.py`` measures:

    - ``bootstrap`` where calibration fails on rows that the calibrator has not seen: without it, probabilities promise
      nothing, and only counts are left;
    - ``em`` where calibration holds, the verdict on the test set is *label shift*, and the members' features show that
      nothing else changed: then it alone follows the test set's class balance. Scores alone cannot tell a rarer class
      from a new generator's images that pass for the other one;
    - ``robust`` where the verdict is *another world*: no threshold that is right for the training rows is right there.
      What it assumes is said in the reason, with the remedy, to declare ``prior:P``. Where the features show the same
      pictures, and scores alone look otherwise, as copies of training images make them, ``calibrated`` is better;
    - ``calibrated`` otherwise, as the steadiest of those that need nothing from the test set.

    All labels take part in the check of calibration; choosing one of three rules by it costs nothing measurable.
    Raises what ``find_rule`` and ``choose_calibrator`` raise.
    """
    find_rule(rule)
    if rule != AUTO:
        return rule, "as set"
    if shift and shift.elsewhere:
        return ROBUST, ASSUMED.format(share=rows.label.mean())
    holds = is_calibrated(rows, seed)
    verdict = shift.verdict if shift else None
    if shift and verdict == LABEL_SHIFT and holds and shift.features_agree:
        return "em", "calibrated probabilities hold and only the class balance of the test set differs"
    if rows.web is not None:
        holds = is_calibrated(rows.web, seed)
    found = "calibrated" if holds else "bootstrap"
    calibration = "calibrated probabilities hold" if holds else "calibrated probabilities do not hold"
    if verdict == DOMAIN_SHIFT:
        return found, f"{calibration}, and the features show the same pictures: copies may be what changed the scores"
    if verdict == LABEL_SHIFT and holds:
        return found, f"{calibration}, but no features show that the test set differs in its class balance alone"
    if verdict == LABEL_SHIFT:
        return found, f"{calibration}, so the test set's class balance cannot be followed"
    return found, calibration + (" and no shift was found" if shift else "")


def submission_threshold(rule: str, rows: OofRows, test: TestRows, seed: int = 0) -> float:
    """Return the threshold for ``test.prob``, the mean of the models' ``test.parts``, of rows that models saw.

    It is chosen on the out-of-fold rows (``tuning_rows``) as the mean would have scored them (``as_if_averaged``),
    since they were judged by single models.
    """
    tuned_on = as_if_averaged(tuning_rows(rows, rule), test.parts)
    return choose_threshold(rule, tuned_on, seed, test.prob if test.prob.size else None)


@dataclass(frozen=True)
class RuleScore:
    """What a rule is worth: the cross-fitted metric with its interval, shares of rows called positive, and its
    threshold.

    ``oof_rate`` is that of the cross-fitted decisions, ``test_rate`` that of the test rows at ``threshold``, which is
    in the units of the test's probabilities; ``test_rate`` is None without a test set.
    """

    value: float
    interval: tuple[float, float]
    oof_rate: float
    test_rate: float | None
    threshold: float


def compare_rules(rows: OofRows, test: TestRows, rule: str = AUTO, seed: int = 0) -> dict[str, RuleScore]:
    """Return every rule's score by name: those in ``COMPARED``, and ``rule`` where it is another one but ``auto``.

    Raises ``ValueError`` where there are not two folds or more.
    """
    names = [*COMPARED] + ([rule] if rule not in (*COMPARED, AUTO) else [])
    return {name: _score_rule(name, rows, test.seen, seed) for name in names}


def _score_rule(name: str, rows: OofRows, test: TestRows, seed: int) -> RuleScore:
    decision, metric = cross_fit(rows, name, seed)[0], of_labels(rows.metric)
    threshold = submission_threshold(name, rows, test, seed)
    return RuleScore(
        value=metric.value(rows.label, rows.own, decision),
        interval=cv_interval(rows.label, decision, rows.group, Bootstrap(seed=seed, metric=metric)),
        oof_rate=float(decision.mean()),
        test_rate=float((test.prob >= threshold).mean()) if test.prob.size else None,
        threshold=threshold,
    )
