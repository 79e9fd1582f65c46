"""F1 and the summary say what scikit-learn says; bad input is refused with the value that is bad."""

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from competition.scoring import metrics

pairs = st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=40)


@given(pairs)
def test_f1_equals_scikit_learn_with_zero_division_0(rows):
    label, decision = np.array(rows).T
    assert metrics.f1(label, decision) == pytest.approx(sklearn_metrics.f1_score(label, decision, zero_division=0))


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int8, np.int64])
def test_f1_takes_any_integer_or_boolean_dtype(dtype):
    assert metrics.f1(np.array([1, 1, 0, 1], dtype), np.array([1, 0, 1, 1], dtype)) == pytest.approx(2 / 3)


def test_f1_is_0_without_a_true_positive():
    assert metrics.f1([0, 0], [0, 0]) == 0
    assert metrics.f1([1, 0], [0, 1]) == 0


@given(pairs, st.randoms(use_true_random=False))
def test_summary_equals_scikit_learn(rows, random):
    label, decision = np.array(rows).T
    prob = np.array([random.choice([0.0, 0.25, 0.5, 0.9, 1.0]) for _ in rows])
    found = metrics.summary(label, prob, decision)
    assert found["f1"] == metrics.f1(label, decision)
    assert found["accuracy"] == pytest.approx(np.mean(label == decision))
    assert found["precision"] == pytest.approx(sklearn_metrics.precision_score(label, decision, zero_division=0))
    assert found["recall"] == pytest.approx(sklearn_metrics.recall_score(label, decision, zero_division=0))
    assert found["log_loss"] == pytest.approx(sklearn_metrics.log_loss(label, prob, labels=[0, 1]))
    assert found["predicted_positive_rate"] == pytest.approx(decision.mean())
    if 0 < label.sum() < label.size:
        assert found["auc"] == pytest.approx(sklearn_metrics.roc_auc_score(label, prob))
        assert found["pr_auc"] == pytest.approx(sklearn_metrics.average_precision_score(label, prob))
        assert all(type(value) is float for value in json.loads(json.dumps(found, allow_nan=False)).values())


def test_ranking_numbers_of_a_single_class_are_nan_and_the_others_are_not():
    found = metrics.summary([1, 1], [0.2, 0.9], [0, 1])
    assert math.isnan(found.pop("auc")) and math.isnan(found.pop("pr_auc"))
    assert all(map(math.isfinite, found.values()))


def test_log_loss_of_a_certain_mistake_is_large_but_finite():
    assert 30 < metrics.summary([0, 1], [1.0, 1.0], [1, 1])["log_loss"] * 2 < 40


@pytest.mark.parametrize(
    "label, decision, message",
    [
        ([0, 1, 2], [0, 1, 1], "row 2 holds 2"),
        ([0, -1], [0, 1], "row 1 holds -1"),
        ([0.0, 1.0], [0, 1], "float64"),
        ([0, 1], [0, 1, 1], "label 2, decision 3"),
        ([], [], r"\(0,\)"),
        ([[0, 1]], [[0, 1]], r"\(1, 2\)"),
    ],
)
def test_bad_labels_and_decisions_are_refused_with_the_value(label, decision, message):
    with pytest.raises(ValueError, match=message):
        metrics.f1(label, decision)


@pytest.mark.parametrize("prob, message", [([0.5, 1.5], "1.5"), ([0.5, np.nan], "nan"), ([[0.5], [0.5]], r"\(2, 1\)")])
def test_bad_probabilities_are_refused_with_the_value(prob, message):
    with pytest.raises(ValueError, match=message):
        metrics.summary([0, 1], prob, [0, 1])
