import numpy as np
import pytest

from competition.scoring.metrics import f1, sigmoid
from competition.scoring.scorecard import AS_GIVEN, AT_HALF, CROSS_FITTED, HOLD_OUT, score_hold_out, score_predictions
from competition.scoring.threshold import choose_threshold, cross_fit

RNG = np.random.default_rng(0)
LABEL = RNG.integers(0, 2, 300)
PROB = sigmoid(RNG.normal(size=300) + 1.5 * LABEL)
FOLD, GROUP = np.arange(300) % 3, np.arange(300)
TEST = np.append(sigmoid(RNG.normal(size=100)), np.nan)
PARTS = np.stack([TEST] * 3)  # three models that agree


def test_the_reported_score_is_cross_fitted_and_the_threshold_is_that_of_all_rows():
    score = score_predictions(LABEL, PROB, FOLD, GROUP, TEST, PARTS, "argmax")
    decision, _ = cross_fit(LABEL, PROB, FOLD, GROUP, "argmax")
    assert score.how == CROSS_FITTED and score.figures["f1"] == f1(LABEL, decision)
    assert score.threshold == choose_threshold("argmax", LABEL, PROB, GROUP)
    assert score.interval[0] < score.figures["f1"] < score.interval[1]
    assert score.leaderboard[0] < score.interval[0] and score.interval[1] < score.leaderboard[1]


def test_one_fold_is_scored_at_one_half_with_no_claim_about_a_threshold():
    score = score_predictions(LABEL, PROB, np.zeros(300), GROUP, TEST, PARTS, "argmax")
    assert score.how == AT_HALF and score.threshold == 0.5
    assert score.figures["f1"] == f1(LABEL, PROB >= 0.5)


def test_images_that_no_model_saw_count_in_the_leaderboard_and_not_in_the_rate():
    score = score_predictions(LABEL, PROB, FOLD, GROUP, TEST, PARTS, "0.5")
    assert score.test_rate == pytest.approx((TEST[:-1] >= 0.5).mean())


def test_a_threshold_given_as_a_number_needs_no_rows_to_tune_it_on():
    score = score_predictions(LABEL, PROB, np.zeros(300), GROUP, TEST, PARTS, "0.3")
    assert score.how == AS_GIVEN and score.threshold == 0.3
    assert score.figures["f1"] == f1(LABEL, PROB >= 0.3)


def test_a_hold_out_is_tuned_on_one_part_and_judged_on_the_other():
    judged = np.arange(300) >= 200
    score = score_hold_out(LABEL, PROB, judged, GROUP, TEST, PARTS[:1], "argmax")
    threshold = choose_threshold("argmax", LABEL[:200], PROB[:200], GROUP[:200])
    assert score.how == HOLD_OUT and score.threshold == threshold
    assert score.figures["f1"] == f1(LABEL[200:], PROB[200:] >= threshold)
    assert np.array_equal(score.decision, PROB[200:] >= threshold)


def test_without_a_test_set_there_is_no_leaderboard():
    score = score_predictions(LABEL, PROB, FOLD, GROUP, np.array([]), np.empty((3, 0)), "0.5")
    assert score.leaderboard is None and score.test_rate is None


def test_a_smaller_public_part_widens_the_range():
    whole = score_predictions(LABEL, PROB, FOLD, GROUP, TEST, PARTS, "0.5").leaderboard
    public = score_predictions(LABEL, PROB, FOLD, GROUP, TEST, PARTS, "0.5", public_fraction=0.2).leaderboard
    assert public[1] - public[0] > 1.3 * (whole[1] - whole[0])


def test_models_that_disagree_raise_the_upper_end_of_the_leaderboard_and_nothing_else():
    plain = score_predictions(LABEL, PROB, FOLD, GROUP, TEST, PARTS, "argmax")
    noisy = np.clip(PARTS + RNG.normal(scale=0.15, size=PARTS.shape), 0.01, 0.99)
    found = score_predictions(LABEL, PROB, FOLD, GROUP, TEST, noisy, "argmax")
    assert found.leaderboard[1] > plain.leaderboard[1] and found.leaderboard[0] == plain.leaderboard[0]
    assert found.figures == plain.figures and found.interval == plain.interval and found.threshold == plain.threshold
