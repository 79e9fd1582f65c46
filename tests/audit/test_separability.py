"""AUCs are those of scikit-learn, groups stay whole, and what says nothing separates nothing."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from competition.audit.separability import (
    auc,
    auc_draws,
    group_folds,
    separation,
    some_rows,
    target_mean,
    weighted_aucs,
)


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6), st.integers(1, 3)), min_size=2, max_size=40))
def test_the_auc_is_scikit_learns_with_ties_and_weights(rows):
    label, score, weight = np.array(rows).T
    label[:2] = 0, 1
    assert auc(label, score) == pytest.approx(roc_auc_score(label, score))
    weighted = weighted_aucs(label, score, np.stack([weight, weight * 2]).astype(float))
    assert weighted == pytest.approx([roc_auc_score(label, score, sample_weight=weight)] * 2)


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 30)), min_size=1, max_size=200), st.integers(0, 9))
def test_groups_are_dealt_whole_and_evenly(rows, seed):
    label, group = np.array(rows).T
    fold = group_folds(label, group, seed)
    assert (pd.Series(fold).groupby(group).nunique() == 1).all()
    counts = np.bincount(pd.Series(fold).groupby(group).first(), minlength=5)
    assert counts.max() - counts.min() <= 1
    kept = some_rows(group, 50, seed)
    assert len(kept) <= 50 or len(group) <= 50
    assert not set(group[kept]) & set(np.delete(group, kept))


def test_a_category_without_meaning_has_no_score_whatever_the_folds():
    label, fold = np.r_[np.ones(30, int), np.zeros(70, int)], np.r_[np.zeros(50, int), np.ones(50, int)]
    assert not target_mean(np.full(100, "same", object), label, fold).any()


def features(rng, n, label=None):
    informed = rng.normal(size=n) + (0 if label is None else 1.2 * label)
    return pd.DataFrame(
        {"number": informed, "other": rng.normal(size=n), "kind": pd.Series(rng.choice(list("abc"), n), dtype=object)}
    )


def test_meaningless_metadata_rarely_warn():
    levels = []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        label = rng.permutation(np.arange(200) % 2)
        levels.append(separation(features(rng, 200), label, np.arange(200), seed).level)
    assert levels.count(None) >= 7


def test_the_interval_holds_the_auc_and_knows_groups():
    rng = np.random.default_rng(0)
    label = rng.permutation(np.arange(400) % 2)
    apart = separation(features(rng, 400, label), label, np.arange(400), 0)
    assert apart.low < apart.auc < apart.high and apart.level is not None
    # Ten copies of every row know no more than one.
    score, groups = rng.normal(size=100) + label[:100], np.arange(100)
    once = auc_draws(label[:100], score, groups, 200, 0).std()
    tenfold = auc_draws(np.tile(label[:100], 10), np.tile(score, 10), np.tile(groups, 10), 200, 0).std()
    assert tenfold == pytest.approx(once, rel=0.25)


def test_too_few_rows_separate_nothing():
    assert separation(features(np.random.default_rng(0), 40), np.arange(40) % 2, np.arange(40), 0) is None
