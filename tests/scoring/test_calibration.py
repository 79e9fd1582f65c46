"""Calibrated probabilities mean what they say, the order stays, and the choice is made on rows not fitted on."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import log_loss

from competition.scoring.arrays import sigmoid
from competition.scoring.calibration import CALIBRATORS, check_calibration, choose_calibrator, fit_calibrator
from competition.scoring.rows import OofRows

FITTED = [name for name in CALIBRATORS if name != "none"]


def world(rng, rows, confidence=1.0, gap=2.0):
    """Labels, and probabilities that are right at confidence 1 and too sure of themselves above it."""
    label = rng.integers(0, 2, rows)
    return label, sigmoid(confidence * gap * (rng.normal(size=rows) + gap * label - gap / 2))


@pytest.mark.parametrize("name", FITTED)
def test_overconfident_probabilities_become_right_on_fresh_rows(name):
    rng = np.random.default_rng(0)
    calibrator = fit_calibrator(name, *world(rng, 5000, confidence=4.0))
    label, prob = world(rng, 5000, confidence=4.0)
    assert not check_calibration(OofRows(label, prob)).holds
    assert check_calibration(OofRows(label, calibrator(prob))).error < 0.02
    assert log_loss(label, calibrator(prob)) < 0.75 * log_loss(label, prob)


@pytest.mark.parametrize("name", FITTED)
def test_of_many_rows_a_part_is_fitted_on_with_nearly_the_same_answer_and_of_a_rare_class_all(monkeypatch, name):
    label, prob = world(np.random.default_rng(0), 40_000, confidence=4.0)
    rare = label * (np.random.default_rng(1).random(len(label)) < 0.05)
    whole, whole_rare = fit_calibrator(name, label, prob)(prob), fit_calibrator(name, rare, prob)(prob)
    monkeypatch.setattr("competition.scoring.calibration.MOST_ROWS", 20_000)
    part = fit_calibrator(name, label, prob)(prob)
    assert not np.array_equal(part, whole) and abs(part - whole).mean() < 0.01
    assert np.array_equal(fit_calibrator(name, label, prob)(prob), part)
    assert np.array_equal(fit_calibrator(name, rare, prob)(prob), whole_rare)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(list(CALIBRATORS)), st.lists(st.tuples(st.integers(0, 1), st.floats(0, 1)), min_size=2, max_size=30)
)
def test_no_calibrator_reverses_two_rows_or_answers_0_or_1(name, rows):
    label, prob = (np.array(column) for column in zip(*rows, strict=True))
    found = fit_calibrator(name, label, prob)(np.linspace(0, 1, 101))
    assert (np.diff(found) >= -1e-12).all() and (found > 0).all() and (found < 1).all()


def test_a_score_that_ranks_backwards_is_calibrated_to_the_share_of_class_1():
    label, prob = world(np.random.default_rng(1), 1000)
    for name in ("platt", "beta"):
        assert fit_calibrator(name, label, 1 - prob)(prob) == pytest.approx(label.mean(), abs=0.01)


def test_classes_that_do_not_overlap_still_have_a_finite_fit():
    label = np.repeat([0, 1], 50)
    prob = np.where(label, 0.9, 0.1) + np.linspace(-0.05, 0.05, 100)
    for name in FITTED:
        found = fit_calibrator(name, label, prob)(prob)
        assert found[label == 0].max() < 0.1 and found[label == 1].min() > 0.9


def test_the_shape_of_what_is_calibrated_is_kept():
    label, prob = world(np.random.default_rng(2), 200)
    for name in CALIBRATORS:
        calibrator = fit_calibrator(name, label, prob)
        assert calibrator(prob.reshape(4, 50)).tolist() == calibrator(prob).reshape(4, 50).tolist()
        assert calibrator(0.5).shape == ()


def steps(prob):
    return np.where(prob < 0.3, 0.05, np.where(prob < 0.7, 0.5, 0.95))


@pytest.mark.parametrize(
    "confidence, truth, expected", [(1.0, None, "none"), (3.0, None, "platt"), (1.0, steps, "isotonic")]
)
def test_the_simplest_calibrator_that_does_is_chosen(confidence, truth, expected):
    rng = np.random.default_rng(3)
    label, prob = world(rng, 4000, confidence)
    if truth:
        prob = rng.random(4000)
        label = (rng.random(4000) < truth(prob)).astype(int)
    chosen = choose_calibrator(OofRows(label, prob))
    assert chosen.name == expected and list(chosen.losses) == list(CALIBRATORS)
    assert chosen.losses[expected] == pytest.approx(log_loss(label, chosen.prob), rel=1e-6)


def test_the_choice_depends_on_the_seed_and_not_on_the_row_order():
    rng = np.random.default_rng(4)
    label, prob = world(rng, 400, 1.5)
    group, order = np.arange(400) // 2, rng.permutation(400)
    first = choose_calibrator(OofRows(label, prob, group=group), seed=1)
    again = choose_calibrator(OofRows(label[order], prob[order], group=group[order]), seed=1)
    assert again.losses == pytest.approx(first.losses, rel=1e-6)
    assert choose_calibrator(OofRows(label, prob, group=group), seed=2).losses != first.losses


def test_a_rows_cross_fitted_probability_is_not_its_own_groups_doing():
    rng = np.random.default_rng(5)
    label = np.repeat(rng.integers(0, 2, 20), 30)
    prob = np.repeat(rng.random(20), 30)  # says nothing, but each group could be learnt by heart
    loss = choose_calibrator(OofRows(label, prob, group=np.arange(600) // 30)).losses["isotonic"]
    cheated = choose_calibrator(OofRows(label, prob)).losses["isotonic"]
    assert cheated < loss - 0.05


def test_calibration_that_holds_is_seldom_denied_and_one_that_does_not_is():
    rng = np.random.default_rng(6)
    right = [check_calibration(OofRows(*world(rng, 1000))) for _ in range(200)]
    wrong = [check_calibration(OofRows(*world(rng, 1000, confidence=2.5))) for _ in range(50)]
    assert np.mean([found.p_value < 0.05 for found in right]) < 0.11
    assert np.mean([found.holds for found in right]) > 0.97
    assert np.mean([found.holds for found in wrong]) < 0.1


def test_rows_of_a_group_that_go_together_prove_less():
    rng = np.random.default_rng(7)
    prob = np.repeat(rng.random(60), 20)
    label = np.repeat(rng.random(60) < prob[::20], 20).astype(int)
    assert check_calibration(OofRows(label, prob)).p_value < 1e-6
    assert check_calibration(OofRows(label, prob, group=np.arange(1200) // 20)).p_value > 0.01


def test_with_many_rows_a_trifle_is_significant_and_calibration_still_holds():
    rng = np.random.default_rng(8)
    prob = rng.random(200_000)
    label = (rng.random(200_000) < np.clip(prob + 0.01, 0, 1)).astype(int)
    found = check_calibration(OofRows(label, prob))
    assert found.p_value < 0.001 and found.holds and found.error == pytest.approx(0.01, abs=0.004)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (("plat", [0, 1], [0.1, 0.9]), "'plat'; did you mean 'platt'"),
        (("platt", [0, 2], [0.1, 0.9]), "row 1 holds 2"),
        (("platt", [0, 1], [0.1, 1.9]), "holds 1.9"),
        (("platt", [0, 1], [0.1]), "label 2, prob 1"),
        (("platt", [], []), r"\(0,\)"),
    ],
)
def test_bad_input_is_refused_with_the_value(arguments, message):
    with pytest.raises(ValueError, match=message):
        fit_calibrator(*arguments)
