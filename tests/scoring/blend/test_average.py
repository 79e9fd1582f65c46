"""Means are the means the design defines, within their members, and refuse what would hide a mistake."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from competition.scoring.arrays import sigmoid
from competition.scoring.blend.average import mean_logit, mean_prob

shapes = hnp.array_shapes(min_dims=2, max_dims=2, max_side=6)
prob_tables = hnp.arrays(np.float64, shapes, elements=st.floats(0, 1))


def test_views_are_averaged_as_logits():
    assert mean_logit([[0.0, 2.0], [4.0, -2.0]]).tolist() == [2, 0]


def test_members_are_averaged_as_probabilities():
    assert mean_prob([[0.0, 0.2], [1.0, 0.4]]) == pytest.approx([0.5, 0.3])
    assert mean_prob([[0.0, 0.2], [1.0, 0.4]], [3, 1]) == pytest.approx([0.25, 0.25])


def test_a_mean_of_logits_is_not_a_mean_of_probabilities():
    logits = np.array([[0.0], [9.0]])
    assert sigmoid(mean_logit(logits)) > mean_prob(sigmoid(logits)) + 0.2


@given(prob_tables, st.data())
def test_a_blend_lies_between_its_members(probs, data):
    weights = data.draw(hnp.arrays(np.float64, len(probs), elements=st.floats(0.01, 10)))
    blend = mean_prob(probs, weights)
    assert (blend >= probs.min(axis=0) - 1e-12).all() and (blend <= probs.max(axis=0) + 1e-12).all()
    assert (blend >= 0).all() and (blend <= 1).all()


@given(prob_tables, st.floats(0.01, 100))
def test_only_the_ratios_of_weights_matter(probs, scale):
    weights = np.arange(1.0, len(probs) + 1)
    assert mean_prob(probs, weights * scale) == pytest.approx(mean_prob(probs, weights))


@given(prob_tables)
def test_no_weights_are_equal_weights(probs):
    assert np.array_equal(mean_prob(probs), mean_prob(probs, np.ones(len(probs))))
    assert mean_prob(probs) == pytest.approx(probs.mean(axis=0))


@given(prob_tables)
def test_a_member_of_weight_0_has_no_say(probs):
    stranger = np.ones((1, probs.shape[1]))
    assert np.array_equal(mean_prob(np.vstack([probs, stranger]), [1] * len(probs) + [0]), mean_prob(probs))


@given(hnp.arrays(np.float32, shapes, elements=st.floats(-50, 50, width=32)))
def test_float32_logits_are_averaged_in_float64(logits):
    assert mean_logit(logits).dtype == np.float64
    assert mean_logit(logits) == pytest.approx(logits.astype(np.float64).mean(axis=0))


@pytest.mark.parametrize("weights", [[1, -1], [0, 0], [np.nan, 1], [np.inf, 1], [1], [[1, 1]]])
def test_bad_weights_are_refused(weights):
    with pytest.raises(ValueError, match="weights must be"):
        mean_prob([[0.1], [0.2]], weights)


@pytest.mark.parametrize("probs, message", [([[0.1], [1.2]], "1.2"), ([[np.nan]], "nan"), ([0.1, 0.2], r"\(2,\)")])
def test_bad_probabilities_are_refused_with_the_value(probs, message):
    with pytest.raises(ValueError, match=message):
        mean_prob(probs)


@pytest.mark.parametrize(
    "logits, message",
    [([[0.0, 1.0], [0.0, np.inf]], "view 1, row 1 holds inf"), ([[np.nan]], "nan"), (np.empty((0, 3)), r"\(0, 3\)")],
)
def test_bad_logits_are_refused_with_the_value(logits, message):
    with pytest.raises(ValueError, match=message):
        mean_logit(logits)
