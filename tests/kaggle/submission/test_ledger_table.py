"""The ledger's table and its picture, whatever the names and however many submissions there are."""

import io

import numpy as np
import pytest
from rich.console import Console

from competition.kaggle.submission.figures import Figures, figures_in
from competition.kaggle.submission.ledger import new_row
from competition.kaggle.submission.ledger_table import leaderboard_figure, ledger_tables, points_of
from competition.report import style
from tests.report.runs import pixels


def rows(count, name="run"):
    made = []
    for number in range(count):
        cv = 0.9 + 0.001 * number
        figures = Figures(
            name=name, cv=cv, cv_low=cv - 0.01, cv_high=cv + 0.01, range_low=cv - 0.1, range_high=cv + 0.05
        )
        status = {"public": f"{cv - 0.02 * (number % 7):.5f}", "status": "complete", "ref": str(number)}
        made.append(new_row(figures, "cats", "x.csv", f"{number:08x}") | status | {"time": "2026-11-21T00:00:00Z"})
    return made


@pytest.mark.parametrize(("count", "name"), [(1, "one"), (3, "$x^2$_{" * 9), (40, "run")])
def test_the_picture_shows_any_number_of_submissions_with_any_names_in_the_same_bytes(tmp_path, count, name):
    points = points_of([*rows(count, name), new_row(Figures(), "cats", "by hand.csv", "") | {"public": "0.5"}])
    assert len(points) == count  # what was made by hand has no CV
    for path in (tmp_path / "a.png", tmp_path / "b.png"):
        leaderboard_figure(points, {points[0].key}, "F1", path)
    red = [int(style.RED[at : at + 2], 16) for at in (1, 3, 5)]
    assert (pixels(tmp_path / "a.png") == np.array(red)).all(axis=2).any() == (count > 6)  # the first outside its range
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_the_table_says_the_same_in_any_width():
    words = {}
    for width in (100, 200):
        out = io.StringIO()
        for table in ledger_tables(rows(9), "cats", width):
            Console(file=out, width=width).print(table)
        words[width] = set(out.getvalue().split())
        assert all(len(line) <= width for line in out.getvalue().splitlines())
    assert (
        words[100] == words[200] and {"00000008", "0.9080", "-0.1200", "OUTSIDE", "inside", "0.800-0.950"} <= words[200]
    )


def test_an_empty_cell_is_unknown_and_not_zero():
    one = figures_in(new_row(Figures(), "cats", "x.csv", "") | {"ref": "7", "public": "pending"})
    assert (one.key, one.cv, one.interval, one.leaderboard, one.public, one.public_rows) == ("7", *[None] * 5)
