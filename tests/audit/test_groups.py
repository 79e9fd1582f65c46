"""Merged groups hold all that belongs together, and are named alike whatever the order of rows and links."""

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from competition.audit.run import merged_groups
from competition.data.layouts.dataset import Dataset, table_of

N = 12


def dataset(groups, order=range(N)):
    train = table_of(
        id=[f"i{row}" for row in order],
        path=[""] * N,
        label=[row % 2 for row in order],
        group=[f"g{groups[row]}" for row in order],
    )
    return Dataset("kaggle", None, train, table_of(id=[], path=[]), None, None, ("id", "label"), ("0", "1"))


def with_links(pairs):
    return pd.DataFrame([(f"i{a}", f"i{b}", "near") for a, b in pairs], columns=["id", "other", "why"], dtype="str")


ROWS = st.integers(0, N - 1)
GROUPS = st.lists(ROWS, min_size=N, max_size=N)
LINKS = st.lists(st.tuples(ROWS, ROWS), max_size=8)


@given(GROUPS, LINKS, st.permutations(range(N)), st.permutations(range(8)))
def test_order_changes_nothing(groups, pairs, order, mixed):
    one = dataset(groups)
    merged = dict(zip(one.train["id"], merged_groups(one, with_links(pairs)), strict=True))
    other = dataset(groups, order)
    links = [pairs[at][::-1] for at in mixed if at < len(pairs)]
    assert dict(zip(other.train["id"], merged_groups(other, with_links(links)), strict=True)) == merged


@given(GROUPS, LINKS)
def test_what_is_linked_or_declared_is_together_and_nothing_else(groups, pairs):
    merged = merged_groups(dataset(groups), with_links(pairs)).tolist()
    for a, b in pairs:
        assert merged[a] == merged[b]
    for a in range(N):
        for b in range(a):
            assert groups[a] != groups[b] or merged[a] == merged[b]
    assert len(set(merged)) >= len(set(groups)) - len(pairs)
    assert set(merged) <= {f"g{group}" for group in groups}


def test_without_links_the_groups_stay_as_they_are():
    assert merged_groups(dataset(range(N)), with_links([])).tolist() == [f"g{row}" for row in range(N)]
