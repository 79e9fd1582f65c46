"""The test set's class balance is found without a label, and its interval covers it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit

from competition.scoring.rows import OofRows
from competition.scoring.shift.bootstrap import draw_scores
from competition.scoring.shift.class_prior import em_prior, prior_of, shift_prior

priors = st.floats(0.02, 0.98)
probs = st.lists(st.floats(0, 1), min_size=1, max_size=40)


def estimate_prior(label, prob, fold, group, test_parts, seed=0):
    """The test rows' positive rate as the verdict sees it."""
    return prior_of(draw_scores(OofRows(label, prob, fold, group), test_parts, seed=seed))[0]


def scores(rng, rows, rate, apart=2.5):
    """Labels, ``rate`` of them 1, and normal scores of the two classes, ``apart`` standard deviations apart."""
    label = (rng.random(rows) < rate).astype(int)
    return label, rng.normal(size=rows) + apart * (label - 0.5)


def world(seed, rows=800, test_rows=800, rate=0.5, test_rate=0.5, noise=0.3, scale=2.5):
    """Out-of-fold rows by one noisy model each, and test rows by all five; ``scale`` 2.5 is calibrated if noiseless."""
    rng = np.random.default_rng(seed)
    label, score = scores(rng, rows, rate)
    test_label, test_score = scores(rng, test_rows, test_rate)
    prob = expit(scale * (score + noise * rng.normal(size=rows)) + logit(rate))
    parts = expit(scale * (test_score + noise * rng.normal(size=(5, test_rows))) + logit(rate))
    return {"label": label, "prob": prob, "fold": np.arange(rows) % 5, "group": None, "test_parts": parts}, test_label


@given(probs, priors, priors)
def test_shifting_a_prior_there_and_back_changes_nothing(prob, old, new):
    there = shift_prior(prob, old, new)
    np.testing.assert_allclose(shift_prior(there, new, old), prob, atol=1e-12)
    np.testing.assert_allclose(shift_prior(prob, old, old), prob, atol=1e-12)


@given(probs, st.floats(0.02, 0.5), st.floats(0.5, 0.98))
def test_a_higher_prior_raises_every_probability_and_keeps_their_order(prob, old, new):
    prob = np.sort(prob)
    shifted = shift_prior(prob, old, new)
    assert (shifted >= prob - 1e-12).all() and (np.diff(shifted) >= -1e-12).all()


def test_shifting_is_bayes_rule_on_counts():
    # Of 40 + 10 rows with one score, class 1 becomes three times as frequent and class 0 a third: 120 of 123.33.
    assert shift_prior([0.8], 0.25, 0.75)[0] == pytest.approx(120 / (120 + 10 / 3))


def test_one_score_that_says_nothing_shifts_to_the_new_prior():
    assert shift_prior([0.3], 0.3, 0.62)[0] == pytest.approx(0.62)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.1, 0.9), st.floats(0.05, 0.95))
def test_em_recovers_the_positive_rate_of_calibrated_probabilities(seed, train, rate):
    label, score = scores(np.random.default_rng(seed), 4000, rate)
    # The exact posterior of two unit normals 2.5 apart.
    found = em_prior(expit(2.5 * score + logit(train)), train)
    assert found == pytest.approx(label.mean(), abs=0.035)


@given(st.lists(st.floats(0.01, 0.99), min_size=3, max_size=30), st.floats(0.1, 0.9))
def test_em_prior_is_where_the_iteration_of_saerens_stands_still_or_leaves_the_interval(prob, train):
    found, half = em_prior(prob, train), 0.5 / len(prob)
    step = np.mean(shift_prior(prob, train, found)) - found
    assert abs(step) < 1e-6 or (found == half and step < 0) or (found == 1 - half and step > 0)


@given(st.lists(st.floats(0.01, 0.99), min_size=2, max_size=50, unique=True))
def test_probabilities_whose_mean_is_the_training_rate_show_no_shift_however_wrong_their_shape(prob):
    mean = float(np.mean(prob))
    rows = len(prob)
    if np.std(prob) > 1e-3:
        assert em_prior(prob, mean) == pytest.approx(np.clip(mean, 0.5 / rows, 1 - 0.5 / rows), abs=1e-6)


def test_the_prior_keeps_half_a_row_from_0_and_1():
    assert em_prior(np.zeros(50), 0.5) == 0.01
    assert em_prior(np.ones(50), 0.5) == 0.99


@given(st.permutations(range(20)))
def test_the_order_of_test_rows_does_not_matter(order):
    prob = np.linspace(0.02, 0.9, 20) ** 2
    assert em_prior(prob[order], 0.4) == pytest.approx(em_prior(prob, 0.4), abs=1e-9)


@pytest.mark.parametrize("scale", [0.6, 2.5, 15.0])
def test_the_interval_covers_the_test_rate_whether_the_probabilities_are_shy_right_or_overconfident(scale):
    covered = []
    for seed in range(14):
        rows, test_label = world(seed, test_rate=0.3, scale=scale)
        prior = estimate_prior(**rows)
        assert prior.low <= prior.value <= prior.high
        assert prior.train == pytest.approx(rows["label"].mean(), abs=1e-12)
        covered.append(prior.low <= test_label.mean() <= prior.high)
    assert np.mean(covered) >= 0.9


def test_platt_scaling_finds_the_balance_of_probabilities_far_from_calibrated():
    rows, test_label = world(5, 3000, 3000, test_rate=0.25)
    rows["prob"], rows["test_parts"] = rows["prob"] ** 4, rows["test_parts"] ** 4
    assert estimate_prior(**rows).value == pytest.approx(test_label.mean(), abs=0.03)


def test_single_models_are_compared_with_single_models_so_noise_that_averaging_removes_is_no_shift():
    estimates = [estimate_prior(**world(seed, rate=0.2, test_rate=0.2, noise=2.0)[0]) for seed in range(16)]
    assert np.mean([prior.value - prior.train for prior in estimates]) == pytest.approx(0, abs=0.012)


def test_folds_of_unequal_balance_and_biased_models_are_no_shift():
    rng = np.random.default_rng(0)
    label, score = scores(rng, 4000, 0.5)
    fold = np.where(rng.random(4000) < 0.8, 1 - label, label)
    bias = np.array([-1.5, 1.5])
    parts = expit(scores(rng, 4000, 0.5)[1] + bias[:, None])
    prior = estimate_prior(label, expit(score + bias[fold]), fold, None, parts)
    assert prior.value == pytest.approx(0.5, abs=0.03)


def test_more_rows_narrow_the_interval_and_rows_repeated_in_a_group_do_not():
    def width(rows):
        prior = estimate_prior(**rows)
        return prior.high - prior.low

    few, many = world(1, 400, 400)[0], world(1, 6400, 6400)[0]
    assert width(few) / width(many) == pytest.approx(4, rel=0.25)
    thrice = {key: np.repeat(few[key], 3) for key in ("label", "prob", "fold")}
    repeated = {**thrice, "group": np.repeat(np.arange(400), 3), "test_parts": np.repeat(few["test_parts"], 3, axis=1)}
    assert width(repeated) == pytest.approx(width(few), rel=0.15)


def test_groups_of_one_label_widen_the_interval_as_test_rows_may_come_in_such_groups_too():
    covered, single = [], []
    for seed in range(10):
        rng = np.random.default_rng(seed)
        (label, centre), (_, test_centre) = (scores(rng, 80, 0.5, apart=4.0) for _ in range(2))
        prob, part = (
            expit(4 * (np.repeat(middle, 10) + 0.3 * rng.normal(size=800))) for middle in (centre, test_centre)
        )
        rows = {"label": np.repeat(label, 10), "prob": prob, "fold": np.zeros(800), "test_parts": part[None]}
        for group, held in ((np.arange(800) // 10, covered), (None, single)):
            prior = estimate_prior(**rows, group=group)
            held.append(prior.low <= 0.5 <= prior.high)
    assert np.mean(covered) >= 0.9 > 0.75 >= np.mean(single)


def test_classes_that_do_not_overlap_still_have_a_finite_estimate():
    label = np.arange(100) % 2
    prior = estimate_prior(label, label.astype(float), np.arange(100) // 50, None, np.tile([0.0, 0, 0, 1], (2, 25)))
    assert prior.value == pytest.approx(0.25, abs=0.01)
    assert 0 < prior.low < 0.25 < prior.high < 1


def test_scores_that_say_nothing_leave_the_training_rate():
    assert em_prior(np.full(30, 0.3), 0.3) == pytest.approx(0.3)
    label = np.arange(300) % 3 == 0
    prior = estimate_prior(label, np.full(300, 0.9), np.arange(300) // 150, None, np.full((2, 50), 0.9))
    assert prior.value == pytest.approx(1 / 3, abs=1e-4)


def test_the_same_seed_gives_the_same_estimate():
    rows = world(3)[0]
    assert estimate_prior(**rows, seed=1) == estimate_prior(**rows, seed=1) != estimate_prior(**rows, seed=2)


@pytest.mark.parametrize(
    "change, message",
    [
        ({"label": np.ones(10, int)}, "both classes; all 10 rows are 1"),
        ({"test_parts": np.full((3, 4), 0.5)}, r"\(2, rows\), a row for each fold; its shape is \(3, 4\)"),
        ({"test_parts": np.full((2, 0), 0.5)}, r"its shape is \(2, 0\)"),
        ({"test_parts": np.full((2, 4), 1.5)}, r"test_parts must lie in \[0, 1\]; it holds 1.5"),
        ({"prob": np.full(9, 0.5)}, "label 10, prob 9"),
    ],
)
def test_bad_rows_are_refused_with_the_value(change, message):
    rows = {
        "label": np.arange(10) % 2,
        "prob": np.linspace(0, 1, 10),
        "fold": np.arange(10) // 5,
        "group": None,
        "test_parts": np.full((2, 4), 0.5),
    }
    with pytest.raises(ValueError, match=message):
        estimate_prior(**{**rows, **change})


@pytest.mark.parametrize("call", [lambda p: em_prior([0.5], p), lambda p: shift_prior([0.5], p, 0.5)])
@pytest.mark.parametrize("prior", [0.0, 1.0, float("nan")])
def test_a_prior_of_0_or_1_is_refused(call, prior):
    with pytest.raises(ValueError, match="strictly between 0 and 1"):
        call(prior)


def test_no_test_row_is_refused():
    with pytest.raises(ValueError, match="at least one row"):
        em_prior([], 0.5)
