"""Probabilities that are submitted mean what they say on rows that no calibrator saw, and follow the class balance."""

import numpy as np
import pytest

from competition.scoring.arrays import sigmoid
from competition.scoring.leaderboard_metric import find_metric
from competition.scoring.probabilities import calibrate_unseen, loss_interval, loss_range, submit_probabilities
from competition.scoring.rows import OofRows, TestRows
from competition.scoring.scorecard import CROSS_FITTED, HOLD_OUT, UNCALIBRATED, score_predictions
from competition.scoring.shift.class_prior import Prior
from competition.scoring.shift.statistics import FEATURES, Statistic
from competition.scoring.shift.verdict import DOMAIN_SHIFT, LABEL_SHIFT, Shift

LOG_LOSS, AUC, BRIER = (find_metric(name) for name in ("log_loss", "auc", "brier"))
SURE = 4  # how much too sure the models are


def world(rows, seed=0, share=0.5, sure=SURE):
    random = np.random.default_rng(seed)
    label = (random.random(rows) < share).astype(int)
    return label, sigmoid(sure * (random.normal(size=rows) + 2 * label - 1))


def folded(metric, rows=2000, **options):
    label, prob = world(rows, **options)
    return OofRows(label, prob, np.arange(rows) % 5).scored_by(metric)


def seen(prob):
    return TestRows(prob, np.stack([prob, prob]))


def shifted(verdict=LABEL_SHIFT):
    evidence = [Statistic(f"{FEATURES} of swin", {"auc": 0.5}, "", False)] if verdict == LABEL_SHIFT else []
    found = Shift(verdict, "", Prior(0.2, 0.18, 0.22, 0.5), evidence)
    assert found.features_agree or found.elsewhere
    return found


@pytest.mark.parametrize("metric", [LOG_LOSS, BRIER])
def test_probabilities_of_models_that_are_too_sure_get_better_out_of_fold_and_on_the_test_set(metric):
    rows = folded(metric)
    label, prob = world(5000, seed=1)
    prob[7] = np.nan
    score = score_predictions(rows, seen(prob), "auto")
    raw = metric.value(rows.label, rows.prob, ())
    assert score.how == CROSS_FITTED and score.value < 0.95 * raw and score.value == score.figures[metric.name]
    known = ~np.isnan(prob)
    assert np.isnan(score.test_prob[7])
    reached = metric.value(label[known], score.test_prob[known], ())
    assert reached < 0.95 * metric.value(label[known], prob[known], ())
    assert score.leaderboard[0] < reached < score.leaderboard[1]
    assert score.interval[0] < score.value < score.interval[1]
    # The models' own probability at the threshold is the one that is calibrated to one half.
    assert ((prob[known] >= score.threshold) == (score.test_prob[known] >= 0.5)).all() and score.cut == 0.5


def test_no_row_has_a_part_in_the_calibrator_that_judges_it():
    rows = folded(LOG_LOSS, rows=300)
    prob, _ = calibrate_unseen(rows, 0)
    turned = rows.label.copy()
    turned[rows.fold == 2] ^= True
    others = OofRows(turned, rows.prob, rows.fold).scored_by(LOG_LOSS)
    again, _ = calibrate_unseen(others, 0)
    own = rows.fold == 2
    assert np.array_equal(prob[own], again[own]) and not np.array_equal(prob[~own], again[~own])


def test_ranks_are_submitted_as_they_are():
    rows, (_, prob) = folded(AUC), world(400, seed=1)
    score = score_predictions(rows, seen(prob), "prior:0.3")
    assert np.array_equal(score.test_prob, prob) and np.array_equal(score.prob, rows.prob)
    assert score.value == score.figures["auc"] and score.leaderboard[1] <= 1


@pytest.mark.parametrize(("rule", "shift"), [("prior:0.2", None), ("auto", shifted())])
def test_a_known_or_estimated_class_balance_moves_probabilities_to_it(rule, shift):
    rows, (label, prob) = folded(LOG_LOSS), world(5000, seed=1, share=0.2)
    moved = submit_probabilities(rows, seen(prob), rule, 0, shift)
    plain = submit_probabilities(rows, seen(prob), "auto", 0, None)
    assert "moved to" in moved.how and moved.prob.mean() == pytest.approx(0.2, abs=0.02)
    assert LOG_LOSS.value(label, moved.prob, ()) < LOG_LOSS.value(label, plain.prob, ()) - 0.02
    assert (np.diff(moved.prob[np.argsort(plain.prob)]) >= 0).all()
    reach = loss_range(LOG_LOSS, [rows.with_prob(calibrate_unseen(rows, 0)[0])], 5000, Prior(0.2, 0.18, 0.22, 0.5))
    assert reach[0] < LOG_LOSS.value(label, moved.prob, ()) < reach[1]


def test_no_probability_promises_more_than_the_rows_can_tell():
    label = np.arange(100) % 2
    rows = OofRows(label, np.where(label, 0.999, 0.001), np.arange(100) // 20).scored_by(LOG_LOSS)
    found = submit_probabilities(rows, seen(np.array([0.0, 1e-9, 0.5, 1.0])), "auto", 0, None)
    assert found.prob.min() >= 1 / 102 and found.prob.max() <= 1 - 1 / 102


def test_in_another_world_no_range_is_promised():
    score = score_predictions(folded(LOG_LOSS), seen(world(400, 1)[1]), "auto", shift=shifted(DOMAIN_SHIFT))
    assert score.leaderboard is None


def test_one_fold_leaves_no_rows_to_calibrate_on_and_a_hold_out_its_validation_part():
    label, prob = world(400)
    alone = score_predictions(OofRows(label, prob).scored_by(LOG_LOSS), seen(prob), "auto")
    assert alone.how == UNCALIBRATED and np.array_equal(alone.prob, prob)
    held = OofRows(label, prob, held_out=np.arange(400) >= 200).scored_by(LOG_LOSS)
    score = score_predictions(held, seen(prob), "auto")
    assert score.how == HOLD_OUT and score.prob.size == 200
    assert score.value < LOG_LOSS.value(label[200:], prob[200:], ())


@pytest.mark.parametrize("metric", [LOG_LOSS, AUC, BRIER])
def test_nineteen_of_twenty_leaderboards_lie_in_the_range(metric):
    inside, known = 0, 0
    truth = world(200_000, seed=99, sure=1)
    whole = metric.value(*truth, ())
    for seed in range(200):
        label, prob = world(400, seed=seed, sure=1)
        rows = OofRows(label, prob, np.arange(400) % 5).scored_by(metric)
        low, high = loss_range(metric, [rows], 250, None)
        fresh = world(250, seed=1000 + seed, sure=1)
        inside += low <= metric.value(*fresh, ()) <= high
        low, high = loss_interval(metric, rows)
        known += low <= whole <= high
    assert 180 <= inside <= 199 and 180 <= known <= 199
