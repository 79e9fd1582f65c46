"""The closing table: every member and the ensemble, one line each."""

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from competition.scoring.scorecard import Score

WORTH = ("F1", "CV\ninterval", "leaderboard\nrange", "AUC", "log-loss", "threshold")
DETAIL = ("precision", "recall", "positive\nOOF", "positive\ntest", "time")
WIDE = 132  # columns that both halves side by side need, with a long member's name


def closing_tables(scores: Mapping[str, Score], seconds: Mapping[str, float], title: str, width: int) -> list[Table]:
    """Return each name's score, the last set apart: in one table, or in two where ``width`` columns are too few.

    Rates are shares of rows called positive; times are the sums of the jobs' own.
    """
    halves = [(*WORTH, *DETAIL)] if width >= WIDE else [WORTH, DETAIL]
    return [_table(scores, seconds, title if not index else "", half) for index, half in enumerate(halves)]


def _table(scores: Mapping[str, Score], seconds: Mapping[str, float], title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title or None, title_justify="left", header_style="bold", box=None, pad_edge=False)
    for column in ("", *columns):
        table.add_column(column, justify="right" if column else "left", no_wrap=True)
    last = list(scores)[-1]
    for name, score in scores.items():
        cells = _cells(score, seconds[name])
        table.add_row(name, *(cells[column] for column in columns), style="bold" if name == last else None)
    return table


def _cells(score: Score, seconds: float) -> dict[str, str]:
    figures = score.figures
    return {
        "F1": f"{figures['f1']:.4f}",
        "CV\ninterval": _span(score.interval),
        "leaderboard\nrange": _span(score.leaderboard),
        "AUC": f"{figures['auc']:.4f}",
        "log-loss": f"{figures['log_loss']:.4f}",
        "threshold": f"{score.threshold:.4f}",
        "precision": f"{figures['precision']:.4f}",
        "recall": f"{figures['recall']:.4f}",
        "positive\nOOF": f"{figures['predicted_positive_rate']:.1%}",
        "positive\ntest": "-" if score.test_rate is None else f"{score.test_rate:.1%}",
        "time": _duration(seconds),
    }


def _span(ends: tuple[float, float] | None) -> str:
    return "-" if ends is None else f"{ends[0]:.3f}-{ends[1]:.3f}"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02}:{rest:02}" if minutes >= 60 else f"{minutes}:{rest:02}"


def console() -> Console:
    """Return the console results are printed on: as wide as the terminal, or wide enough for one table in a file."""
    found = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
    return (
        found if found.is_terminal else Console(highlight=False, soft_wrap=True, markup=False, emoji=False, width=WIDE)
    )
