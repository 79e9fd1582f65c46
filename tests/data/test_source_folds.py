"""Folds by source hold out whole sources of both classes, whatever ties them together, or say why they cannot."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from competition.core.errors import UserError
from competition.data.folds import folds_in, keep_folds, make_folds, open_folds
from competition.data.source_folds import deal_sources, source_notes


def kept_folds(path, *words, **named):
    folds = open_folds(path, *words, **named)
    keep_folds(path, folds)
    return folds


def table(labels, sources, groups=None):
    ids = [f"row {row}" for row in range(len(labels))]
    columns = {"id": ids, "label": np.asarray(labels, np.int64), "group": ids if groups is None else list(groups)}
    return pd.DataFrame({**columns, "source": list(sources)})


def twins(sources=4, scenes=40):
    """Photographs and their AI twins: the k-th camera's scenes are all made again by the k-th generator."""
    rows = [
        (label, f"{('camera', 'generator')[label]}-{scene % sources}", scene)
        for scene in range(scenes)
        for label in (0, 1)
    ]
    return table(*zip(*[(label, source, str(scene)) for label, source, scene in rows], strict=True))


def one_camera(generators=3, each=20):
    """Every generator's images beside photographs of one source."""
    return table(
        [1] * generators * each + [0] * 50, [f"g{row // each}" for row in range(generators * each)] + ["camera"] * 50
    )


@st.composite
def tables(draw, k=3):
    """Single rows of at least k sources of each class, in groups that stay inside a source or do not."""
    counts = [draw(st.lists(st.integers(1, 9), min_size=k, max_size=7)) for _ in (0, 1)]
    rows = [
        (label, f"{label}.{number}") for label in (0, 1) for number, n in enumerate(counts[label]) for _ in range(n)
    ]
    return table(*zip(*draw(st.permutations(rows)), strict=True))


@settings(max_examples=60, deadline=None)
@given(tables(), st.integers(2, 3), st.integers(0, 5))
def test_no_source_crosses_folds_and_each_fold_holds_out_sources_of_both_classes(train, k, seed):
    folds = make_folds(train, k, seed)
    assert folds.groupby("source")["fold"].nunique().max() == 1
    assert (folds.groupby(["fold", "label"])["source"].nunique().unstack() >= 1).all(axis=None)
    assert sorted(folds["fold"].unique()) == list(range(k))


@settings(max_examples=60, deadline=None)
@given(tables(), st.integers(2, 3), st.integers(0, 5))
def test_rows_of_a_class_are_balanced_to_within_its_largest_source(train, k, seed):
    counts = make_folds(train, k, seed).groupby(["label", "fold"]).size()
    for label in (0, 1):
        largest = train[train["label"] == label].groupby("source").size().max()
        assert counts[label].max() - counts[label].min() <= largest


@settings(max_examples=30, deadline=None)
@given(tables(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter_and_the_seed_decides(train, random):
    order = list(range(len(train)))
    random.shuffle(order)
    one, other = make_folds(train, 3, seed=0), make_folds(train.iloc[order].reset_index(drop=True), 3, seed=0)
    assert dict(zip(one["id"], one["fold"], strict=True)) == dict(zip(other["id"], other["fold"], strict=True))


def test_another_seed_holds_out_other_sources_together():
    train = twins(8, 80)
    assert any((deal_sources(train, 4, 0) != deal_sources(train, 4, seed)).any() for seed in range(1, 4))


def test_twins_tie_their_camera_to_their_generator_and_both_are_held_out_together():
    folds = make_folds(twins(), 4, seed=0)
    assert folds.groupby("group")["fold"].nunique().max() == 1
    number = folds["source"].str.rpartition("-")[2]
    assert folds.groupby(number)["fold"].nunique().max() == 1 and set(folds.groupby("fold").size()) == {20}


def test_a_class_of_one_source_is_split_at_random_and_the_run_says_so():
    folds = make_folds(one_camera(), 3, seed=0)
    assert folds[folds["label"] == 1].groupby("source")["fold"].nunique().max() == 1
    assert set(folds[folds["label"] == 0].groupby("fold").size()) == {16, 17}
    (note,) = source_notes(one_camera(), ("human", "AI"))
    assert note.startswith("all 'human' images are of one source") and not source_notes(twins(), ("0", "1"))


@pytest.mark.parametrize(
    ("train", "k", "said"),
    [
        (twins(), 5, "class 0 is of 4 sources, too few for folds=5: give folds=4"),
        (one_camera(2), 3, "class 1 is of 2 sources, too few for folds=3: give folds=2"),
        (table([0, 1] * 6, ["a", "b"] * 6), 2, "all images of each class are of one source"),
        (
            table([0, 1] * 6, ["a", "x", "a", "y", "b", "y"] * 2, [str(row // 2) for row in range(12)]),
            2,
            r"class 0 is of 2 sources, 1 when those that share a group count as one \('0' holds images of a, x\)",
        ),
    ],
)
def test_sources_that_cannot_be_held_out_are_refused_and_nothing_is_written(tmp_path, train, k, said):
    with pytest.raises(UserError, match=said):
        kept_folds(tmp_path / "mine" / "folds.csv", train, k, seed=0)
    assert not list(tmp_path.iterdir())


def test_a_kept_file_gives_back_its_folds_and_goes_with_no_other_way_to_split(tmp_path):
    path, other, train = tmp_path / "folds.csv", tmp_path / "random.csv", twins()
    made = kept_folds(path, train, 4, seed=0)
    assert kept_folds(path, train, 4, seed=9).to_numpy().tolist() == made.to_numpy().tolist()
    assert list(folds_in(path).values()) == made["fold"].astype(str).tolist()
    with pytest.raises(UserError, match="holds folds by source, and split= wants others"):
        kept_folds(path, train.drop(columns="source"), 4, seed=0)
    kept_folds(other, train.drop(columns="source"), 4, seed=0)
    with pytest.raises(UserError, match="holds folds that are not by source, and split= wants others"):
        kept_folds(other, train, 4, seed=0)
    with pytest.raises(UserError, match="the source of 'row 0' is 'camera-0' there and 'x' in the data"):
        kept_folds(path, train.assign(source=train["source"].replace("camera-0", "x")), 4, seed=0)
