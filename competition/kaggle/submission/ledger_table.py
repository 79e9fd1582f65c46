"""Submissions side by side: the ledger's table, and the picture of CV against the public leaderboard."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from competition.kaggle.submission.figures import Row, figures_in, number, place
from competition.report import style
from competition.report.terminal import in_halves, span

if TYPE_CHECKING:  # matplotlib takes a third of a second to import: only who draws waits for it
    from matplotlib.axes import Axes

BEFOREHAND = ("date", "name", "file", "CV", "CV\ninterval", "leaderboard\nrange")
AFTERWARDS = ("file", "public", "gap", "range", "private", "status")
LEFT_ALIGNED = ("date", "name", "file", "range", "status")  # of the columns
MAX_NAMES, LINE = 16, 0.19  # that stand beside the panel, and inches from one to the next
PANEL = (0.6, 0.55, 2.75, 3.3)  # inches: left, bottom, width, height


def called(row: Row) -> str:
    """Return what a submission is called in a sentence."""
    return f"{row['name'] or row['file'] or 'submission'} ({row['fingerprint'] or row['ref'] or 'no reference'})"


def ledger_tables(rows: Sequence[Row], title: str, width: int) -> list[Table]:
    """Return one competition's submissions as a table, or as two where ``width`` columns are too few."""
    cells = [_cells(row) for row in rows]
    styled = [(row, "red" if row["range"] == "OUTSIDE" else None) for row in cells]
    return in_halves(styled, (BEFOREHAND, AFTERWARDS), title, width, LEFT_ALIGNED)


def _cells(row: Row) -> dict[str, str]:
    one = figures_in(row)
    return {
        "date": row["time"][:10],
        "name": style.elide(row["name"] or row["file"] or "-", 24),
        "file": row["fingerprint"] or "-",
        "CV": _decimal(one.cv),
        "CV\ninterval": span(one.interval),
        "leaderboard\nrange": span(one.leaderboard),
        "public": _decimal(one.public),
        "gap": "-" if one.public is None or one.cv is None else f"{one.public - one.cv:+.4f}",
        "range": {"": "-", "inside": "inside"}.get(place(one.public, one.leaderboard), "OUTSIDE"),
        "private": _decimal(number(row["private"])),
        "status": row["status"],
    }


def _decimal(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


@dataclass(frozen=True)
class Point:
    """A submission with both scores, as of its :class:`Figures`; ``name``: its caption."""

    name: str
    key: str
    cv: float
    public: float
    interval: tuple[float, float] | None
    leaderboard: tuple[float, float] | None


def points_of(rows: Sequence[Row]) -> list[Point]:
    """Return the rows that have both scores."""
    points = []
    for row in rows:
        one, name = figures_in(row), f"{style.elide(row['name'] or row['file'], 13)} {row['fingerprint']}"
        if one.cv is not None and one.public is not None:
            points.append(Point(name, one.key, one.cv, one.public, one.interval, one.leaderboard))
    return points


def leaderboard_figure(points: Sequence[Point], final: Collection[str], metric: str, path: Path) -> None:
    """Draw each submission's public score against its CV score, by one metric, with the diagonal where they are equal.

    Level bars are CV intervals, upright ones leaderboard ranges; a public score outside its range is red. The keys in
    ``final`` are ringed. Names stand beside, the newest (last) 16 of them. There is at least one point.
    """
    outside = [one for one in points if place(one.public, one.leaderboard) in ("below", "above")]
    title = f"{len(outside)} of {len(points)} public scores outside their range"
    if not outside:
        title = "Every public score inside its range"
    subtitle = "across: CV interval; upright: leaderboard range; dashed: as CV; ringed: final two"
    figure = style.new_page(title, subtitle, 4.65)
    axes = style.add_panel(figure, *PANEL)
    for one in points:
        _draw(axes, one, one in outside, one.key in final)
    _limit(axes, points)
    axes.axline((0, 0), slope=1, color=style.MUTED, linewidth=0.8, linestyle=style.DASHED, zorder=1.8)
    ringed = [one for one in points if one.key in final]
    plain = [one for one in points if one not in ringed]
    _name(axes, [*ringed, *plain[max(0, len(plain) - MAX_NAMES + len(ringed)) :]], final)
    style.name_axes(axes, f"CV {metric}", f"public leaderboard {metric}")
    style.save_page(figure, path)


def _draw(axes: "Axes", one: Point, outside: bool, final: bool) -> None:
    colour = style.RED if outside else style.BLUE
    if one.leaderboard:
        axes.plot([one.cv] * 2, one.leaderboard, color=style.SHADE, linewidth=4, solid_capstyle="butt", zorder=1.5)
    if one.interval:
        axes.plot(one.interval, [one.public] * 2, color=colour, linewidth=0.9, zorder=2)
    axes.plot(one.cv, one.public, "o", color=colour, markersize=5, markeredgewidth=0, zorder=4)
    if final:
        axes.plot(one.cv, one.public, "o", fillstyle="none", color=style.INK, markersize=9, zorder=4)


def _limit(axes: "Axes", points: Sequence[Point]) -> None:
    """Show every bar whole, with a margin."""
    across = [value for one in points for value in (one.cv, *(one.interval or ()))]
    upright = [value for one in points for value in (one.public, *(one.leaderboard or ()))]
    for values, limit in ((across, axes.set_xlim), (upright, axes.set_ylim)):
        margin = max(0.005, 0.06 * (max(values) - min(values)))
        limit(min(values) - margin, max(values) + margin)
    axes.locator_params(axis="x", nbins=4)


def _name(axes: "Axes", points: Sequence[Point], final: Collection[str]) -> None:
    """Write the names beside the panel, a thin line from each to its point, none above another."""
    low, high = axes.get_ylim()
    step = LINE / PANEL[3] * (high - low)
    ordered = sorted(points, key=lambda one: (-one.public, one.cv))
    heights: list[float] = []
    for one in ordered:
        heights.append(min([one.public, *([heights[-1] - step] if heights else [])]))
    floor = low
    for index in range(len(heights) - 1, -1, -1):  # those that were pushed out below push the others up
        heights[index] = max(heights[index], floor)
        floor = heights[index] + step
    right = axes.get_xlim()[1]
    for one, height in zip(ordered, heights, strict=True):
        edge = right + 0.05 * (right - axes.get_xlim()[0])
        across, upright = [one.cv, right, edge], [one.public, one.public, height]
        axes.plot(across, upright, color=style.RULE, linewidth=0.7, zorder=1, clip_on=False)
        name, weight = f" {style.elide(one.name, 24)}", "bold" if one.key in final else "normal"
        axes.text(edge, height, name, color=style.INK, fontsize=7.5, fontweight=weight, va="center", parse_math=False)
