"""In another world the threshold follows what may still be believed, and says what to expect of it."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from competition.scoring.arrays import sigmoid
from competition.scoring.best_threshold import best_threshold
from competition.scoring.metrics import f1
from competition.scoring.rows import OofRows
from competition.scoring.threshold.robust import believe
from competition.scoring.threshold.rules import choose_threshold, cross_fit

GAP = 2.5  # of the classes' positions, in standard deviations


def logits(positions):
    return GAP * (positions - GAP / 2)


def home(seed=0, rows=1500):
    rng = np.random.default_rng(seed)
    label = np.arange(rows) % 2
    return OofRows(label, sigmoid(logits(GAP * label + rng.normal(size=rows))), np.arange(rows) // 2 % 5)


def abroad(share, at=(0.0, GAP), seed=1, rows=1500):
    """A test set whose classes lie at the two positions given."""
    rng = np.random.default_rng(seed)
    label = (np.arange(rows) < share * rows).astype(int)
    return label, sigmoid(logits(np.where(label, at[1], at[0]) + rng.normal(size=rows)))


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("where", [0.0, GAP / 2, GAP], ids=["photographs", "between", "fakes"])
def test_where_scores_tell_nothing_nearly_all_are_called_positive(share, where):
    label, prob = abroad(share, (where, where))
    reached = f1(label, prob >= believe(home(), prob).threshold)
    assert reached >= f1(label, np.ones_like(label)) - 0.03


@pytest.mark.parametrize("share", [0.5, 0.75])
def test_scores_that_moved_but_still_tell_the_classes_apart_are_followed(share):
    label, prob = abroad(share, (-GAP / 2, GAP / 2))
    rows, best = home(), best_threshold(label, prob)[1]
    found, steady = believe(rows, prob).threshold, choose_threshold("calibrated", rows)
    assert best - f1(label, prob >= found) < (best - f1(label, prob >= steady)) / 2


def test_what_is_expected_is_near_what_comes_of_it_and_lies_in_its_range():
    label, prob = abroad(0.5, (0.0, GAP / 2))
    belief = believe(home(), prob)
    expected = belief.expected(belief.threshold)
    assert expected.low < expected.value < expected.high
    assert expected.low <= f1(label, prob >= belief.threshold) <= expected.high
    assert belief.expected(1.0).value < expected.value


def test_a_declared_share_narrows_the_belief_to_it():
    _, prob = abroad(0.2, (0.0, 0.0))
    loose, sure = believe(home(), prob), believe(home(), prob, share=0.2)
    everything = [belief.expected(0.0) for belief in (loose, sure)]
    assert everything[1].value == pytest.approx(2 * 0.2 / 1.2, abs=0.03)
    assert everything[1].value < everything[0].value
    assert everything[1].high - everything[1].low < everything[0].high - everything[0].low


@settings(max_examples=20, deadline=None)
@given(st.lists(st.sampled_from([0.0, 1e-9, 0.2, 0.5, 0.7, 1.0]), min_size=1, max_size=60))
def test_any_scores_have_a_threshold_and_stories_whose_f1_are_possible(prob):
    belief = believe(home(rows=200), prob)
    assert belief.weight.sum() == pytest.approx(1) and np.isfinite(belief.value).all()
    assert belief.value.min() >= 0 and belief.value.max() <= 1 + 1e-9 and 0 <= belief.threshold <= 1
    assert (np.array(prob) >= belief.threshold).any()


def test_rows_of_one_class_give_no_belief():
    with pytest.raises(ValueError, match="all 3 are 1"):
        believe(OofRows([1, 1, 1], [0.2, 0.4, 0.6]), [0.5])
    with pytest.raises(ValueError, match="no 1 among"):
        believe(OofRows([0, 0, 0], [0.2, 0.4, 0.6]), [0.5])


def test_among_the_training_rows_nothing_is_shifted_and_the_rule_is_auto():
    rows = home()
    assert choose_threshold("robust", rows) == choose_threshold("auto", rows)
    assert np.array_equal(cross_fit(rows, "robust")[1], cross_fit(rows, "auto")[1])
