"""Thresholds from expectations are where Lipton's theorem says, and follow the class balance of their target rows."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from competition.scoring.arrays import sigmoid
from competition.scoring.best_threshold import best_threshold
from competition.scoring.metrics import f1
from competition.scoring.rows import OofRows
from competition.scoring.threshold.expected_value import best_expected, calibrated_threshold


def world(rng, rows, share=0.5, confidence=1.0, gap=2.0):
    """Labels, a share of them 1, and probabilities right for balanced classes (at confidence 1)."""
    label = (rng.random(rows) < share).astype(int)
    return label, sigmoid(confidence * gap * (rng.normal(size=rows) + gap * label - gap / 2))


@given(st.lists(st.floats(0.001, 1), min_size=1, max_size=12))
def test_the_best_expected_f1_is_the_best_over_all_cuts_and_its_half_is_where_to_cut(probs):
    prob = np.array(probs)
    values = {cut: 2 * prob[prob >= cut].sum() / (prob.sum() + np.count_nonzero(prob >= cut)) for cut in prob}
    cut, best = best_expected(prob)
    assert best == pytest.approx(max(values.values())) and cut == best / 2
    called = prob[prob >= cut - 1e-12]
    assert 2 * called.sum() / (prob.sum() + called.size) == pytest.approx(best)


@pytest.mark.parametrize("confidence", [1.0, 4.0])
def test_the_calibrated_threshold_is_near_the_best_cut_of_a_million_rows(confidence):
    rng = np.random.default_rng(0)
    label, prob = world(rng, 4000, 0.3, confidence)
    fresh_label, fresh = world(rng, 300_000, 0.3, confidence)
    best = best_threshold(fresh_label, fresh)[1]
    assert f1(fresh_label, fresh >= calibrated_threshold(OofRows(label, prob))) > best - 0.003


@pytest.mark.parametrize("share", [0.2, 0.8])
@pytest.mark.parametrize("confidence", [1.0, 4.0])
def test_em_follows_the_class_balance_of_the_target_rows_without_their_labels(share, confidence):
    rng = np.random.default_rng(1)
    label, prob = world(rng, 4000, 0.5, confidence)
    test_label, test = world(rng, 20_000, share, confidence)
    best = best_threshold(test_label, test)[1]
    lost = best - f1(test_label, test >= calibrated_threshold(OofRows(label, prob), 0, test))
    blind = best - f1(test_label, test >= calibrated_threshold(OofRows(label, prob)))
    assert lost < 0.004 and lost < blind / 3


def test_em_on_rows_of_the_same_balance_is_the_calibrated_threshold_or_near_it():
    rng = np.random.default_rng(2)
    rows = OofRows(*world(rng, 4000))
    _, test = world(rng, 20_000)
    assert calibrated_threshold(rows, 0, test) == pytest.approx(calibrated_threshold(rows), abs=0.06)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 999), st.floats(0.05, 0.95), st.sampled_from([20, 100, 300]))
def test_thresholds_are_probabilities_however_few_the_rows(seed, share, rows):
    rng = np.random.default_rng(seed)
    label, prob = world(rng, rows, share)
    label[:2] = 0, 1
    found = OofRows(label, prob)
    for threshold in (calibrated_threshold(found), calibrated_threshold(found, 0, prob[: rows // 2])):
        assert 0 < threshold <= 1


def test_without_a_positive_there_is_no_best_threshold():
    for threshold in (calibrated_threshold, lambda rows: calibrated_threshold(rows, 0, [0.5])):
        with pytest.raises(ValueError, match="no 1 among its 2 rows"):
            threshold(OofRows([0, 0], [0.1, 0.2]))
