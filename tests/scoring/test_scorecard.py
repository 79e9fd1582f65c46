from types import SimpleNamespace

import numpy as np
import pytest

from competition.scoring.arrays import sigmoid
from competition.scoring.intervals import leaderboard_range
from competition.scoring.metrics import f1
from competition.scoring.rows import OofRows, TestRows
from competition.scoring.scorecard import AS_GIVEN, AT_HALF, CROSS_FITTED, HOLD_OUT, score_predictions
from competition.scoring.shift.class_prior import Prior
from competition.scoring.shift.verdict import DOMAIN_SHIFT, LABEL_SHIFT, SAME
from competition.scoring.threshold.rules import choose_threshold, cross_fit

RNG = np.random.default_rng(0)
LABEL = RNG.integers(0, 2, 300)
PROB = sigmoid(RNG.normal(size=300) + 1.5 * LABEL)
FOLD = np.arange(300) % 3
ROWS, SINGLE = OofRows(LABEL, PROB, FOLD), OofRows(LABEL, PROB)
HELD_OUT = OofRows(LABEL, PROB, held_out=np.arange(300) >= 200)
TEST = np.append(sigmoid(RNG.normal(size=100)), np.nan)
PARTS = np.stack([TEST] * 3)  # three models that agree
TEST_ROWS = TestRows(TEST, PARTS)


def test_the_reported_score_is_cross_fitted_and_the_threshold_is_that_of_all_rows():
    score = score_predictions(ROWS, TEST_ROWS, "argmax")
    decision, _ = cross_fit(ROWS, "argmax")
    assert score.how == CROSS_FITTED and score.figures["f1"] == f1(LABEL, decision)
    assert score.threshold == choose_threshold("argmax", ROWS)
    assert score.interval[0] < score.figures["f1"] < score.interval[1]
    assert score.leaderboard[0] < score.interval[0] and score.interval[1] < score.leaderboard[1]


def test_one_fold_is_scored_at_one_half_with_no_claim_about_a_threshold():
    score = score_predictions(SINGLE, TEST_ROWS, "argmax")
    assert score.how == AT_HALF and score.threshold == 0.5
    assert score.figures["f1"] == f1(LABEL, PROB >= 0.5)


def test_images_that_no_model_saw_count_in_the_leaderboard_and_not_in_the_rate():
    score = score_predictions(ROWS, TEST_ROWS, "0.5")
    assert score.test_rate == pytest.approx((TEST[:-1] >= 0.5).mean())


def test_a_threshold_given_as_a_number_needs_no_rows_to_tune_it_on():
    score = score_predictions(SINGLE, TEST_ROWS, "0.3")
    assert score.how == AS_GIVEN and score.threshold == 0.3
    assert score.figures["f1"] == f1(LABEL, PROB >= 0.3)


def test_a_hold_out_is_tuned_on_one_part_and_judged_on_the_other():
    score = score_predictions(HELD_OUT, TestRows(TEST, PARTS[:1]), "argmax")
    threshold = choose_threshold("argmax", OofRows(LABEL[:200], PROB[:200]))
    assert score.how == HOLD_OUT and score.threshold == threshold
    assert score.figures["f1"] == f1(LABEL[200:], PROB[200:] >= threshold)
    assert np.array_equal(score.decision, PROB[200:] >= threshold)


def test_without_a_test_set_there_is_no_leaderboard():
    score = score_predictions(ROWS, TestRows(np.array([]), np.empty((3, 0))), "0.5")
    assert score.leaderboard is None and score.test_rate is None


def test_a_smaller_public_part_widens_the_range():
    whole = score_predictions(ROWS, TEST_ROWS, "0.5").leaderboard
    public = score_predictions(ROWS, TEST_ROWS, "0.5", public_fraction=0.2).leaderboard
    assert public[1] - public[0] > 1.3 * (whole[1] - whole[0])


def test_models_that_disagree_raise_the_upper_end_of_the_leaderboard_and_leave_the_score():
    plain = score_predictions(ROWS, TEST_ROWS, "argmax")
    noisy = np.clip(PARTS + RNG.normal(scale=0.15, size=PARTS.shape), 0.01, 0.99)
    found = score_predictions(ROWS, TestRows(TEST, noisy), "argmax")
    assert found.leaderboard[1] > plain.leaderboard[1] and found.leaderboard[0] == plain.leaderboard[0]
    assert found.figures == plain.figures and found.interval == plain.interval


def shifted(verdict, prior=None):
    """As much of a ``Shift`` as a score looks at."""
    prior = prior or Prior(0.2, 0.16, 0.24, 0.5)
    return SimpleNamespace(verdict=verdict, features_agree=True, elsewhere=False, prior=prior)


def test_auto_is_scored_as_the_rule_it_decides_on_and_says_which_and_why():
    same = score_predictions(ROWS, TEST_ROWS, "auto", shift=shifted(SAME))
    named = score_predictions(ROWS, TEST_ROWS, same.rule)
    assert same.rule in ("calibrated", "bootstrap") and "no shift was found" in same.why
    assert same.figures == named.figures and same.threshold == named.threshold and named.why == "as set"
    assert score_predictions(ROWS, TEST_ROWS, "auto", shift=shifted(LABEL_SHIFT)).rule == "em"


def test_under_label_shift_the_range_is_for_the_tests_class_balance_and_the_score_is_not():
    plain = score_predictions(ROWS, TEST_ROWS, "0.5")
    found = score_predictions(ROWS, TEST_ROWS, "0.5", shift=shifted(LABEL_SHIFT))
    assert found.leaderboard[1] < plain.leaderboard[1] - 0.05
    assert found.figures == plain.figures
    prior = shifted(LABEL_SHIFT).prior
    assert found.leaderboard == leaderboard_range(LABEL, plain.decision, None, len(TEST), prior)


@pytest.mark.parametrize("verdict", [SAME, DOMAIN_SHIFT])
def test_the_range_keeps_to_the_training_balance_unless_the_verdict_is_label_shift(verdict):
    found = score_predictions(ROWS, TEST_ROWS, "0.5", shift=shifted(verdict))
    assert found.leaderboard == score_predictions(ROWS, TEST_ROWS, "0.5").leaderboard


def test_under_label_shift_the_range_covers_the_shifted_test_sets_score():
    rng = np.random.default_rng(1)
    inside, blind = [], []
    for _ in range(30):
        label = rng.integers(0, 2, 1000)
        test_label = (rng.random(600) < 0.2).astype(int)
        prob, test = (sigmoid(2 * (rng.normal(size=side.size) + 2 * side - 1)) for side in (label, test_label))
        given = OofRows(label, prob, np.arange(1000) % 5), TestRows(test, np.stack([test] * 5)), "prior:0.2"
        found = score_predictions(*given, shift=shifted(LABEL_SHIFT))
        value = f1(test_label, test >= found.threshold)
        low, high = score_predictions(*given).leaderboard
        inside.append(found.leaderboard[0] <= value <= found.leaderboard[1])
        blind.append(low <= value <= high)
    assert np.mean(inside) > 0.85 and np.mean(blind) < 0.4


def test_with_a_row_of_probabilities_for_each_fold_each_row_is_judged_by_its_own():
    table = np.stack([PROB, PROB**2, np.sqrt(PROB)])
    rows = OofRows(LABEL, PROB**3, FOLD, crossed=table)
    found = score_predictions(rows, TEST_ROWS, "argmax")
    decision, _ = cross_fit(rows, "argmax")
    assert np.array_equal(found.prob, table[FOLD, np.arange(300)]) and np.array_equal(found.decision, decision)
    assert found.threshold == choose_threshold("argmax", OofRows(LABEL, PROB**3))


def test_a_hold_outs_declared_rate_is_that_of_the_test_set_and_not_of_the_rows_judged():
    found = score_predictions(HELD_OUT, TestRows(TEST, PARTS[:1]), "prior:0.1")
    assert found.test_rate == pytest.approx(0.1)
    assert found.decision.mean() == pytest.approx(LABEL[:200].mean(), abs=0.01)


def test_a_hold_out_under_label_shift_has_its_range_at_the_tests_balance():
    found = score_predictions(HELD_OUT, TestRows(TEST, PARTS[:1]), "auto", shift=shifted(LABEL_SHIFT))
    assert found.rule == "em" and np.array_equal(found.prob, PROB[200:])
    decision = (PROB[200:] >= found.threshold).astype(int)
    prior = shifted(LABEL_SHIFT).prior
    assert found.leaderboard == leaderboard_range(LABEL[200:], decision, None, len(TEST), prior)
