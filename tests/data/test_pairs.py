"""Pairs are groups of one row of each class; batches never part them, whatever else there is."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from competition.core.errors import UserError
from competition.core.settings import Recipe
from competition.data.augment import train_transform
from competition.data.images.stores import ArrayStore
from competition.data.loader import EpochSampler, FeatureSet, TrainFeed, TrainSet
from competition.data.pairs import check_pairs, partners

tables = st.lists(st.tuples(st.integers(0, 9), st.integers(0, 1)), min_size=1, max_size=40).map(
    lambda rows: pd.DataFrame(rows, columns=["group", "label"]).astype({"group": "str"})
)


@given(tables)
def test_partners_are_the_two_rows_of_a_group_with_one_of_each_class(table):
    partner = partners(table)
    for group, rows in table.groupby("group"):
        at = rows.index.to_numpy()
        paired = len(at) == 2 and rows["label"].nunique() == 2
        assert partner[at].tolist() == (at[::-1] if paired else at).tolist(), group
    assert np.array_equal(partner[partner], np.arange(len(table)))


@given(tables, st.integers(1, 4), st.integers(0, 3))
def test_both_rows_of_a_pair_are_in_one_batch_and_batches_stay_as_large(table, half, epoch):
    partner, rows = partners(table), np.arange(len(table)) + 100
    plain, paired = EpochSampler(rows, 2 * half, 1), EpochSampler(rows, 2 * half, 1, partner)
    plain.epoch = paired.epoch = epoch
    batches = [[row for _, row in batch] for batch in paired]
    assert [len(batch) for batch in batches] == [len(batch) for batch in plain]
    seen = [row for batch in batches for row in batch]
    assert len(seen) == len(set(seen)) and set(seen) <= set(rows.tolist())
    for batch in batches:
        assert all(partner[row - 100] + 100 in batch for row in batch)
    assert batches == [[row for _, row in batch] for batch in paired]  # the same again: a restart changes nothing


def test_epochs_deal_pairs_and_single_rows_anew_and_leave_no_row_out_for_good():
    rows, partner = np.arange(11), np.array([1, 0, 3, 2, 5, 4, 6, 7, 8, 9, 10])
    sampler, dealt = EpochSampler(rows, 4, 1, partner), []
    for sampler.epoch in range(20):
        dealt.append([row for batch in sampler for _, row in batch])
    assert len(set(map(tuple, dealt))) == 20 and {row for rows in dealt for row in rows} == set(range(11))


TABLE = pd.DataFrame({"group": ["a", "a", "b", "b", "c"], "label": [0, 1, 1, 0, 1]})
PAIRED = Recipe(pairs="batch")


def test_where_most_rows_are_in_pairs_the_others_stay_single():
    check_pairs(PAIRED, TABLE)
    check_pairs(dataclasses.replace(PAIRED, pairs="mixup"), TABLE)
    check_pairs(Recipe(), TABLE.assign(group=list("abcde")))


@pytest.mark.parametrize(
    ("change", "table", "said"),
    [
        ({}, TABLE.assign(group=list("abcde")), "only 0 of the 5 training rows are in one"),
        ({}, TABLE.assign(group="a"), "only 0 of the 5 .* say with group= which rows are a pair"),
        ({}, TABLE.assign(label=1), "one of each class, and only 0"),
        ({"batch_size": 5}, TABLE, "even number of rows: make batch_size, now 5, even"),
        ({"pairs": "mixup", "mixup": 0.2}, TABLE, "set mixup=0 and cutmix=0, or pairs=batch"),
        ({"pairs": "mixup", "frozen": True}, TABLE, "pairs=mixup mixes pixels, .*: use pairs=batch"),
    ],
)
def test_pairs_are_refused_where_there_are_none_or_no_place_for_them(change, table, said):
    with pytest.raises(UserError, match=said):
        check_pairs(dataclasses.replace(PAIRED, **change), table)


def test_rows_of_a_pair_are_augmented_alike():
    picture = np.random.default_rng(0).normal(size=(1, 24, 24, 3)).astype(np.float32)
    store = ArrayStore(np.repeat(picture, 8, axis=0), "digest")
    transform = train_transform("flips", 16, "crop", floating=True)
    images = TrainSet(store, transform, 5, {row: row // 2 * 2 for row in range(8)})
    plain = TrainSet(store, transform, 5)
    keys = [(3, row) for row in range(8)]
    pixels, alone = images.__getitem__(keys).pixels, plain.__getitem__(keys).pixels
    assert (pixels[::2] == pixels[1::2]).all() and (pixels[::2] == alone[::2]).all()
    assert not (alone[1::2] == pixels[1::2]).all()


def test_each_epoch_draws_one_variant_of_each_row_whatever_feeds_it():
    rows = np.arange(40)
    stores = [ArrayStore(np.full((40, 1, 1, 2), k, np.float32), str(k)) for k in range(4)]
    feeds = [TrainFeed(FeatureSet(stores, 5), EpochSampler(rows, 8, 5), workers, pin=False) for workers in (0, 2)]
    drawn = []
    for epoch in range(6):
        here, there = ([(b.rows.tolist(), b.pixels[:, 0, 0, 0].tolist()) for b in feed.epoch(epoch)] for feed in feeds)
        assert here == there
        drawn.append([value for _, value in sorted(pair for batch in here for pair in zip(*batch, strict=True))])
    assert all(set(values) == {0, 1, 2, 3} for values in drawn) and len({tuple(values) for values in drawn}) == 6
