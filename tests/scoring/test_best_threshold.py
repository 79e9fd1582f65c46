"""The best threshold is the best, the smoothed one reproducible, and a given rate is met as nearly as ties allow."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from competition.scoring.best_threshold import best_threshold, bootstrap_threshold, rate_threshold
from competition.scoring.metrics import f1
from competition.scoring.rows import OofRows


def labelled(scores, min_size=1):
    """Labels, at least one of them 1, and scores; small pools of scores make ties."""
    rows = st.lists(st.tuples(st.integers(0, 1), scores), min_size=min_size, max_size=30)
    rows = rows.filter(lambda pairs: any(label for label, _ in pairs))
    return rows.map(lambda pairs: (np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs])))


tied = labelled(st.integers(-3, 3).map(float))
spread = labelled(st.floats(allow_nan=False))
narrow = labelled(st.floats(allow_nan=False, width=32).map(np.float32))


def brute_force(label, score):
    """Every distinct cut, from the highest down: the first with the highest F1, and its threshold by definition."""
    levels = np.unique(score)[::-1]
    values = [f1_score(label, score >= level) for level in levels]
    best = int(np.argmax(np.round(values, 12)))
    upper = levels[best]
    if best + 1 == len(levels):
        return upper, values[best]
    lower = levels[best + 1]
    middle = upper if np.isinf(lower) else lower / 2 + upper / 2
    return (middle if middle > lower else upper), values[best]


@given(st.one_of(tied, spread, narrow))
def test_best_threshold_is_the_best_of_all_distinct_cuts(rows):
    label, score = rows
    threshold, value = best_threshold(label, score)
    expected_threshold, expected_value = brute_force(label, score)
    assert threshold == expected_threshold
    assert value == pytest.approx(expected_value, abs=1e-12)


@given(st.one_of(tied, spread, narrow))
def test_the_reported_f1_is_that_of_score_at_or_above_threshold(rows):
    label, score = rows
    threshold, value = best_threshold(label, score)
    assert value == pytest.approx(f1_score(label, score >= threshold), abs=1e-12)


@given(st.one_of(tied, spread), st.randoms(use_true_random=False))
def test_row_order_does_not_matter(rows, random):
    label, score = rows
    order = np.array(random.sample(range(len(label)), len(label)))
    assert best_threshold(label[order], score[order]) == best_threshold(label, score)


@given(tied)
def test_a_strictly_increasing_transform_keeps_every_decision(rows):
    label, score = rows
    for transform in (np.exp, lambda x: x**3 - 7, lambda x: 1 / (1 + np.exp(-x))):
        decisions = transform(score) >= best_threshold(label, transform(score))[0]
        assert np.array_equal(decisions, score >= best_threshold(label, score)[0])


def test_the_threshold_lies_halfway_to_the_next_lower_score():
    assert best_threshold([0, 0, 1, 1], [0.1, 0.25, 0.75, 0.9]) == (0.5, 1.0)


def test_equal_scores_are_called_alike():
    assert best_threshold([1, 0, 1, 0], [0.5, 0.5, 0.5, 0.5]) == (0.5, pytest.approx(2 / 3))


def test_when_all_are_called_positive_the_threshold_is_the_lowest_score():
    assert best_threshold([1, 0, 1], [0.2, 0.5, 0.9])[0] == 0.2


def test_of_cuts_with_equal_f1_the_highest_wins():
    label, score = np.array([1, 0, 0, 1]), np.array([4.0, 3.0, 2.0, 1.0])
    assert f1(label, score >= 4) == f1(label, score >= 1)
    assert best_threshold(label, score)[0] == 3.5


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_neighbouring_floats_are_still_told_apart(dtype):
    upper = np.nextafter(dtype(0.7), dtype(1))
    score = np.array([0.7, upper], dtype)
    threshold, value = best_threshold([0, 1], score)
    assert value == 1 and (score >= threshold).tolist() == [False, True]


def test_infinite_scores_are_ordered_like_any_other():
    assert best_threshold([0, 1], [-math.inf, math.inf]) == (math.inf, 1.0)
    assert best_threshold([0, 1], [-math.inf, 2.0]) == (2.0, 1.0)
    assert best_threshold([1, 0], [-math.inf, math.inf])[0] == -math.inf


@pytest.mark.parametrize("rule", [best_threshold, lambda label, score: bootstrap_threshold(OofRows(label, score))])
@pytest.mark.parametrize(
    "label, score, message",
    [
        ([0, 1], [0.5], "label 2, (score|prob) 1"),
        ([0, 3], [0.5, 0.6], "row 1 holds 3"),
        ([0, 1], [0.5, math.nan], "row 1 holds nan"),
        ([0, 0], [0.5, 0.6], "no 1 among its 2 rows"),
        ([], [], r"\(0,\)"),
        ([0, 1], [[0.5, 0.6]], r"\(1, 2\)"),
        ([0, 1], ["a", "b"], "U1"),
    ],
)
def test_bad_rows_are_refused_with_the_value(rule, label, score, message):
    with pytest.raises(ValueError, match=message):
        rule(label, score)


def naive_bootstrap(label, score, group, seed, draws):
    """The definition, row by row: repeat each group as often as it was drawn, and search again."""
    names = np.unique(group)
    rng = np.random.default_rng(seed)
    found = []
    while len(found) < draws:
        drawn = names[rng.integers(names.size, size=names.size)]
        rows = np.concatenate([np.flatnonzero(group == name) for name in drawn])
        if label[rows].any():
            found.append(best_threshold(label[rows], score[rows])[0])
    return float(np.median(found))


@given(labelled(st.integers(-5, 5).map(float)), st.integers(1, 4), st.integers(0, 9))
def test_bootstrap_is_the_median_of_best_thresholds_of_repeated_groups(rows, group_size, seed):
    label, score = rows
    group = np.arange(label.size) // group_size
    expected = naive_bootstrap(label, score, group, seed, 9)
    assert bootstrap_threshold(OofRows(label, score, group=group), seed, draws=9) == expected


def binormal(rng, rows, gap=1.5):
    label = rng.integers(0, 2, rows)
    return label, rng.normal(size=rows) + gap * label


def test_bootstrap_is_the_same_for_the_same_seed_and_any_row_order():
    rng = np.random.default_rng(3)
    label, score = binormal(rng, 300)
    group = np.char.add("g", (np.arange(300) // 2).astype(str))
    rows = OofRows(label, score, group=group)
    first = bootstrap_threshold(rows, seed=5)
    order = rng.permutation(300)
    assert bootstrap_threshold(rows, seed=5) == first
    assert bootstrap_threshold(OofRows(label[order], score[order], group=group[order]), seed=5) == first
    assert len({bootstrap_threshold(rows, seed=seed, draws=3) for seed in range(20)}) > 1


def test_bootstrap_thresholds_scatter_less_than_best_thresholds():
    rng = np.random.default_rng(0)
    samples = [binormal(rng, 200) for _ in range(60)]
    best = np.std([best_threshold(*sample)[0] for sample in samples])
    smooth = np.std([bootstrap_threshold(OofRows(*sample), draws=60) for sample in samples])
    assert smooth < best


def test_a_bootstrap_of_no_draws_is_refused():
    with pytest.raises(ValueError, match="draws is 0"):
        bootstrap_threshold(OofRows([0, 1], [0.1, 0.9]), draws=0)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=40, unique=True), st.floats(0.01, 0.99))
def test_a_rate_is_met_to_the_row_where_no_scores_are_equal(scores, rate):
    called = np.count_nonzero(np.array(scores) >= rate_threshold(scores, rate))
    assert called == max(round(rate * len(scores)), 1)


@given(st.lists(st.integers(0, 4).map(float), min_size=1, max_size=40), st.floats(0.01, 0.99))
def test_where_scores_are_equal_no_other_cut_is_nearer_to_the_rate(scores, rate):
    scores = np.array(scores)
    wanted = max(round(rate * scores.size), 1)
    found = abs(np.count_nonzero(scores >= rate_threshold(scores, rate)) - wanted)
    assert found == min(abs(np.count_nonzero(scores >= level) - wanted) for level in np.unique(scores))


@pytest.mark.parametrize("rate", [0.0, 1.0, -0.1, math.nan])
def test_a_rate_that_calls_none_or_all_is_refused(rate):
    with pytest.raises(ValueError, match=f"it is {rate}"):
        rate_threshold([0.1, 0.2], rate)


def test_a_rate_of_no_rows_is_refused():
    with pytest.raises(ValueError, match="at least one row"):
        rate_threshold([], 0.3)
