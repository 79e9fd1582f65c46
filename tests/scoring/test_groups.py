"""Whatever is drawn, taken or dealt out, the rows of a group go together."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from competition.scoring.groups import deal_groups, draw_groups, grouped_variance, take_groups

groups = st.lists(st.integers(0, 9), min_size=1, max_size=40).map(
    lambda codes: np.unique(codes, return_inverse=True)[1]
)


def together(group, values):
    """Whether all rows of a group have the same value."""
    return all(np.unique(values[group == code]).size == 1 for code in np.unique(group))


def shuffled(group, random):
    """The groups in any order."""
    order = list(range(int(group.max()) + 1))
    random.shuffle(order)
    return np.array(order)


@given(groups, st.integers(0, 99))
def test_a_bootstrap_draws_as_many_groups_as_there_are_or_as_many_as_are_wanted(group, seed):
    rng = np.random.default_rng(seed)
    for count in (None, 3):
        times = draw_groups(rng, group, count)
        first = np.unique(group, return_index=True)[1]
        assert together(group, times) and times[first].sum() == (count or first.size)


@given(groups, st.integers(0, 40), st.integers(0, 3), st.randoms(use_true_random=False))
def test_groups_are_taken_in_order_as_long_as_they_fit(group, most, least, random):
    order = shuffled(group, random)
    taken = take_groups(group, order, most, least)
    kept = [code for code in order if taken[group == code].any()]
    assert together(group, taken) and kept == order[: len(kept)].tolist()
    assert taken.sum() <= most or len(kept) <= least
    if len(kept) < order.size:
        assert taken.sum() + (group == order[len(kept)]).sum() > most


@given(groups, st.integers(1, 5), st.randoms(use_true_random=False))
def test_parts_hold_whole_groups_and_differ_by_one_group_at_most(group, parts, random):
    order = shuffled(group, random)
    part = deal_groups(group, order, parts)
    count = np.bincount(part[np.unique(group, return_index=True)[1]], minlength=parts)
    assert together(group, part) and count.max() - count.min() <= 1 and part.max() < parts
    assert (part[group == order[0]] == 0).all()


def test_rows_that_go_together_vary_more_than_rows_alone():
    influence = np.array([1.0, 1.0, -1.0, -1.0])
    assert grouped_variance(influence, np.arange(4)) == 4 and grouped_variance(influence, np.array([0, 0, 1, 1])) == 8
    assert grouped_variance(influence, np.array([0, 1, 0, 1])) == pytest.approx(0)
