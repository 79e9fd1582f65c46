"""The figure of the sources has a row for each, as far as there is room, and names the worst."""

import numpy as np
import pytest

from competition.report.source_plots import MAX_SHOWN, sources_figure
from competition.scoring.by_source import score_sources
from tests.report.runs import ink, pixels


def found(sources):
    label = np.arange(40 * sources) % 2
    prob = np.random.default_rng(0).random(label.size)
    return score_sources(label, prob, (prob > 0.5).astype(int), np.arange(label.size) // 40)


@pytest.mark.parametrize("sources", [1, 2, MAX_SHOWN, MAX_SHOWN + 30])
def test_every_source_has_a_row_as_far_as_there_is_room(tmp_path, sources):
    sources_figure(found(sources), ("human", "AI"), tmp_path / "s.png")
    height, width, _ = pixels(tmp_path / "s.png").shape
    assert width == 1200 and abs(height - 240 * (1.6 + 0.36 * min(sources, MAX_SHOWN))) < 2
    assert ink(tmp_path / "s.png") > 0.02
