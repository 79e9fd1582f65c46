"""Folds of very many groups are as good as the usual ones, and take seconds."""

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import StratifiedGroupKFold

from competition.data import folds
from competition.data.folds import make_folds
from competition.data.many_folds import deal_groups


def table(groups, largest, seed=0):
    """Return rows in groups of random sizes and class shares, in random order."""
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, largest + 1, groups)
    group = np.repeat(np.arange(groups), sizes)
    share = np.repeat(rng.choice([0.0, 0.3, 1.0], groups), sizes)
    rows = pd.DataFrame({"group": group.astype(str), "label": (rng.random(len(group)) < share).astype(int)})
    return rows.sample(frac=1, random_state=seed).reset_index(drop=True).assign(id=lambda rows: rows.index.astype(str))


def unevenness(train, fold, k):
    """Return by how much, of a class's rows, the worst fold differs from an equal share."""
    counts = np.array([np.bincount(train["label"][fold == one], minlength=2) for one in range(k)])
    return np.abs(counts / counts.sum(axis=0) - 1 / k).max()


@pytest.mark.parametrize(("groups", "largest", "k"), [(500, 1, 5), (2_000, 2, 5), (400, 30, 3), (60, 40, 2)])
def test_no_group_is_cut_and_each_class_has_its_share_as_with_the_usual_splitter(groups, largest, k):
    train = table(groups, largest)
    fold = deal_groups(train, k, seed=1)
    assert train.assign(fold=fold).groupby("group")["fold"].nunique().eq(1).all() and set(fold) == set(range(k))
    usual = np.empty(len(train), int)
    splitter = StratifiedGroupKFold(k, shuffle=True, random_state=1)
    for number, (_, held) in enumerate(splitter.split(train, train["label"], train["group"])):
        usual[held] = number
    assert unevenness(train, fold, k) <= unevenness(train, usual, k) + largest / len(train)


def test_a_rows_fold_depends_on_the_rows_and_the_seed_and_not_on_their_order():
    train = table(300, 4)
    fold = pd.Series(deal_groups(train, 5, seed=1), index=train["id"])
    shuffled = train.sample(frac=1, random_state=3)
    again = pd.Series(deal_groups(shuffled, 5, seed=1), index=shuffled["id"])
    assert again[fold.index].equals(fold)
    assert (pd.Series(deal_groups(train, 5, seed=2), index=train["id"]) != fold).mean() > 0.5


def test_beyond_many_groups_they_are_dealt(monkeypatch):
    train = table(300, 4)
    monkeypatch.setattr(folds, "MANY", 299)
    assert (make_folds(train, 5, 1)["fold"].to_numpy() == deal_groups(train, 5, 1)).all()
    monkeypatch.setattr(folds, "MANY", 300)
    assert (make_folds(train, 5, 1)["fold"].to_numpy() != deal_groups(train, 5, 1)).any()
