"""A domain AUC is .5 where nothing changed but the class balance, and tells where the features did."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import norm

from competition.scoring.shift.domain_auc import domain_auc


def rows(seed, count, features=20, rate=0.5, apart=3.0):
    """Labels, and features that lie ``apart`` along the first axis for the two classes."""
    rng = np.random.default_rng(seed)
    label = rng.random(count) < rate
    values = rng.normal(size=(count, features))
    values[:, 0] += apart * label
    return label, values


def test_rows_of_one_world_are_told_apart_no_better_than_by_chance():
    found = [domain_auc(rows(seed, 300)[1], rows(seed + 1000, 400)[1], seed=seed) for seed in range(40)]
    assert np.mean([domain.auc for domain in found]) == pytest.approx(0.5, abs=0.015)
    assert np.mean([domain.low <= 0.5 <= domain.high for domain in found]) >= 0.85
    assert np.mean([domain.auc > domain.null for domain in found]) <= 0.15
    assert all(0.5 < domain.null < 0.62 for domain in found)


@settings(max_examples=10, deadline=None)
@given(st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(random):
    label, validation = rows(1, 120)
    test, group = rows(2, 90)[1], np.arange(120) // 2
    order, test_order = random.sample(range(120), 120), random.sample(range(90), 90)
    expected = domain_auc(validation, test, 1.0 + label, group)
    assert domain_auc(validation[order], test[test_order], 1.0 + label[order], group[order]) == expected
    assert domain_auc(validation[order], test[test_order]) == domain_auc(validation, test)


def test_the_auc_of_one_moved_feature_is_that_of_two_normals():
    moved = rows(1, 2000, apart=0)[1]
    moved[:, 3] += 1.0
    found = domain_auc(rows(2, 2000, apart=0)[1], moved)
    expected = norm.cdf(1 / np.sqrt(2))
    assert found.auc == pytest.approx(expected, abs=0.02)
    assert found.low < expected < found.high and found.high - found.low < 0.04
    assert (found.n_validation, found.n_test) == (2000, 2000)


def test_weights_undo_label_shift_and_nothing_else():
    label, validation = rows(3, 1500)
    test_label, test = rows(4, 1500, rate=0.15)
    weight = np.where(label, 0.15 / label.mean(), 0.85 / (1 - label.mean()))
    assert domain_auc(validation, test).auc > 0.62
    assert domain_auc(validation, test, weight).auc == pytest.approx(0.5, abs=0.03)
    test[test_label, 5] += 3.0
    assert domain_auc(validation, test, weight).auc > 0.55


def test_a_row_of_weight_two_is_two_rows():
    _, validation = rows(5, 400)
    test = rows(6, 400, rate=0.2)[1]
    twice = np.concatenate([validation, validation[:100]])
    group = np.concatenate([np.arange(400), np.arange(100)])
    weighted = domain_auc(validation, test, np.where(np.arange(400) < 100, 2.0, 1.0))
    assert domain_auc(twice, test, None, group).auc == pytest.approx(weighted.auc, abs=0.03)


def test_a_change_of_spread_alone_is_found():
    test = rows(7, 600)[1]
    test[:, 4] *= 2.5
    assert domain_auc(rows(8, 600)[1], test).auc > 0.65


def test_a_shift_in_many_features_at_once_survives_their_reduction():
    rng = np.random.default_rng(9)
    mix = rng.normal(size=(30, 500))
    validation, test = rng.normal(size=(500, 30)), rng.normal(size=(500, 30))
    test[:, 7] += 1.5
    assert domain_auc(validation @ mix, test @ mix).auc > 0.75


def test_twins_kept_in_one_group_do_not_make_worlds_differ():
    def twins(seed):
        return np.repeat(rows(seed, 60, features=30, apart=0)[1], 6, axis=0)

    group = np.arange(360) // 6
    grouped, alone = [], []
    for seed in range(12):
        validation, test = twins(seed), rows(seed + 100, 360, features=30, apart=0)[1]
        grouped.append(domain_auc(validation, test, None, group, seed).auc)
        alone.append(domain_auc(validation, test, None, None, seed).auc)
    assert abs(np.mean(grouped) - 0.5) < 0.05
    assert np.mean(alone) > 0.65


def test_features_that_never_vary_tell_nothing():
    assert domain_auc(np.full((50, 3), 7.0), np.full((60, 3), 7.0)).auc == 0.5


def test_large_sets_are_sampled_by_whole_groups():
    validation = rows(10, 5000, features=3)[1]
    found = domain_auc(validation, rows(11, 3000, features=3)[1], None, np.arange(5000) // 500)
    assert found.n_test == 2000 and found.n_validation == 5000
    found = domain_auc(validation, rows(11, 3000, features=3)[1], None, np.arange(5000) // 7)
    assert 1990 <= found.n_validation <= 2000


@pytest.mark.parametrize(
    "change, message",
    [
        ({"validation": np.zeros(20)}, r"validation must be \(rows, features\); its shape is \(20,\)"),
        ({"test": np.zeros((20, 3))}, "validation has 2 features and test 3"),
        ({"test": np.full((20, 2), np.nan)}, "test must be finite; row 0 is not"),
        ({"weight": np.zeros(20)}, "20 numbers >= 0, not all 0"),
        ({"weight": np.ones(19)}, r"its shape is \(19,\)"),
        ({"group": np.arange(20) // 4}, "there are 5 for validation and 20 for test"),
        ({"test": np.zeros((9, 2))}, "there are 20 for validation and 9 for test"),
    ],
)
def test_bad_input_is_refused_with_the_value(change, message):
    rng = np.random.default_rng(0)
    given_ = {"validation": rng.normal(size=(20, 2)), "test": rng.normal(size=(20, 2))} | change
    with pytest.raises(ValueError, match=message):
        domain_auc(**given_)
