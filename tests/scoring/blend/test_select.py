"""Weights are chosen by rows that they do not blend, over equal ones only where that is clear, in whatever order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from competition.scoring.blend.average import mean_prob
from competition.scoring.blend.select import choose_blend
from competition.scoring.judge import Judged, compare
from competition.scoring.metrics import f1
from competition.scoring.rows import OofRows
from tests.scoring.blend.test_weights import members

ROWS = 600
GROUP = np.arange(ROWS) // 2
FOLD = GROUP % 3


def named(probs):
    return {f"m{at}": prob for at, prob in enumerate(probs)}


def rows_of(probs, label, fold=None, group=None, **more):
    """Each member's rows."""
    return {name: OofRows(label, prob, fold, group, **more) for name, prob in probs.items()}


def with_a_useless_member(seed, rows=ROWS):
    probs, label = members(seed, rows, [2, 2, 2])
    probs[1] = np.random.default_rng(seed).permutation(probs[1])
    return named(probs), label.astype(int)


@settings(max_examples=6, deadline=None)
@given(st.integers(0, 99), st.integers(1, 4), st.integers(1, 4), st.integers(4, 60), st.booleans())
def test_all_weights_are_non_negative_sum_to_1_and_make_the_blend(seed, count, folds, rows, coarse):
    probs, label = members(seed, rows, np.linspace(0, 3, count))
    probs = np.round(probs) if coarse else probs
    fold = np.arange(rows) % folds
    blend = choose_blend(rows_of(named(probs), label, fold), seed)
    weights = np.array(list(blend.choice.weights.values()))
    assert (
        list(blend.choice.weights) == list(named(probs)) and weights.sum() == pytest.approx(1) and (weights >= 0).all()
    )
    assert blend.by_fold.shape == (min(folds, rows), count) and (blend.by_fold >= 0).all()
    assert blend.by_fold.sum(axis=1) == pytest.approx(1) and len(blend.fold_methods) == len(blend.by_fold)
    assert np.array_equal(blend.oof, [mean_prob(probs, row) for row in blend.by_fold])


@pytest.mark.parametrize("folds, group", [(2, GROUP), (3, None)])
def test_neither_weights_nor_method_of_a_fold_know_its_labels_or_probabilities(folds, group):
    probs, label = with_a_useless_member(0)
    fold = GROUP % folds
    inside = fold == 1
    changed_label = np.where(inside, 1 - label, label)
    noise = np.random.default_rng(1).random((3, ROWS))
    changed = {name: np.where(inside, noise[at], prob) for at, (name, prob) in enumerate(probs.items())}
    before = choose_blend(rows_of(probs, label, fold, group))
    after = choose_blend(rows_of(changed, changed_label, fold, group))
    assert np.array_equal(after.by_fold[1], before.by_fold[1])
    assert after.fold_methods[1] == before.fold_methods[1] != "equal"
    assert not np.array_equal(after.by_fold[0], before.by_fold[0])


@pytest.mark.parametrize("group", [GROUP, np.arange(ROWS)])
def test_the_order_of_the_rows_does_not_matter(group):
    probs, label = with_a_useless_member(2)
    order = np.random.default_rng(0).permutation(ROWS)
    moved = {name: prob[order] for name, prob in probs.items()}
    before = choose_blend(rows_of(probs, label, FOLD, group))
    after = choose_blend(rows_of(moved, label[order], FOLD[order], group[order]))
    assert after.choice.weights == before.choice.weights and np.array_equal(after.by_fold, before.by_fold)
    assert np.array_equal(after.oof, before.oof[:, order])
    assert before.choice.method != "equal"


def test_members_moved_about_take_their_weights_along():
    probs, label = with_a_useless_member(3)
    names = ["m2", "m1", "m0"]
    before = choose_blend(rows_of(probs, label, FOLD, GROUP))
    after = choose_blend(rows_of({name: probs[name] for name in names}, label, FOLD, GROUP))
    assert list(after.choice.weights) == names and after.choice.weights == before.choice.weights
    assert np.array_equal(after.by_fold, before.by_fold[:, ::-1])


def test_the_same_member_thrice_is_blended_equally():
    (prob,), label = members(4, ROWS, [2])
    blend = choose_blend(rows_of(named([prob] * 3), label, FOLD, GROUP))
    assert blend.choice.method == "equal" and set(blend.fold_methods) == {"equal"}
    assert list(blend.choice.weights.values()) == pytest.approx([1 / 3] * 3)


def test_members_of_equal_quality_are_nearly_always_blended_equally():
    chosen = []
    for seed in range(8):
        probs, label = members(seed, 500, [2, 2, 2])
        chosen += [choose_blend(rows_of(named(probs), label, np.arange(500) % 3), seed).choice.method]
    assert chosen.count("equal") >= 7


def test_a_useless_member_is_pruned_and_the_reason_said():
    probs, label = with_a_useless_member(5)
    blend = choose_blend(rows_of(probs, label, FOLD, GROUP))
    assert blend.choice.weights["m1"] < 0.1 and blend.by_fold[:, 1].max() < 0.15
    assert (
        blend.choice.log_loss[blend.choice.method] + blend.choice.se[blend.choice.method]
        < blend.choice.log_loss["equal"]
    )
    assert blend.choice.value[blend.choice.method] > blend.choice.value["equal"]
    assert blend.choice.method in blend.choice.why and "standard error" in blend.choice.why  # of each fitted method


def test_a_strong_member_outweighs_a_weak_and_overconfident_one():
    probs, label = members(6, ROWS, [2.5, 1], [1, 3])
    blend = choose_blend(rows_of(named(probs), label, FOLD, GROUP))
    assert blend.choice.method != "equal" and blend.choice.weights["m0"] > 0.6


def test_whole_groups_in_agreement_are_less_evidence_than_as_many_rows():
    probs, label = with_a_useless_member(7, 60)
    rows = np.repeat(np.arange(60), 10)
    probs, label = {name: prob[rows] for name, prob in probs.items()}, label[rows]
    alone = choose_blend(rows_of(probs, label, rows % 4))
    grouped = choose_blend(rows_of(probs, label, rows % 4, rows))
    assert grouped.choice.se["stacking"] > 2 * alone.choice.se["stacking"]


def test_a_single_fold_a_single_member_and_a_single_class_leave_equal_weights():
    probs, label = with_a_useless_member(8)
    single = choose_blend(rows_of(probs, label, np.zeros(ROWS), GROUP))
    assert single.choice.method == "equal" and "single fold" in single.choice.why
    assert single.by_fold.tolist() == [pytest.approx([1 / 3] * 3)] and single.oof.shape == (1, ROWS)
    assert choose_blend(rows_of({"m0": probs["m0"]}, label, FOLD, GROUP)).choice.weights == {"m0": 1}
    one_class = choose_blend(rows_of(probs, np.zeros(ROWS, int), FOLD, GROUP))
    assert (
        one_class.choice.method == "equal"
        and "both classes" in one_class.choice.why
        and one_class.choice.log_loss == {}
    )


def test_a_hold_out_is_blended_by_its_tuning_rows_alone():
    probs, label = with_a_useless_member(9)
    tuned = FOLD < 2
    before = choose_blend(rows_of(probs, label, group=GROUP, held_out=~tuned))
    after = choose_blend(rows_of(probs, np.where(tuned, label, 1 - label), group=GROUP, held_out=~tuned))
    assert before.choice.method != "equal" and before.choice.weights["m1"] < 0.15
    assert after.choice.weights == before.choice.weights and after.choice.log_loss == before.choice.log_loss
    assert before.by_fold.shape == (1, 3) and before.oof.shape == (1, ROWS)
    assert choose_blend(rows_of(probs, label, group=GROUP, held_out=np.ones(ROWS, bool))).choice.method == "equal"


@pytest.mark.parametrize(
    "probs, label, message",
    [
        ({}, [0, 1], "at least one"),
        ({"a": [0.1, 1.2]}, [0, 1], "a must lie in .* 1.2"),
        ({"a": [0.1, np.nan]}, [0, 1], "row 1 holds nan"),
        ({"a": [0.1]}, [0, 1], "label 2, prob 1"),
        ({"a": [0.1, 0.2]}, [0, 2], "row 1 holds 2"),
    ],
)
def test_bad_rows_are_refused_with_the_value(probs, label, message):
    with pytest.raises(ValueError, match=message):
        choose_blend(rows_of(probs, label, [0, 1]))


def test_a_method_that_is_asked_for_is_taken_without_a_choice():
    probs, label = with_a_useless_member(3)
    blend = choose_blend(rows_of(probs, label, FOLD, GROUP), 0, "stacking")
    assert (
        blend.choice.method == "stacking"
        and set(blend.fold_methods) == {"stacking"}
        and blend.choice.weights["m1"] < 0.2
    )
    held = choose_blend(rows_of(probs, label, group=GROUP, held_out=FOLD == 0), 0, "equal")
    assert set(held.choice.weights.values()) == {1 / 3}


def test_the_error_of_a_difference_in_f1_is_that_of_leaving_out_group_after_group():
    probs, label = members(11, 600, [2, 1.5])
    one, other, group = *(probs >= 0.5).astype(int), np.arange(600) // 3
    rows = OofRows(label, probs[0], group=group)
    answers = [Judged(rows, decision, probs[0]) for decision in (one, other)]
    difference, error = compare(*answers)
    without = []
    for name in range(200):
        rows = group != name
        without.append(f1(label[rows], one[rows]) - f1(label[rows], other[rows]))
    assert difference == pytest.approx(f1(label, one) - f1(label, other))
    assert error == pytest.approx(np.sqrt(199 * np.var(without)), rel=0.03)
    assert compare(answers[0], answers[0]) == (0, 0)
    alone = [Judged(OofRows(label, probs[0], group=np.zeros(600)), decision, probs[0]) for decision in (one, other)]
    assert compare(*alone)[1] == np.inf
