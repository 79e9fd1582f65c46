"""Folds leak nothing, depend on no order, and a kept file is used only where it is the data's."""

import csv
import os

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from competition.core.errors import UserError
from competition.data.folds import folds_in, keep_folds, make_folds, open_folds, read_folds

# Any text but line breaks and other control characters, which read_dataset refuses in ids, and half characters.
text = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=6)


def kept_folds(path, *words, **named):
    folds = open_folds(path, *words, **named)
    keep_folds(path, folds)
    return folds


def table(ids, labels, groups):
    return pd.DataFrame({"id": list(ids), "label": np.asarray(labels, np.int64), "group": list(groups)})


def pairs(n):
    """n rows: a real photo and its twin in each group, as in the competition."""
    return table((f"row {row}" for row in range(n)), np.arange(n) % 2, (str(row // 2) for row in range(n)))


@st.composite
def tables(draw, k=4):
    """At least k single rows of each class, so that k folds can be had, and groups of up to five rows."""
    singles = [(label, f"s{label}.{number}") for label in (0, 1) for number in range(draw(st.integers(k, 12)))]
    sizes = draw(st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=5), max_size=12))
    rows = singles + [(label, f"g{group}") for group, labels in enumerate(sizes) for label in labels]
    ids = draw(st.lists(text, min_size=len(rows), max_size=len(rows), unique=True))
    labels, groups = zip(*draw(st.permutations(rows)), strict=True)
    return table(ids, labels, groups)


@settings(max_examples=60, deadline=None)
@given(tables(), st.integers(2, 4), st.integers(0, 5))
def test_no_group_crosses_folds_and_every_fold_holds_both_classes(train, k, seed):
    folds = make_folds(train, k, seed)
    assert folds[["id", "label", "group"]].equals(train)
    assert folds.groupby("group")["fold"].nunique().max() == 1
    assert sorted(folds["fold"].unique()) == list(range(k))
    assert folds.groupby("fold")["label"].nunique().min() == 2


@settings(max_examples=60, deadline=None)
@given(tables(), st.integers(2, 4), st.integers(0, 5))
def test_each_fold_has_its_share_of_each_class_within_a_group(train, k, seed):
    counts = make_folds(train, k, seed).groupby(["label", "fold"]).size()
    largest = train.groupby("group").size().max()
    for label in (0, 1):
        assert np.abs(counts[label] - (train["label"] == label).sum() / k).max() <= largest


@settings(max_examples=60, deadline=None)
@given(tables(), st.randoms(use_true_random=False))
def test_the_order_of_rows_does_not_matter(train, random):
    order = list(range(len(train)))
    random.shuffle(order)
    shuffled = train.iloc[order].reset_index(drop=True)
    one, other = make_folds(train, 3, seed=0), make_folds(shuffled, 3, seed=0)
    assert dict(zip(one["id"], one["fold"], strict=True)) == dict(zip(other["id"], other["fold"], strict=True))


def test_another_seed_makes_other_folds():
    assert not make_folds(pairs(100), 5, seed=0).equals(make_folds(pairs(100), 5, seed=1))


def test_pairs_and_single_rows_are_split_evenly():
    assert set(make_folds(pairs(100), 5, seed=0).groupby(["fold", "label"]).size()) == {10}
    single = pairs(100).assign(group=lambda train: train["id"])
    assert set(make_folds(single, 5, seed=0).groupby(["fold", "label"]).size()) == {10}


@settings(max_examples=60, deadline=None)
@given(train=tables())
def test_a_kept_file_gives_back_every_id_and_group_exactly(tmp_path_factory, train):
    train = train.assign(group=train["group"].replace("g0", 'a, "b" '))
    path = tmp_path_factory.mktemp("folds") / "mine" / "folds.csv"
    made = kept_folds(path, train, 3, seed=0)
    written = path.read_bytes()
    assert kept_folds(path, train, 3, seed=7).to_numpy().tolist() == made.to_numpy().tolist()
    assert path.read_bytes() == written


def test_ids_that_look_like_numbers_or_missing_values_survive(tmp_path):
    ids = ["007", "7", "NA", "nan", "1e5", " x ", 'a,"b"', "é (1).jpg"]
    train = table(ids, [0, 1] * 4, ["NA", "007", "", "nan", "None", "7", "1.0", "x,y"])
    made = kept_folds(tmp_path / "folds.csv", train, 2, seed=0)
    again = kept_folds(tmp_path / "folds.csv", train, 2, seed=0)
    assert list(again["id"]) == ids and list(again["group"]) == list(train["group"])
    assert list(again["fold"]) == list(made["fold"]) and again["fold"].dtype == again["label"].dtype == np.int64


def test_kept_folds_come_in_the_order_of_the_data(tmp_path):
    made = kept_folds(tmp_path / "folds.csv", pairs(20), 2, seed=0)
    turned = kept_folds(tmp_path / "folds.csv", pairs(20)[::-1].reset_index(drop=True), 2, seed=0)
    assert list(turned["id"]) == list(made["id"])[::-1]
    assert list(turned["fold"]) == list(made["fold"])[::-1] and list(turned.index) == list(range(20))


@pytest.mark.parametrize(
    ("train", "k", "expected"),
    [
        (pairs(20), 1, "folds=1"),
        (table("abcdef", [0, 0, 0, 0, 1, 1], "abcdef"), 3, "Class 1 has 2 groups of rows, too few for folds=3"),
        (table("abcdef", [0, 0, 0, 1, 1, 1], "abcxxx"), 3, "Class 1 has 1 group of rows"),
        (table("abc", [0, 0, 0], "abc"), 2, "Class 1 has 0 groups"),
        (
            table(map(str, range(43)), [1] * 4 + [0] * 8 + [1] * 5 + [0] * 25 + [1], "x" * 4 + "y" * 13 + "z" * 26),
            2,
            "folds=2 leaves fold 1 one class only",
        ),
    ],
)
def test_folds_that_cannot_be_had_are_refused_and_nothing_is_written(tmp_path, train, k, expected):
    with pytest.raises(UserError, match=expected):
        kept_folds(tmp_path / "mine" / "folds.csv", train, k, seed=0)
    assert not list(tmp_path.iterdir())


def change(row, column, value):
    def spoil(rows):
        rows[row][column] = value

    return spoil


def everywhere(old, new):
    def spoil(rows):
        for row in rows[1:]:
            row[3] = new if row[3] == old else row[3]

    return spoil


SPOILT = {
    "lacks an id": (lambda rows: rows.pop(2), "lacks ids of the data .1, first 'row 1'"),
    "has an id too many": (lambda rows: rows.append(["x", "0", "x", "1"]), "ids not in the data .1, first 'x'"),
    "has an id twice": (lambda rows: rows.append(list(rows[1])), r"has id 'row 0' twice \(line 22\)"),
    "has another label": (change(2, 1, "0"), "the label of 'row 1' is '0' there and '1' in the data"),
    "has another group": (change(1, 2, "9"), "the group of 'row 0' is '9' there and '0' in the data"),
    "splits a group": (lambda rows: change(1, 3, "10"[int(rows[1][3])])(rows), "group '0' lies in more than one fold"),
    "has no number": (change(1, 3, "one"), "'one' is not the number of a fold"),
    "has a broken number": (everywhere("1", "1.0"), "'1.0' is not the number of a fold"),
    "skips a number": (everywhere("1", "2"), "its folds are 0, 2, not numbered from 0"),
    "has other columns": (change(0, 3, "part"), "has the columns id, label, group, part, not id, label, group, fold"),
}


@pytest.mark.parametrize("what", SPOILT)
def test_a_file_that_is_not_the_datas_is_refused_with_a_remedy(tmp_path, what):
    spoil, expected = SPOILT[what]
    path = tmp_path / "folds.csv"
    kept_folds(path, pairs(20), 2, seed=0)
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    spoil(rows)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    spoilt = path.read_bytes()
    with pytest.raises(UserError, match=expected) as caught:
        kept_folds(path, pairs(20), 2, seed=0)
    assert "name=" in str(caught.value) and "overwrite=true" in str(caught.value)
    assert path.read_bytes() == spoilt


def test_a_file_that_holds_no_folds_is_refused_whoever_reads_it(tmp_path):
    train, path = table(list("abcdefgh"), [0, 1] * 4, list("aabbccdd")), tmp_path / "folds.csv"
    kept = kept_folds(path, train, 2, 0)
    assert read_folds(path).astype({"label": "int64", "fold": "int64"}).reset_index(drop=True).equals(kept)
    text = path.read_text()
    for damaged, said in (
        (text.replace("id,label,group,fold", "id,label,group"), "columns|cells"),
        (text.replace(",fold\n", ",part\n"), "has the columns id, label, group, part, not"),
        (text + text.splitlines()[1] + "\n", "twice"),
    ):
        path.write_text(damaged)
        with pytest.raises(UserError, match=said):
            read_folds(path)


def test_another_number_of_folds_is_refused(tmp_path):
    kept_folds(tmp_path / "folds.csv", pairs(40), 4, seed=0)
    with pytest.raises(UserError, match=r"folds=5 but .*folds.csv has 4: give folds=4, or .*overwrite=true"):
        kept_folds(tmp_path / "folds.csv", pairs(40), 5, seed=0)


def test_hold_out_parts_have_their_shares_of_each_class_and_whole_groups():
    made = make_folds(pairs(400), 5, 0, (0.7, 0.2, 0.1))
    assert made["fold"].value_counts().to_dict() == {-1: 280, 0: 80, 1: 40}
    assert (made.groupby("group")["fold"].nunique() == 1).all()
    assert (made.groupby("fold")["label"].mean() == 0.5).all()
    shuffled = pairs(400).sample(frac=1, random_state=1)
    assert make_folds(shuffled, 5, 0, (0.7, 0.2, 0.1)).set_index("id")["fold"].to_dict() == (
        made.set_index("id")["fold"].to_dict()
    )
    assert (make_folds(pairs(400), 5, 1, (0.7, 0.2, 0.1))["fold"] != made["fold"]).any()


@pytest.mark.parametrize(
    ("kept", "asked", "said"),
    [
        (None, (0.8, 0.2), "holds folds, and split= wants others"),
        ((0.8, 0.2), None, "holds a hold-out split, and split= wants others"),
        ((0.8, 0.2), (0.7, 0.2, 0.1), "a hold-out split into 2 parts, not 3"),
    ],
)
def test_another_way_to_split_than_the_kept_one_is_refused(tmp_path, kept, asked, said):
    kept_folds(tmp_path / "folds.csv", pairs(40), 4, 0, kept)
    with pytest.raises(UserError, match=said):
        kept_folds(tmp_path / "folds.csv", pairs(40), 4, 0, asked)


def test_a_hold_out_that_cannot_be_had_is_refused(tmp_path):
    few = table("abcdefgh", [0, 0, 0, 0, 0, 0, 1, 1], "abcdefgh")
    with pytest.raises(UserError, match="Class 1 has 2 groups of rows, too few for 3 parts: change split="):
        kept_folds(tmp_path / "folds.csv", few, 5, 0, (0.6, 0.2, 0.2))
    assert not list(tmp_path.iterdir())


def test_what_is_no_file_holds_no_folds_and_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    assert folds_in(tmp_path / "pipe.csv") is None and folds_in(tmp_path / "none.csv") is None
