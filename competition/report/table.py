"""The closing table: every member and the ensemble, one line each."""

from collections.abc import Mapping

from rich.console import Console
from rich.table import Table

from competition.scoring.scorecard import Score

COLUMNS = ("", "F1", "CV interval", "leaderboard range", "precision", "recall", "AUC", "log-loss", "threshold",
           "positive OOF", "test", "time")  # fmt: skip


def closing_table(scores: Mapping[str, Score], seconds: Mapping[str, float], title: str) -> Table:
    """Return the table of each name's score; the last is set apart. Rates are shares of rows called positive."""
    table = Table(title=title, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for index, column in enumerate(COLUMNS):
        table.add_column(column, justify="right" if index else "left", no_wrap=True)
    last = list(scores)[-1]
    for name, score in scores.items():
        figures = score.figures
        table.add_row(
            name,
            f"{figures['f1']:.4f}",
            _span(score.interval),
            _span(score.leaderboard),
            *(f"{figures[key]:.4f}" for key in ("precision", "recall", "auc", "log_loss")),
            f"{score.threshold:.4f}",
            f"{figures['predicted_positive_rate']:.1%}",
            "-" if score.test_rate is None else f"{score.test_rate:.1%}",
            _duration(seconds[name]),
            style="bold" if name == last else None,
        )
    return table


def _span(ends: tuple[float, float] | None) -> str:
    return "-" if ends is None else f"{ends[0]:.3f}-{ends[1]:.3f}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"


def console() -> Console:
    """Return the console results are printed on: as wide as the terminal, or wide enough for the table in a file."""
    found = Console(highlight=False, soft_wrap=True)
    return found if found.is_terminal else Console(highlight=False, width=140)
