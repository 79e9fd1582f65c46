"""Fitted weights are weights, of the blend that orders rows best, and equal or useless members get what is theirs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss

from competition.scoring.arrays import sigmoid
from competition.scoring.blend.average import mean_prob
from competition.scoring.blend.weights import MAX_FIT_ROWS, METHODS, caruana, draw_rows, recalibrated_loss, stacking
from competition.scoring.rows import OofRows


def members(seed, rows, gaps, confidence=1.0, rate=0.4):
    """Labels, and members whose logits are ``gaps`` apart by class, right in their confidence where that is 1."""
    rng = np.random.default_rng(seed)
    label = rng.random(rows) < rate
    gaps, confidence = np.reshape(gaps, (-1, 1)), np.reshape(confidence, (-1, 1))
    evidence = gaps * (gaps * (label - 0.5) + rng.normal(size=(len(gaps), rows)))
    return sigmoid(confidence * (evidence + np.log(rate / (1 - rate)))), label


@pytest.mark.parametrize("method", METHODS)
@settings(max_examples=8, deadline=None)
@given(st.integers(0, 99), st.integers(1, 5), st.integers(4, 40), st.booleans())
def test_weights_are_non_negative_and_sum_to_1(method, seed, count, rows, coarse):
    probs, label = members(seed, rows, np.linspace(0, 3, count))
    label[:2] = False, True
    weights = METHODS[method](np.round(probs) if coarse else probs, label, np.arange(rows) // 2, seed)
    assert weights.shape == (count,) and (weights >= 0).all() and weights.sum() == pytest.approx(1)


@pytest.mark.parametrize("method", METHODS)
def test_identical_members_get_equal_weights(method):
    probs, label = members(0, 300, [2])
    weights = METHODS[method](np.repeat(probs, 4, axis=0), label, np.arange(300), 0)
    assert weights == pytest.approx(np.full(4, 0.25), abs=0.01)


@pytest.mark.parametrize("method, most", [("stacking", 0.03), ("caruana", 0.1)])
def test_a_useless_member_is_pruned(method, most):
    probs, label = members(1, 3000, [2, 2, 2])
    probs[1] = np.random.default_rng(9).permutation(probs[1])
    weights = METHODS[method](probs, label, np.arange(3000), 0)
    assert weights[1] < most and weights[[0, 2]].min() > 0.35


def test_members_moved_about_take_their_weights_along():
    probs, label = members(2, 400, [2.5, 0.5, 1.5, 2])
    order = [2, 0, 3, 1]
    first = stacking(probs, label, np.arange(400))
    assert stacking(probs[order], label, np.arange(400)) == pytest.approx(first[order], abs=2e-3)


@pytest.mark.parametrize("confidence", [[1, 1, 1], [1, 4, 0.3]])
def test_stacking_is_beaten_by_no_other_weights_once_recalibrated(confidence):
    probs, label = members(3, 800, [2, 1.5, 1], confidence)
    every = np.ones(label.size, bool)

    def loss(weights):
        return recalibrated_loss(OofRows(label, mean_prob(probs, weights)), every, every).mean()

    best = loss(stacking(probs, label, np.arange(label.size)))
    assert all(best <= loss(weights) + 1e-5 for weights in np.random.default_rng(0).dirichlet([1, 1, 1], 30))


def test_a_member_does_not_lose_weight_for_being_too_sure():
    probs, label = members(4, 6000, [2, 2])
    sure, _ = members(4, 6000, [2, 2], [4, 4])
    group = np.arange(6000)
    assert stacking(sure, label, group) == pytest.approx(stacking(probs, label, group), abs=0.1)


def test_recalibrated_loss_is_that_of_a_logistic_regression_on_the_fitted_rows():
    (prob,), label = members(5, 500, [1.5], 3)
    fitted = np.arange(500) < 300
    logit = np.log(prob / (1 - prob))[:, None]
    platt = LogisticRegression(C=1e9, tol=1e-8).fit(logit[fitted], label[fitted])
    expected = log_loss(label[~fitted], platt.predict_proba(logit[~fitted])[:, 1])
    assert recalibrated_loss(OofRows(label, prob), fitted, ~fitted).mean() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_separated_classes_and_probabilities_of_0_and_1_are_no_trouble(method):
    label = np.arange(60) % 2 == 1
    weights = METHODS[method](np.stack([label * 1.0, 1.0 - label, np.full(60, 0.5)]), label, np.arange(60), 0)
    assert np.isfinite(weights).all() and weights[0] >= weights[1]


def test_caruana_depends_on_the_seed_and_on_nothing_else():
    probs, label = members(6, 200, [2, 2, 2])
    group = np.arange(200) // 2
    assert np.array_equal(caruana(probs, label, group, 1), caruana(probs, label, group, 1))
    assert len({tuple(caruana(probs, label, group, seed)) for seed in range(4)}) > 1


@given(st.lists(st.integers(0, 9), min_size=1, max_size=40), st.integers(0, 40), st.integers(0, 99))
def test_rows_are_drawn_as_whole_groups(group, most, seed):
    group = np.array(group)
    rows = draw_rows(group, most, np.random.default_rng(seed))
    drawn = np.unique(group[rows])
    assert np.array_equal(np.sort(rows), np.flatnonzero(np.isin(group, drawn))) and drawn.size
    assert rows.size <= most or drawn.size == 1


def test_more_rows_than_are_fitted_change_weights_but_little():
    probs, label = members(7, 2 * MAX_FIT_ROWS, [2, 1.5])
    half = slice(MAX_FIT_ROWS)
    whole = stacking(probs, label, np.arange(label.size))
    assert whole == pytest.approx(stacking(probs[:, half], label[half], np.arange(MAX_FIT_ROWS)), abs=0.06)
