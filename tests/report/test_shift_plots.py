"""The scores' picture shows where test images differ; the sweep's shows what each change to the images costs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from competition.report import style
from competition.report.shift_plots import robustness_figure, shift_figure
from competition.report.trust import ConditionScore
from competition.scoring.shift.class_prior import Prior
from competition.scoring.shift.verdict import Shift
from tests.report.runs import ink, pixels, world

CLASSES = ("human", "AI")


def colour(path, name, tolerance=3):
    """Return where a picture has the colour, (height, width) bool."""
    wanted = [int(name[at : at + 2], 16) for at in (1, 3, 5)]
    return (np.abs(pixels(path).astype(int) - wanted) <= tolerance).all(axis=2)


def line_columns(path):
    """Return the columns of the panel, as a share of it, over which the test's line stands high."""
    image = colour(path, style.INK)[200:740]
    return np.flatnonzero(image[:360].any(axis=0)) / image.shape[1]


def draw(path, test, shift=None, rows=2000):
    label, probs = world(rows, ("ensemble",))
    shift_figure(label, probs["ensemble"], test, CLASSES, shift, path)
    return path


def test_the_line_of_the_test_images_stands_where_their_scores_are(tmp_path):
    low = line_columns(draw(tmp_path / "low.png", np.full((3, 500), 0.1)))
    high = line_columns(draw(tmp_path / "high.png", np.full((3, 500), 0.9)))
    assert low.max() < 0.5 < high.min()


def test_the_mix_at_the_estimated_balance_is_drawn_unless_the_world_is_the_same(tmp_path):
    test = world(600, ("ensemble",), seed=1)[1]["ensemble"]
    prior = Prior(0.2, 0.1, 0.3, 0.5)
    drawn = {}
    for verdict in ("same world", "label shift", "another world"):
        path = draw(tmp_path / f"{verdict}.png", [test], Shift(verdict, "", prior, []))
        drawn[verdict] = colour(path, style.MUTED, 0)[250:700].sum()
    assert drawn["same world"] < min(drawn["label shift"], drawn["another world"]) / 2


def test_scores_of_no_model_are_left_out(tmp_path):
    test = np.random.default_rng(0).random((1, 300))
    gaps = np.concatenate([test, np.full((1, 300), np.nan)])
    draw(tmp_path / "with.png", gaps)
    draw(tmp_path / "without.png", test)
    below_the_title = slice(150, None)
    assert (pixels(tmp_path / "with.png") == pixels(tmp_path / "without.png"))[below_the_title].all()


@settings(max_examples=8, deadline=None)
@given(st.lists(st.sampled_from([0.0, 1e-9, 0.3, 0.5, 1.0]), min_size=1, max_size=5), st.integers(0, 1))
def test_any_scores_give_a_picture(tmp_path_factory, scores, only):
    path = tmp_path_factory.mktemp("any") / "s.png"
    shift = Shift("label shift", "", Prior(0.3, 0.2, 0.4, 0.5), [])
    shift_figure([only] * len(scores), scores, [scores], CLASSES, shift, path)
    assert pixels(path).shape[1] == 1200


@pytest.mark.parametrize(("test", "complaint"), [([[0.5, 1.2]], "1.2"), ([[-0.1]], "-0.1")])
def test_what_is_no_probability_is_refused_and_nothing_is_written(tmp_path, test, complaint):
    with pytest.raises(ValueError, match=complaint):
        draw(tmp_path / "s.png", test)
    assert not list(tmp_path.iterdir())


def sweep(**values):
    return [ConditionScore(name, f1, None, 300, None) for name, f1 in values.items()]


def test_a_costly_change_is_orange_and_a_cheap_one_blue(tmp_path):
    robustness_figure(sweep(clean=0.94, jpeg95=0.93), tmp_path / "cheap.png")
    robustness_figure(sweep(clean=0.94, jpeg95=0.6), tmp_path / "costly.png")
    assert colour(tmp_path / "cheap.png", style.BLUE).any() and not colour(tmp_path / "cheap.png", style.RED).any()
    assert colour(tmp_path / "costly.png", style.RED).any() and not colour(tmp_path / "costly.png", style.BLUE).any()


def test_the_sweep_grows_by_a_row_for_every_condition(tmp_path):
    heights = []
    for names in ("a", "ab", "abcdef"):
        robustness_figure(sweep(**dict.fromkeys(names, 0.8)), tmp_path / "r.png")
        heights.append(len(pixels(tmp_path / "r.png")))
    assert heights[2] - heights[1] == pytest.approx(4 * (heights[1] - heights[0]), abs=4)


@pytest.mark.parametrize("found", [sweep(blur=0.8, half=0.7), sweep(blur=0.7), sweep(clean=1.0)])
def test_a_sweep_with_gaps_is_drawn_as_far_as_it_is_known(tmp_path, found):
    robustness_figure(found, tmp_path / "r.png")
    assert ink(tmp_path / "r.png") > 0.01
