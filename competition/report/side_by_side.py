"""One model judged twice: by random folds, and by folds that hold out whole sources."""

from collections.abc import Mapping, Sequence

from rich.table import Table

from competition.report.terminal import source_figure
from competition.scoring.by_source import SourceScore
from competition.scoring.scorecard import Score

SPLITS = ("random\nfolds", "leave-\nsource-out", "difference")
FIGURES = {"F1": "f1", "AUC": "auc", "precision": "precision", "recall": "recall"}


def score_table(random: Mapping[str, Score], apart: Mapping[str, Score], title: str) -> Table:
    """Return F1, AUC, precision and recall of each name that both have, judged either way."""
    table = _new_table(title, ("", "", *SPLITS))
    for name in (name for name in random if name in apart):
        for figure, key in FIGURES.items():
            pair = random[name].figures[key], apart[name].figures[key]
            table.add_row(name if figure == "F1" else "", figure, *_cells(*pair))
    return table


def source_table(random: Sequence[SourceScore], apart: Sequence[SourceScore], title: str) -> Table:
    """Return each source's figure judged either way, the one that is worst when it is left out first."""
    table = _new_table(title, ("", "rows", "", *SPLITS))
    known = {score.source: score for score in random}
    for score in apart:
        name, value = source_figure(score)
        table.add_row(score.source, f"{score.rows:,}", name, *_cells(source_figure(known[score.source])[1], value))
    return table


def _new_table(title: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if column else "left", no_wrap=index > 0)
    return table


def _cells(random: float, apart: float) -> tuple[str, str, str]:
    return f"{random:.4f}", f"{apart:.4f}", f"{apart - random:+.4f}"
