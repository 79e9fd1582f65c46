"""The matrix of members: the more alike, the darker; undefined figures are no error."""

import numpy as np
import pytest

from competition.report.agreement import agreement_matrix
from competition.scoring.evaluation import agreement
from tests.report.runs import pixels


def draw(path, decisions, label):
    agreement_matrix(agreement(decisions, label), path)
    return pixels(path)


def test_members_that_agree_are_darker_than_members_that_do_not(tmp_path):
    label = np.arange(200) % 2
    noisy = np.where(np.arange(200) % 3, label, 1 - label)
    alike = draw(tmp_path / "a.png", {"a": noisy, "b": noisy}, label)
    apart = draw(tmp_path / "b.png", {"a": noisy, "b": label}, label)
    assert alike.mean() < apart.mean() - 3


@pytest.mark.parametrize("count", [2, 3, 5, 12])
def test_any_number_of_members_with_long_names_fits(tmp_path, count):
    rng = np.random.default_rng(0)
    decisions = {f"{index}-a-member-with-a-rather-long-name": rng.integers(0, 2, 50) for index in range(count)}
    image = draw(tmp_path / "a.png", decisions, rng.integers(0, 2, 50))
    assert image.shape[1] == 1200
    edge = np.concatenate([image[:, :3].reshape(-1, 3), image[:, -3:].reshape(-1, 3), image[-3:].reshape(-1, 3)])
    assert (edge == 255).all()  # nothing is cut off


def test_figures_that_are_undefined_are_drawn_as_such(tmp_path):
    assert draw(tmp_path / "a.png", {"a": [1, 1], "b": [1, 1]}, [1, 1]).shape[1] == 1200
