import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import log_loss, roc_auc_score

from competition.scoring.arrays import sigmoid
from competition.scoring.leaderboard_metric import auc_losses, log_losses
from competition.scoring.objective import ConditionRows, Gain, paired_gain, row_losses


@st.composite
def scored(draw):
    rows = draw(st.integers(4, 40))
    label = np.array(draw(st.lists(st.booleans(), min_size=rows, max_size=rows)))
    label[:2] = True, False
    prob = np.array(draw(st.lists(st.integers(1, 9), min_size=rows, max_size=rows))) / 10  # with ties
    return label, prob


@given(scored())
def test_mean_losses_are_those_of_scikit_learn(rows):
    label, prob = rows
    assert log_losses(label, prob).mean() == pytest.approx(log_loss(label, prob))
    assert auc_losses(label, prob).mean() == pytest.approx(1 - roc_auc_score(label, prob))


def test_the_spread_of_auc_losses_is_that_of_the_auc_over_samples():
    values, errors = [], []
    for seed in range(300):
        random = np.random.default_rng(seed)
        label = random.random(200) < 0.4
        losses = auc_losses(label, sigmoid(label + random.normal(size=200)))
        values.append(losses.mean())
        errors.append(losses.std(ddof=1) / np.sqrt(200))
    assert np.mean(errors) == pytest.approx(np.std(values), rel=0.1)


def test_one_class_alone_is_chance():
    assert auc_losses(np.array([True, True]), np.array([0.2, 0.9])).tolist() == [0.5, 0.5]


def test_each_fold_is_ranked_for_itself_and_conditions_are_averaged():
    label, fold = [0, 1, 0, 1], ["a", "a", "b", "b"]
    prob = [[0.1, 0.2, 0.8, 0.9], [0.2, 0.1, 0.8, 0.9]]  # folds on scales of their own; the second turns one over
    rows = ConditionRows(label, prob, fold, None)
    assert row_losses("auc", rows).mean() == pytest.approx((0 + 0.5) / 2)


def test_rows_that_are_not_rows_are_refused():
    with pytest.raises(ValueError, match="lengths differ"):
        ConditionRows([0, 1], [[0.1, 0.2, 0.3]], [0, 0], None)
    with pytest.raises(ValueError, match=r"lie in \[0, 1\]"):
        ConditionRows([0, 1], [[0.1, 1.2]], [0, 0], None)


def test_a_gain_has_the_error_of_its_groups_where_folds_agree():
    random = np.random.default_rng(0)
    group, fold = np.repeat(np.arange(200), 2), np.arange(400) % 2
    saved = np.repeat(random.normal(0.1, 1, 200), 2)  # both rows of a group alike: half as many as there seem to be
    rows = ConditionRows(np.arange(400) % 2, np.full((1, 400), 0.5), fold, group)
    gain = paired_gain(saved, np.zeros(400), rows)
    assert gain.value == pytest.approx(saved.mean())
    assert gain.error == pytest.approx(saved[::2].std(ddof=1) / np.sqrt(200), rel=0.01)


def test_a_gain_that_differs_from_fold_to_fold_is_known_by_its_folds():
    fold = np.repeat([0, 1, 2], 50)
    rows = ConditionRows(np.arange(150) % 2, np.full((1, 150), 0.5), fold, None)
    gain = paired_gain(np.repeat([0.1, 0.3, -0.1], 50), np.zeros(150), rows)
    assert gain.value == pytest.approx(0.1)
    assert gain.error == pytest.approx(0.2 / np.sqrt(3) * 1.3211, rel=1e-3)
    assert not gain.is_clear and Gain(0.2, 0.1).is_clear
    assert str(Gain(0.012345, 0.004)) == "+0.0123 ± 0.0040"


@pytest.mark.parametrize("folds", [2, 3, 5])
def test_by_chance_a_gain_passes_one_error_as_rarely_as_it_should(folds):
    random = np.random.default_rng(1)
    passed = 0
    for _ in range(2000):
        fold = np.repeat(np.arange(folds), 4)
        saved = random.normal(0, 1, folds)[fold]  # what models' luck alone makes
        rows = ConditionRows(np.arange(fold.size) % 2, np.full((1, fold.size), 0.5), fold, fold)
        passed += paired_gain(saved, np.zeros(fold.size), rows).is_clear
    assert passed / 2000 < 0.18  # one side of a normal distribution: .159
