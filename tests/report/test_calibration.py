"""The reliability curve lies on the diagonal where probabilities mean what they say, and takes any rows."""

import numpy as np
import pytest

from competition.report.calibration import calibration_curve
from tests.report.runs import pixels, world

CLASSES = ("human", "AI")


def dark(path):
    """Return how far, in pixels, the bold curve strays from the panel's diagonal on average."""
    image = pixels(path)[180:1000, 150:1140].astype(int)
    rows, columns = np.nonzero((image < 60).all(axis=2))
    return np.corrcoef(rows, columns)[0, 1]


def test_a_calibrated_ensemble_lies_on_the_diagonal_and_a_sharpened_one_does_not(tmp_path):
    rng = np.random.default_rng(0)
    prob = rng.random(20_000)
    label = (rng.random(20_000) < prob).astype(int)
    calibration_curve(label, {"ensemble": prob}, CLASSES, tmp_path / "good.png")
    calibration_curve(label, {"ensemble": prob**4 / (prob**4 + (1 - prob) ** 4)}, CLASSES, tmp_path / "bad.png")
    assert dark(tmp_path / "good.png") < -0.995 < -0.98 < dark(tmp_path / "bad.png")


@pytest.mark.parametrize(
    ("label", "prob"), [([0], [0.3]), ([1, 1, 1], [0.2, 0.2, 0.9]), ([0, 1], [0.0, 1.0]), ([0, 1] * 30, [0.5] * 60)]
)
def test_any_rows_give_a_picture(tmp_path, label, prob):
    calibration_curve(np.array(label), {"swin": np.array(prob)}, CLASSES, tmp_path / "c.png")
    assert pixels(tmp_path / "c.png").shape[1] == 1200


def test_more_members_than_a_legend_can_name_are_drawn(tmp_path):
    calibration_curve(*world(names=(*map(str, range(20)), "ensemble")), classes=CLASSES, path=tmp_path / "c.png")
    assert pixels(tmp_path / "c.png").shape[1] == 1200


@pytest.mark.parametrize(("prob", "complaint"), [([0.1, 1.2], "1.2"), ([0.1], "lengths differ")])
def test_bad_rows_are_refused_and_nothing_is_written(tmp_path, prob, complaint):
    with pytest.raises(ValueError, match=complaint):
        calibration_curve([0, 1], {"swin": prob}, CLASSES, tmp_path / "c.png")
    assert not list(tmp_path.iterdir())
