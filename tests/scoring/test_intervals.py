"""The two intervals cover what they promise to cover, and no less where rows come in groups."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from competition.scoring.best_threshold import best_threshold
from competition.scoring.intervals import Bootstrap, cv_interval, leaderboard_range, leaderboard_rows
from competition.scoring.metrics import f1
from competition.scoring.rows import OofRows
from competition.scoring.shift.class_prior import Prior
from competition.scoring.threshold.rules import cross_fit


def world(rng, rows, accuracy=0.85):
    """Labels and decisions that are right with the given probability."""
    label = rng.integers(0, 2, rows)
    return label, np.where(rng.random(rows) < accuracy, label, 1 - label)


def width(interval):
    return interval[1] - interval[0]


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(30, 300), st.integers(1, 3))
def test_the_cv_interval_holds_the_point_estimate_within_0_and_1(seed, rows, group_size):
    label, decision = world(np.random.default_rng(seed), rows)
    low, high = cv_interval(label, decision, np.arange(rows) // group_size, bootstrap=Bootstrap(300))
    assert 0 <= low <= f1(label, decision) <= high <= 1


def test_the_cv_interval_shrinks_with_the_root_of_the_rows():
    rng = np.random.default_rng(0)
    small, large = (width(cv_interval(*world(rng, rows), group=None)) for rows in (400, 40_000))
    assert small / large == pytest.approx(10, rel=0.25)


def test_rows_repeated_within_a_group_add_no_certainty():
    label, decision = world(np.random.default_rng(1), 300)
    group = np.repeat(np.arange(300), 4)
    label, decision = np.repeat(label, 4), np.repeat(decision, 4)
    grouped, pretended = cv_interval(label, decision, group), cv_interval(label, decision, None)
    assert width(grouped) / width(pretended) == pytest.approx(2, rel=0.15)
    assert width(leaderboard_range(label, decision, group, 400)) > width(leaderboard_range(label, decision, None, 400))


def naive_interval(label, decision, group, draws, test_groups=None):
    """The definitions, row by row: resample the groups; for a leaderboard, draw its groups from that resample."""
    rng = np.random.default_rng(0)
    rows = [np.flatnonzero(group == name) for name in np.unique(group)]
    values = []
    for _ in range(draws):
        names = rng.integers(len(rows), size=len(rows))
        names = names if test_groups is None else rng.choice(names, test_groups)
        drawn = np.concatenate([rows[name] for name in names])
        values.append(f1(label[drawn], decision[drawn]))
    return np.quantile(values, [0.025, 0.975])


def test_the_cv_interval_is_that_of_resampled_rows_also_for_uneven_groups():
    rng = np.random.default_rng(2)
    label, decision = world(rng, 400)
    group = rng.integers(0, 90, 400)
    expected = naive_interval(label, decision, group, 3000)
    assert cv_interval(label, decision, group, bootstrap=Bootstrap(3000)) == pytest.approx(expected, abs=0.006)


def test_the_leaderboard_range_is_that_of_whole_groups_drawn_from_resampled_groups():
    label, decision = world(np.random.default_rng(10), 400)
    group = np.arange(400) // 4
    expected = naive_interval(label, decision, group, 3000, test_groups=50)
    found = leaderboard_range(label, decision, group, 200, bootstrap=Bootstrap(3000))
    assert found == pytest.approx(expected, abs=0.008)


@pytest.mark.parametrize("interval", [cv_interval, lambda *given, **more: leaderboard_range(*given, rows=200, **more)])
def test_intervals_depend_on_the_seed_alone_and_not_on_the_row_order(interval):
    rng = np.random.default_rng(3)
    label, decision = world(rng, 200)
    group, order = np.arange(200) // 2, rng.permutation(200)
    first = interval(label, decision, group, bootstrap=Bootstrap(200))
    assert interval(label, decision, group, bootstrap=Bootstrap(200)) == first
    assert interval(label[order], decision[order], group[order], bootstrap=Bootstrap(200)) == first
    assert interval(label, decision, group, bootstrap=Bootstrap(200, 1)) != first


def test_the_leaderboard_range_is_wider_than_the_cv_interval_and_widest_for_the_smallest_leaderboard():
    label, decision = world(np.random.default_rng(4), 2000)
    group = np.arange(2000) // 2
    widths = [width(leaderboard_range(label, decision, group, rows)) for rows in (200, 1000, 5000)]
    widths.append(width(cv_interval(label, decision, group)))
    assert widths == sorted(widths, reverse=True)


def test_a_very_large_leaderboard_leaves_the_cv_interval():
    label, decision = world(np.random.default_rng(5), 500)
    found = leaderboard_range(label, decision, None, 10_000_000)
    assert found == pytest.approx(cv_interval(label, decision, None), abs=0.004)


def test_a_public_fraction_is_a_smaller_leaderboard():
    label, decision = world(np.random.default_rng(6), 500)
    part = leaderboard_rows(1000, 0.3)
    assert leaderboard_range(label, decision, None, part) == leaderboard_range(label, decision, None, 300)


def test_a_test_set_that_is_no_multiple_of_the_group_size_lies_between_its_neighbours():
    label, decision = world(np.random.default_rng(7), 900)
    group = np.arange(900) // 30
    many = Bootstrap(20_000)
    widths = [width(leaderboard_range(label, decision, group, rows, bootstrap=many)) for rows in (30, 45, 60)]
    assert widths[0] > widths[1] > widths[2]


def test_a_leaderboard_smaller_than_a_group_is_still_one_group():
    perfect = np.ones(200, int)
    assert leaderboard_range(perfect, perfect, np.arange(200) // 10, 3) == (1, 1)


def experiment(rng, train_rows=1000, test_rows=400):
    """Cross-fit on normal scores of two classes, then score a fresh test set with the threshold of all rows."""
    label = rng.integers(0, 2, train_rows + test_rows)
    score = rng.normal(size=label.size) + 1.8 * label
    train, test = slice(train_rows), slice(train_rows, None)
    decision, _ = cross_fit(OofRows(label[train], score[train], np.arange(train_rows) % 5), "argmax")
    reached = f1(label[test], score[test] >= best_threshold(label[train], score[train])[0])
    return label[train], decision, reached


def test_the_leaderboard_range_covers_fresh_test_sets_and_the_cv_interval_alone_does_not():
    rng = np.random.default_rng(9)
    held_range, held_cv = [], []
    for _ in range(400):
        label, decision, reached = experiment(rng)
        low, high = leaderboard_range(label, decision, None, 400, bootstrap=Bootstrap(300))
        held_range.append(low <= reached <= high)
        low, high = cv_interval(label, decision, None, bootstrap=Bootstrap(300))
        held_cv.append(low <= reached <= high)
    assert 0.90 <= np.mean(held_range) <= 0.99
    assert np.mean(held_cv) < np.mean(held_range) - 0.1


def naive_shifted(label, decision, rows, prior, draws):
    """The definition without groups: resample, then draw positives, those found among them and those taken for them."""
    rng = np.random.default_rng(0)
    values = []
    for _ in range(draws):
        drawn = rng.integers(label.size, size=label.size)
        label_, decision_ = label[drawn], decision[drawn]
        positives = rng.binomial(rows, prior)
        found = rng.binomial(positives, decision_[label_ == 1].mean())
        taken = rng.binomial(rows - positives, decision_[label_ == 0].mean())
        values.append(2 * found / max(positives + found + taken, 1))
    return np.quantile(values, [0.025, 0.975])


@pytest.mark.parametrize("share", [0.1, 0.5, 0.8])
def test_with_a_prior_the_range_is_that_of_the_classes_own_rates_at_its_balance(share):
    label, decision = world(np.random.default_rng(11), 800)
    found = leaderboard_range(label, decision, None, 500, Prior(share, share, share, 0.5), Bootstrap(4000))
    assert found == pytest.approx(naive_shifted(label, decision, 500, share, 4000), abs=0.01)


def test_a_prior_that_is_known_less_well_widens_the_range():
    label, decision = world(np.random.default_rng(12), 800)
    sure, unsure = (
        width(leaderboard_range(label, decision, None, 5000, Prior(0.2, low, high, 0.5)))
        for low, high in ((0.2, 0.2), (0.12, 0.31))
    )
    assert unsure > 1.5 * sure


def test_a_prior_needs_rows_of_both_classes():
    with pytest.raises(ValueError, match="all 4 are 1"):
        leaderboard_range([1, 1, 1, 1], [1, 0, 1, 1], None, 10, Prior(0.2, 0.1, 0.3, 0.5))


@pytest.mark.parametrize(
    "change, message",
    [
        ({"label": [0, 2, 1, 1]}, "row 1 holds 2"),
        ({"decision": [0, 1, 1]}, "label 4, decision 3"),
        ({"group": [1, 2, 3]}, r"4 rows; its shape is \(3,\)"),
        ({"group": [7, 7, 7, 7]}, "two groups; all 4 rows are in one"),
    ],
)
def test_bad_input_is_refused_with_the_value(change, message):
    given_ = {"label": [0, 1, 1, 1], "decision": [0, 1, 0, 1], "group": [1, 1, 2, 2], "rows": 10} | change
    with pytest.raises(ValueError, match=message):
        leaderboard_range(**given_)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: leaderboard_rows(10, 0.0), "it is 0.0"),
        (lambda: leaderboard_rows(10, 1.2), "it is 1.2"),
        (lambda: leaderboard_rows(4, 0.1), "4 test rows x 0.1 leave 0"),
    ],
)
def test_an_interval_that_cannot_be_drawn_is_refused_with_the_value(call, message):
    with pytest.raises(ValueError, match=message):
        call()
