"""``auto`` follows its written rule and says why; the threshold for a mean of models is not that of a single one."""

from types import SimpleNamespace

import numpy as np
import pytest

from competition.core.errors import UserError
from competition.scoring.arrays import sigmoid
from competition.scoring.best_threshold import best_threshold
from competition.scoring.intervals import cv_interval
from competition.scoring.metrics import f1
from competition.scoring.rows import OofRows, TestRows
from competition.scoring.shift.verdict import DOMAIN_SHIFT, LABEL_SHIFT, SAME
from competition.scoring.threshold.auto import COMPARED, compare_rules, decide, submission_threshold
from competition.scoring.threshold.rules import choose_threshold, cross_fit

RNG = np.random.default_rng(0)
LABEL = RNG.integers(0, 2, 600)
PROB = sigmoid(2 * (RNG.normal(size=600) + 2 * LABEL - 1))
ROWS = OofRows(LABEL, PROB, np.arange(600) % 3)
TEST = np.append(sigmoid(2 * (RNG.normal(size=200) - 1)), np.nan)  # negatives alone
TEST_ROWS = TestRows(TEST, np.stack([TEST] * 3))


def verdict_of(verdict):
    """As much of a ``Shift`` as the rule looks at."""
    return verdict and SimpleNamespace(verdict=verdict, features_agree=True, elsewhere=verdict == DOMAIN_SHIFT)


def beyond_calibration():
    """Rows whose chance of class 1 falls as well as rises with the score, too few for steps to be fitted to them."""
    rng = np.random.default_rng(9)
    prob = rng.random(100)
    chance = np.select([prob < 0.25, prob < 0.5, prob < 0.75], [0.1, 0.8, 0.2], 0.9)
    return OofRows(rng.random(100) < chance, prob)


@pytest.mark.parametrize(
    "verdict, expected, because",
    [
        (None, "calibrated", "probabilities hold"),
        (SAME, "calibrated", "no shift was found"),
        (LABEL_SHIFT, "em", "only the class balance"),
        (DOMAIN_SHIFT, "robust", "threshold=prior:P"),
    ],
)
def test_auto_takes_the_rule_that_the_verdict_calls_for_and_says_why(verdict, expected, because):
    rule, why = decide("auto", ROWS, verdict_of(verdict))
    assert rule == expected and because in why


@pytest.mark.parametrize(
    "verdict, because",
    [(SAME, "do not hold"), (LABEL_SHIFT, "cannot be followed")],
)
def test_without_calibration_auto_counts_and_never_follows_a_class_balance(verdict, because):
    rule, why = decide("auto", beyond_calibration(), verdict_of(verdict))
    assert rule == "bootstrap" and because in why


@pytest.mark.parametrize("rule", ["argmax", "em", "prior:0.3", "0.5"])
def test_a_rule_that_was_set_is_kept_whatever_the_verdict(rule):
    assert decide(rule, ROWS, verdict_of(DOMAIN_SHIFT)) == (rule, "as set")


def test_an_unknown_rule_is_the_users_mistake():
    with pytest.raises(UserError, match="did you mean 'auto'"):
        decide("autoo", ROWS, None)


@pytest.mark.parametrize("rule", ["argmax", "bootstrap", "calibrated", "em", "auto", "prior:0.3"])
def test_models_that_agree_leave_every_threshold_as_it_is(rule):
    found = submission_threshold(rule, ROWS, TEST_ROWS.seen)
    assert found == choose_threshold(rule, ROWS, target=TEST[:-1])


@pytest.mark.parametrize("rule", COMPARED)
def test_for_a_mean_of_models_a_threshold_loses_less_than_one_for_a_single_model(rule):
    rng = np.random.default_rng(1)
    lost, lost_plainly = [], []
    for _ in range(12):
        label, test_label = (rng.random((2, 3000)) < 0.15).astype(int)
        signal, test_signal = (np.sqrt(0.6) * rng.normal(size=3000) + 2 * side for side in (label, test_label))
        prob = sigmoid(2 * (signal + np.sqrt(0.4) * rng.normal(size=3000)) - 2 + np.log(0.15 / 0.85))
        parts = sigmoid(2 * (test_signal + np.sqrt(0.4) * rng.normal(size=(5, 3000))) - 2 + np.log(0.15 / 0.85))
        test = sigmoid(np.log(parts / (1 - parts)).mean(axis=0))
        best = best_threshold(test_label, test)[1]
        rows = OofRows(label, prob)
        plain = choose_threshold(rule, rows, target=test)
        lost.append(best - f1(test_label, test >= submission_threshold(rule, rows, TestRows(test, parts))))
        lost_plainly.append(best - f1(test_label, test >= plain))
    assert np.mean(lost) < np.mean(lost_plainly)


def test_every_rule_is_compared_by_what_it_does_out_of_fold_and_on_the_test_set():
    found = compare_rules(ROWS, TEST_ROWS, "prior:0.2")
    assert list(found) == [*COMPARED, "prior:0.2"]
    for rule, score in found.items():
        decision, _ = cross_fit(ROWS, rule)
        assert score.value == f1(LABEL, decision) and score.oof_rate == decision.mean()
        assert score.interval == cv_interval(LABEL, decision, None)
        assert score.threshold == submission_threshold(rule, ROWS, TEST_ROWS.seen)
        assert score.test_rate == (TEST[:-1] >= score.threshold).mean()
    assert found["prior:0.2"].test_rate == 0.2
    assert found["em"].test_rate < found["calibrated"].test_rate


@pytest.mark.parametrize("rule", ["auto", "em"])
def test_auto_is_no_rule_of_its_own_and_none_is_compared_twice(rule):
    assert list(compare_rules(ROWS, TEST_ROWS, rule)) == list(COMPARED)


def test_without_a_test_set_rules_have_no_test_rate():
    found = compare_rules(ROWS, TestRows(np.empty(0), np.empty((3, 0))))
    assert all(score.test_rate is None for score in found.values())


def test_without_features_that_agree_a_rarer_class_is_not_told_from_a_new_generator_and_em_not_taken():
    for agree in (None, False):
        shift = SimpleNamespace(verdict=LABEL_SHIFT, features_agree=agree, elsewhere=False)
        rule, why = decide("auto", ROWS, shift)
        assert rule == "calibrated" and "no features show" in why
