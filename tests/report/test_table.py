import numpy as np
import pytest
from rich.console import Console

from competition.report.table import closing_tables
from competition.scoring.metrics import sigmoid
from competition.scoring.scorecard import score_predictions


@pytest.fixture(scope="module")
def scores():
    rng = np.random.default_rng(0)
    label = np.arange(90) % 2
    names = ("convnext-residual", "ensemble")
    return {name: score_predictions(label, sigmoid(rng.normal(size=90) + label), np.arange(90) % 3, np.arange(90),
                                    rng.random(40),
                                    rng.random((3, 40)), "argmax") for name in names}  # fmt: skip


@pytest.mark.parametrize("width", [80, 132, 200])
def test_every_figure_is_whole_at_any_usual_width(scores, width):
    out = Console(width=width, record=True, file=open("/dev/null", "w"), highlight=False)
    for table in closing_tables(scores, {name: 3700.0 for name in scores}, "mine", width):
        out.print(table)
    text = out.export_text()
    assert "…" not in text and max(map(len, text.splitlines())) <= width
    for name, score in scores.items():
        for key in ("f1", "precision", "recall", "auc", "log_loss"):
            assert f"{score.figures[key]:.4f}" in text
        assert name in text and f"{score.threshold:.4f}" in text and f"{score.test_rate:.1%}" in text
        assert f"{score.leaderboard[0]:.3f}-{score.leaderboard[1]:.3f}" in text and "1:01:40" in text
