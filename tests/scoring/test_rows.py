"""Rows are checked where they are made, and what is taken of them stays aligned."""

import numpy as np
import pytest

from competition.scoring.rows import OofRows, TestRows, stacked

LABEL = np.array([0, 1, 1, 0, 1, 0])
PROB = np.array([0.1, 0.9, 0.6, 0.3, 0.4, 0.2])
FOLD = np.array(["b", "a", "b", "c", "a", "c"])
GROUP = np.array(["y", "x", "y", "z", "x", "w"])


@pytest.mark.parametrize(
    "change, message",
    [
        ({"label": [0, 1, 1, 0, 2, 0]}, "row 4 holds 2"),
        ({"prob": [0.1, 0.9, np.nan, 0.3, 0.4, 0.2]}, "row 2 holds nan"),
        ({"prob": PROB[:5]}, "label 6, prob 5"),
        ({"fold": FOLD[:5]}, "label 6, fold 5"),
        ({"group": GROUP[:5]}, r"6 rows; its shape is \(5,\)"),
        ({"held_out": [True]}, "label 6, held_out 1"),
        ({"crossed": np.zeros((2, 6))}, r"crossed must be \(3, 6\).*its shape is \(2, 6\)"),
        ({"label": [], "prob": []}, r"\(0,\)"),
    ],
)
def test_rows_that_do_not_fit_together_are_refused_with_the_value(change, message):
    with pytest.raises(ValueError, match=message):
        OofRows(**{"label": LABEL, "prob": PROB, "fold": FOLD, "group": GROUP} | change)


def test_folds_and_groups_are_numbered_in_the_order_of_their_names():
    rows = OofRows(LABEL, PROB, FOLD, GROUP)
    assert rows.fold.tolist() == [1, 0, 1, 2, 0, 2] and rows.folds == 3
    assert rows.group.tolist() == [2, 1, 2, 3, 1, 0] and rows.groups == 4
    part = rows.subset(rows.fold != 0)
    assert part.fold.tolist() == [0, 0, 1, 1] and part.group.tolist() == [1, 1, 2, 0]
    assert part.prob.tolist() == [0.1, 0.6, 0.3, 0.2] and part.label.tolist() == [False, True, False, False]


def test_without_folds_and_groups_all_rows_are_in_one_fold_and_each_is_its_own_group():
    rows = OofRows(LABEL, PROB)
    assert rows.folds == 1 and rows.groups == 6 and rows.by_fold.tolist() == [PROB.tolist()]


def test_a_row_is_judged_by_the_weights_that_never_saw_its_fold():
    crossed = np.stack([PROB / 2, PROB / 4, PROB / 8])
    rows = OofRows(LABEL, PROB, FOLD, GROUP, crossed)
    assert rows.own.tolist() == (PROB / [4, 2, 4, 8, 2, 8]).tolist() == rows.judged.prob.tolist()
    assert rows.tuning is rows and OofRows(LABEL, PROB, FOLD).own.tolist() == PROB.tolist()


def test_of_a_hold_out_some_rows_are_for_tuning_and_the_others_are_judged():
    rows = OofRows(LABEL, PROB, group=GROUP, held_out=LABEL == 1)
    assert rows.judged.prob.tolist() == [0.9, 0.6, 0.4] and rows.tuning.prob.tolist() == [0.1, 0.3, 0.2]
    assert not rows.tuning.label.any() and rows.judged.groups == 2


def test_members_of_other_rows_are_refused_by_name():
    rows = OofRows(LABEL, PROB, FOLD, GROUP)
    assert stacked({"a": rows, "b": rows.with_prob(PROB**2)})[1].tolist() == [PROB.tolist(), (PROB**2).tolist()]
    for other in (OofRows(1 - LABEL, PROB, FOLD, GROUP), OofRows(LABEL, PROB, FOLD), rows.subset(LABEL == 1)):
        with pytest.raises(ValueError, match=r"those of b differ in (label|group)"):
            stacked({"a": rows, "b": other})


def test_images_that_no_model_saw_are_left_out_of_what_was_seen():
    test = TestRows(np.array([0.1, np.nan, 0.7]), np.array([[0.2, np.nan, 0.6], [0.1, np.nan, 0.8]]))
    assert test.seen.prob.tolist() == [0.1, 0.7] and test.seen.parts.tolist() == [[0.2, 0.6], [0.1, 0.8]]
