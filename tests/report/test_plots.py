"""Every picture is a readable PNG, the same bytes each time, and says so where there is nothing to show."""

import runpy
import sys
from pathlib import Path

import matplotlib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from competition.report import agreement, calibration, curves, gallery, plots, style
from competition.report import shift_plots as world
from competition.report.trust import ConditionScore
from competition.scoring import evaluation
from competition.scoring.leaderboard_metric import F1
from tests.report import runs
from tests.report.runs import history, ink, pixels


def draw_all(folder):
    label, members = runs.world()
    prob = members["ensemble"]
    histories = {"convnext": [history(batches=9), history(batches=10, seed=1)], "swin": [history()]}
    curves.epoch_training_curves(histories, folder / "epochs.png")
    curves.batch_training_curves(histories, folder / "batches.png")
    plots.roc_curve(label, members, folder / "roc.png")
    plots.pr_curve(label, members, folder / "pr.png")
    plots.confusion_matrix(label, (prob > 0.5).astype(int), ("human", "AI"), folder / "confusion.png")
    plots.threshold_curve(label, prob, 0.5, F1, folder / "threshold.png")
    calibration.calibration_curve(label, members, ("human", "AI"), folder / "calibration.png")
    alike = {name: (prob > 0.5).astype(int) for name, prob in members.items()}
    agreement.agreement_matrix(evaluation.agreement(alike, label), folder / "agreement.png")
    wrong = [{"id": f"{row}.jpg", "label": 1, "prob": 0.1} for row in range(5)]
    images = [np.full((32, 20 + 9 * row, 3), 50 * row, np.uint8) for row in range(4)]
    gallery.mistakes_gallery(wrong, [*images, None], ("human", "AI"), folder / "mistakes.png")
    known = runs.analysis(verdict="label shift")
    world.shift_figure(label, prob, prob[None, :200] ** 2, ("human", "AI"), known.shift, folder / "shift.png")
    world.robustness_figure(known.robustness, folder / "robustness.png")
    return sorted(folder.iterdir())


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """One of each picture, drawn where pyplot cannot be imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "matplotlib.pyplot", None)
        patch.delattr(matplotlib, "pyplot", raising=False)
        return draw_all(tmp_path_factory.mktemp("drawn"))


def test_every_picture_is_a_png_of_1200_pixels_width_and_nothing_else_is_left(written):
    names = [
        "agreement",
        "batches",
        "calibration",
        "confusion",
        "epochs",
        "mistakes",
        "pr",
        "robustness",
        "roc",
        "shift",
        "threshold",
    ]
    assert [path.name for path in written] == [f"{name}.png" for name in names]
    for path in written:
        height, width, _ = pixels(path).shape
        assert width == 1200 and 800 < height < 1600
        assert ink(path) > 0.02


def test_the_same_inputs_give_the_same_bytes_whatever_is_set_for_pyplot_and_no_setting_is_changed(tmp_path, written):
    with matplotlib.rc_context({"figure.dpi": 31, "savefig.dpi": 17}):
        before = dict(matplotlib.rcParams)
        again = draw_all(tmp_path)
        assert dict(matplotlib.rcParams) == before
    assert [path.read_bytes() for path in again] == [path.read_bytes() for path in written]


@pytest.mark.parametrize("module", sorted(Path(style.__file__).parent.glob("*.py")), ids=lambda path: path.stem)
def test_importing_costs_no_matplotlib(module, monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.setitem(sys.modules, name, None)  # importing it fails
    assert runpy.run_path(str(module))["__doc__"]


@pytest.mark.parametrize("draw", [plots.roc_curve, plots.pr_curve])
@pytest.mark.parametrize("only", [0, 1])
def test_curves_of_one_class_are_replaced_by_a_sentence(tmp_path, draw, only):
    draw(np.full(9, only), {"ensemble": np.linspace(0, 1, 9)}, tmp_path / "c.png")
    assert pixels(tmp_path / "c.png").shape[0] < 300 and ink(tmp_path / "c.png") > 0.01


@pytest.mark.parametrize("draw", [plots.roc_curve, plots.pr_curve])
@pytest.mark.parametrize("names", [("swin",), ("ensemble",), (*map(str, range(20)), "ensemble")])
def test_curves_take_one_member_or_more_than_a_legend_can_name(tmp_path, draw, names):
    draw(*runs.world(names=names), tmp_path / "c.png")
    assert pixels(tmp_path / "c.png").shape == (1272, 1200, 3)


def test_names_are_drawn_as_they_are_and_never_read_as_formulas(tmp_path, monkeypatch):
    monkeypatch.setattr(style, "DPI", 40)
    label, members = runs.world(names=("$\\bad$", "_hidden", "a" * 70, "ensemble"))
    plots.roc_curve(label, members, tmp_path / "roc.png")
    curves.epoch_training_curves({"$\\bad$": [history()], "b" * 70: [history()]}, tmp_path / "epochs.png")
    curves.batch_training_curves({"$\\bad$": [history()], "b" * 70: [history(batches=3)]}, tmp_path / "batches.png")
    calibration.calibration_curve(label, members, ("a" * 70, "$\\bad$"), tmp_path / "calibration.png")
    only = {"$\\bad$": members["ensemble"]}
    calibration.calibration_curve(label, only, ("$\\bad$", "a" * 70), tmp_path / "alone.png")
    plots.pr_curve(label, only, tmp_path / "pr.png")
    alike = {name: (prob > 0.5).astype(int) for name, prob in members.items()}
    agreement.agreement_matrix(evaluation.agreement(alike, label), tmp_path / "agreement.png")
    wrong = [{"id": "$\\bad$" + "a" * 70, "label": 1, "prob": 0.1}]
    gallery.mistakes_gallery(wrong, [None], ("human", "$\\bad$"), tmp_path / "mistakes.png")
    plots.confusion_matrix(label, label, ("$\\bad$", "made by a machine " * 3), tmp_path / "confusion.png")
    shift = runs.shift(verdict="another world")
    world.shift_figure(label, members["ensemble"], [[0.5]], ("$\\bad$", "_" * 70), shift, tmp_path / "shift.png")
    world.robustness_figure([ConditionScore("$\\bad$", 0.9, None, 9, None)], tmp_path / "changed.png")
    assert len(list(tmp_path.iterdir())) == 11


@pytest.mark.parametrize(("label", "decision"), [([0, 0], [0, 1]), ([1], [0]), ([1, 0], [1, 1])])
def test_a_confusion_matrix_may_have_empty_classes(tmp_path, label, decision):
    plots.confusion_matrix(label, decision, ("human", "AI"), tmp_path / "c.png")
    assert ink(tmp_path / "c.png") > 0.02


def test_errors_are_orange_in_proportion_and_hits_are_blue(tmp_path):
    label = np.array([0] * 10 + [1] * 10)
    plots.confusion_matrix(label, label, ("human", "AI"), tmp_path / "right.png")
    plots.confusion_matrix(label, 1 - label, ("human", "AI"), tmp_path / "wrong.png")
    right, wrong = (pixels(tmp_path / f"{name}.png").reshape(-1, 3).mean(axis=0) for name in ("right", "wrong"))
    assert right[2] > right[0] and wrong[0] > wrong[2]


def test_without_a_positive_there_is_no_threshold_curve(tmp_path):
    plots.threshold_curve([0, 0, 0], [0.1, 0.2, 0.3], 0.5, F1, tmp_path / "t.png")
    assert pixels(tmp_path / "t.png").shape[0] < 300


def shaded(path):
    """Return the share of pixels in the colour of the region of good thresholds."""
    colour = tuple(int(style.SHADE[i : i + 2], 16) for i in (1, 3, 5))
    return float((pixels(path) == colour).all(axis=2).mean())


def test_a_flat_optimum_is_shaded_wider_than_a_sharp_one(tmp_path):
    label = np.arange(1000) % 2
    plots.threshold_curve(label, np.where(label, 0.9, 0.1), 0.5, F1, tmp_path / "flat.png")
    plots.threshold_curve(label, np.where(label, 0.51, 0.49), 0.5, F1, tmp_path / "sharp.png")
    assert shaded(tmp_path / "flat.png") > 10 * shaded(tmp_path / "sharp.png") > 0


@settings(max_examples=8, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 1), st.sampled_from([0.0, 0.2, 0.5, 1.0])), min_size=1, max_size=6),
    st.floats(-0.5, 1.5),
)
def test_any_rows_and_any_threshold_give_a_picture(tmp_path_factory, rows, threshold):
    path = tmp_path_factory.mktemp("any") / "t.png"
    label, prob = (np.array(column) for column in zip(*rows, strict=True))
    plots.threshold_curve(label, prob, threshold, F1, path)
    assert pixels(path).shape[1] == 1200


@pytest.mark.parametrize(
    ("label", "prob", "complaint"),
    [([0, 2], [0.1, 0.2], "holds 2"), ([0, 1], [0.1, 1.2], "holds 1.2"), ([0, 1], [0.1], "lengths differ")],
)
def test_bad_rows_are_refused_and_nothing_is_written(tmp_path, label, prob, complaint):
    for draw in (plots.roc_curve, plots.pr_curve):
        with pytest.raises(ValueError, match=complaint):
            draw(label, {"ensemble": prob}, tmp_path / "c.png")
    with pytest.raises(ValueError, match=complaint):
        plots.threshold_curve(label, prob, 0.5, F1, tmp_path / "c.png")
    with pytest.raises(ValueError, match="members is empty"):
        plots.roc_curve([0, 1], {}, tmp_path / "c.png")
    assert not list(tmp_path.iterdir())
