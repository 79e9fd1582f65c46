"""Every metric is scikit-learn's, its cut is never beaten, and what rows add to it is what leaving them out costs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sklearn_metrics

from competition.core.errors import UserError
from competition.scoring.arrays import sigmoid
from competition.scoring.best_threshold import best_threshold, bootstrap_threshold
from competition.scoring.intervals import Bootstrap, cv_interval, leaderboard_range
from competition.scoring.judge import Judged, compare
from competition.scoring.leaderboard_metric import METRICS, Counts, LabelMetric, ProbabilityMetric, find_metric
from competition.scoring.rows import OofRows
from competition.scoring.threshold.expected_value import best_expected, calibrated_threshold
from competition.scoring.threshold.robust import believe

THEIRS = {
    "f1": lambda label, prob, called: sklearn_metrics.f1_score(label, called, zero_division=0),
    "fbeta:0.5": lambda label, prob, called: sklearn_metrics.fbeta_score(label, called, beta=0.5, zero_division=0),
    "fbeta:2": lambda label, prob, called: sklearn_metrics.fbeta_score(label, called, beta=2, zero_division=0),
    "accuracy": lambda label, prob, called: sklearn_metrics.accuracy_score(label, called),
    "balanced_accuracy": lambda label, prob, called: sklearn_metrics.balanced_accuracy_score(label, called),
    "mcc": lambda label, prob, called: sklearn_metrics.matthews_corrcoef(label, called),
    "auc": lambda label, prob, called: sklearn_metrics.roc_auc_score(label, prob),
    "log_loss": lambda label, prob, called: sklearn_metrics.log_loss(label, prob, labels=[0, 1]),
    "brier": lambda label, prob, called: sklearn_metrics.brier_score_loss(label, prob, pos_label=1),
}
OF_LABELS = [name for name in THEIRS if isinstance(find_metric(name), LabelMetric)]
ROWS = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from([0.001, 0.2, 0.5, 0.50001, 0.9, 0.999]), st.integers(0, 1)), min_size=1
)


def world(rows, seed=0, share=0.3, gap=1.5):
    random = np.random.default_rng(seed)
    label = random.random(rows) < share
    return label.astype(int), sigmoid(random.normal(size=rows) + gap * label - gap)


@pytest.mark.parametrize("name", THEIRS)
@given(rows=ROWS)
@settings(max_examples=60, deadline=None)
@pytest.mark.filterwarnings("ignore:y_pred contains classes not in y_true", "ignore:A single label was found")
def test_each_metric_is_scikit_learns(name, rows):
    label, prob, called = (np.array(column) for column in zip(*rows, strict=True))
    if name == "auc" and len(set(label)) < 2:
        return
    assert find_metric(name).value(label, prob, called) == pytest.approx(THEIRS[name](label, prob, called), abs=1e-9)


@pytest.mark.parametrize("name", OF_LABELS)
@given(rows=ROWS)
@settings(max_examples=60, deadline=None)
def test_no_cut_beats_the_best_threshold(name, rows):
    label, prob, _ = (np.array(column) for column in zip(*rows, strict=True))
    if not label.any():
        return
    metric = find_metric(name)
    threshold, value = best_threshold(label, prob, metric)
    assert value == pytest.approx(metric.value(label, prob, (prob >= threshold).astype(int)))
    cuts = [*prob, 2.0]
    assert value >= max(metric.value(label, prob, (prob >= cut).astype(int)) for cut in cuts) - 1e-12


@pytest.mark.parametrize("name", OF_LABELS)
def test_the_expected_cut_and_the_bootstraps_come_near_the_best_of_many_new_rows(name):
    metric = find_metric(name)
    label, prob = world(4000)
    fresh_label, fresh = world(200_000, seed=1)
    best = best_threshold(fresh_label, fresh, metric)[1]
    rows = OofRows(label, prob).scored_by(metric)
    for threshold in (calibrated_threshold(rows), bootstrap_threshold(rows)):
        assert metric.value(fresh_label, fresh, (fresh >= threshold).astype(int)) > best - 0.006


@pytest.mark.parametrize("name", OF_LABELS)
def test_a_row_is_worth_calling_where_the_expected_metric_stops_rising(name):
    metric, prob = find_metric(name), np.sort(np.random.default_rng(3).beta(0.6, 1.2, 500))[::-1]
    cut, value = best_expected(prob, metric)
    reached = [
        float(metric.of_counts(Counts(prob[:called].sum(), called, prob.sum(), prob.size)))
        for called in range(1, prob.size + 1)
    ]
    assert value == pytest.approx(max(reached))
    called = int(np.count_nonzero(prob >= cut))
    assert abs(called - 1 - int(np.argmax(reached))) <= 1


@pytest.mark.parametrize("name", THEIRS)
def test_the_error_of_a_difference_is_that_of_leaving_out_group_after_group(name):
    metric = find_metric(name)
    label, one = world(600)
    other = sigmoid(np.random.default_rng(5).normal(size=600) + 2 * label - 1)
    group = np.arange(600) // 3
    rows = OofRows(label, one, group=group).scored_by(metric)
    answers = [Judged(rows.with_prob(prob), (prob >= 0.45).astype(int), prob) for prob in (one, other)]
    difference, error = compare(*answers)
    without = []
    for left_out in range(200):
        kept = group != left_out
        pair = [metric.value(label[kept], prob[kept], (prob[kept] >= 0.45).astype(int)) for prob in (one, other)]
        without.append(pair[0] - pair[1])
    assert difference == pytest.approx(metric.sign * (answers[0].value - answers[1].value))
    assert error == pytest.approx(np.sqrt(199 * np.var(without)), rel=0.03)


@pytest.mark.parametrize("name", OF_LABELS)
def test_intervals_hold_the_metric_and_a_small_leaderboard_reaches_further(name):
    metric = find_metric(name)
    label, prob = world(800)
    decision = (prob >= 0.4).astype(int)
    bootstrap = Bootstrap(draws=500, metric=metric)
    low, high = cv_interval(label, decision, None, bootstrap)
    below, above = leaderboard_range(label, decision, None, 200, None, bootstrap)
    assert below < low < metric.value(label, prob, decision) < high < above


def test_where_calling_nothing_is_best_nothing_is_called():
    label, prob = np.array([1, 0, 0, 0, 0]), np.array([0.2, 0.9, 0.8, 0.7, 0.3])
    threshold, value = best_threshold(label, prob, find_metric("accuracy"))
    assert threshold > 0.9 and value == 0.8


def test_in_another_world_the_metric_decides_what_is_assumed_of_it():
    label, prob = world(2000, share=0.5, gap=3)
    random = np.random.default_rng(8)
    blind = sigmoid(random.normal(size=500) - 1.5)  # scores that tell nothing
    called = {}
    for name in ("f1", "accuracy", "fbeta:0.5"):
        belief = believe(OofRows(label, prob).scored_by(find_metric(name)), blind)
        called[name] = (blind >= belief.threshold).mean()
    assert called["f1"] > 0.9 and called["accuracy"] < called["f1"] and called["fbeta:0.5"] <= called["f1"]


@pytest.mark.parametrize("name", ["f2", "fbeta:", "fbeta:0", "fbeta:x", "fbeta:1e9", "fbeta:nan", "", "AUC"])
def test_what_is_no_metric_is_refused_in_a_sentence(name):
    with pytest.raises(UserError, match="metric="):
        find_metric(name)


def test_what_is_better_has_a_sign():
    assert {name for name, metric in METRICS.items() if metric.sign < 0} == {"log_loss", "brier"}
    for metric in METRICS.values():
        if isinstance(metric, ProbabilityMetric):
            label, good, bad = np.array([0, 1, 1, 0]), np.array([0.1, 0.9, 0.8, 0.2]), np.array([0.6, 0.5, 0.7, 0.8])
            assert metric.sign * metric.value(label, good, ()) > metric.sign * metric.value(label, bad, ())
