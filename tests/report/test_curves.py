"""Training curves draw what the histories hold, and say so where they hold nothing."""

import numpy as np
import pytest

from competition.report import curves
from tests.report.runs import history, ink, pixels


def test_epoch_curves_grow_by_a_row_per_member(tmp_path):
    heights = []
    for count in (1, 2, 8):
        curves.epoch_training_curves({f"member-{i}": [history()] * 2 for i in range(count)}, tmp_path / "t.png")
        heights.append(pixels(tmp_path / "t.png").shape[0])
    assert heights[2] - heights[1] == pytest.approx(6 * (heights[1] - heights[0]), abs=6)


@pytest.mark.parametrize(
    "folds",
    [
        [history(1)],
        [history(1, validated=False)],
        [history(1), history(1, validated=False), []],
        [history(5), history(2)],
        [[{"epoch": 1, "train_loss": 0.5, "val_f1": None, "val_auc": float("nan")}]],
        [[{"epoch": 1, "train_loss": 0.5}], [{"epoch": 2, "train_loss": 0.4}]],
        [[{"epoch": 3}]],
    ],
    ids=["one epoch", "not validated", "some folds", "unequal", "no figure", "no shared epoch", "nothing known"],
)
def test_epoch_curves_draw_what_there_is(tmp_path, folds):
    curves.epoch_training_curves({"swin": folds}, tmp_path / "t.png")
    assert pixels(tmp_path / "t.png").shape[0] > 600


def test_a_missing_score_is_not_drawn_as_0(tmp_path):
    known = [{"epoch": epoch, "train_loss": 0.5, "val_f1": 0.9} for epoch in (1, 2, 3)]
    gap = [known[0], {"epoch": 2, "train_loss": 0.5, "val_f1": None}, known[2]]
    zero = [known[0], {"epoch": 2, "train_loss": 0.5, "val_f1": 0.0}, known[2]]
    drawn = []
    for fold in (known, gap, zero):
        curves.epoch_training_curves({"swin": [fold]}, tmp_path / "t.png")
        drawn.append(pixels(tmp_path / "t.png"))
    assert np.array_equal(drawn[0], drawn[1]) and not np.array_equal(drawn[0], drawn[2])


@pytest.mark.parametrize("draw", [curves.epoch_training_curves, curves.batch_training_curves])
@pytest.mark.parametrize("histories", [{}, {"swin": []}, {"swin": [[]]}])
def test_without_history_the_picture_says_so(tmp_path, draw, histories):
    draw(histories, tmp_path / "t.png")
    assert pixels(tmp_path / "t.png").shape[0] < 300 and ink(tmp_path / "t.png") > 0.01


def blue(path):
    """Return the columns in which there is the blue of a curve."""
    image = pixels(path).astype(int)
    return np.flatnonzero(((image[..., 2] - image[..., 0]) > 60).any(axis=0))


def batch_line(epoch, *losses):
    return {"epoch": epoch, "train_loss": 0.5, "batch_loss": list(losses)}


def test_batch_curves_reach_as_far_as_the_epochs_that_recorded_them(tmp_path):
    first = batch_line(1, 0.9, 0.8, 0.7, 0.6)
    curves.batch_training_curves({"swin": [[first, batch_line(2, 0.5, 0.4, 0.3, 0.2)]]}, tmp_path / "whole.png")
    curves.batch_training_curves({"swin": [[first, {"epoch": 2, "train_loss": 0.5}]]}, tmp_path / "half.png")
    whole, half = (np.ptp(blue(tmp_path / f"{name}.png")) for name in ("whole", "half"))
    assert 0.35 < half / whole < 0.5  # of 7 steps between 8 points, 3


def test_batch_curves_average_folds_with_different_numbers_of_parts(tmp_path):
    one, other = [batch_line(1, *np.linspace(1, 0, 24))], [batch_line(1, *np.linspace(1, 0, 25))]
    curves.batch_training_curves({"swin": [one, other]}, tmp_path / "both.png")
    curves.batch_training_curves({"swin": [one]}, tmp_path / "one.png")
    assert np.ptp(blue(tmp_path / "both.png")) == pytest.approx(np.ptp(blue(tmp_path / "one.png")), rel=0.02)


@pytest.mark.parametrize(
    "folds",
    [
        [history(2)],
        [history(2), history(2, batches=3)],
        [[batch_line(1, 0.5)]],
        [[batch_line(1, None, float("nan"))]],
        [[batch_line(1, 0.5, 0.5)], [batch_line(3, 0.4)]],
    ],
    ids=["not recorded", "by one fold", "one part", "no figure", "no shared span"],
)
def test_batch_curves_draw_what_there_is(tmp_path, folds):
    curves.batch_training_curves({"swin": folds}, tmp_path / "t.png")
    assert pixels(tmp_path / "t.png").shape[0] > 600


def test_where_no_batch_was_recorded_the_panel_says_so_and_holds_no_curve(tmp_path):
    curves.batch_training_curves({"swin": [history()]}, tmp_path / "t.png")
    assert not blue(tmp_path / "t.png").size and ink(tmp_path / "t.png") > 0.01


def test_the_last_mean_is_taken_where_all_folds_know_it():
    folds = [[{"epoch": 1, "val_f1": 0.5}, {"epoch": 2, "val_f1": 0.9}], [{"epoch": 1, "val_f1": 0.7}]]
    assert curves.last_mean(folds, "val_f1") == pytest.approx(0.6)
    assert curves.last_mean(folds, "val_auc") is None
