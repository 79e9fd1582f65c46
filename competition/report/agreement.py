"""How alike the members decide: what averaging can gain from, in one matrix."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from competition.report import style as look

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def agreement_matrix(found: Mapping[str, Any], path: Path) -> None:
    """Draw Cohen's kappa of every two members, the correlation of their errors below it, and each one's errors.

    ``found`` is what ``scoring.evaluation.agreement`` returned for two members or more. The darker, the more alike.
    """
    members = found["members"]
    known = [pair for pair in found["pairs"] if pair["error_correlation"] is not None]
    apart = min(known, key=lambda pair: pair["error_correlation"], default=None)
    names = " and ".join(apart["members"]) if apart else ""
    title = f"Least alike in error: {names}" if apart and len(members) > 2 else "How alike the members decide"
    subtitle = "upper figure: agreement beyond chance (kappa); lower: correlation of errors"
    few = len(members) < 4  # names beside one another, not slanting
    side, left, below = (3.7, 1.15, 0.35) if few else (3.55, 1.3, 0.95)
    figure = look.new_page(title, subtitle, side + below + 0.85)
    axes = look.add_panel(figure, left, below, side, side)
    size = min(13.0, 46 / len(members))
    for index, name in enumerate(members):
        _cell(axes, index, index, look.RULE, f"{found['wrong'][name]:.1%}", "wrong", size, look.MUTED)
    for pair in found["pairs"]:
        column, row = (members.index(name) for name in pair["members"])
        kappa, phi = (pair[key] for key in ("kappa", "error_correlation"))
        texts = ["undefined" if value is None else f"{value:.2f}" for value in (kappa, phi)]
        shade = 0.12 + 0.88 * max(0.0, kappa or 0.0)
        _cell(axes, column, row, look.BLUE, *texts, size, "white" if shade > 0.6 else look.INK, shade)
    letters = min(8.5, 40 / len(members) + 2)
    labels = [look.elide(name, int((left - 0.15) * 72 / (0.62 * letters))) for name in members]  # 72 points an inch
    style = {"fontsize": letters, "color": look.INK, "parse_math": False}
    places = [index + 0.5 for index in range(len(members))]
    axes.set_xticks(places, labels, **style, **({} if few else {"rotation": 30, "ha": "right"}))
    axes.set_yticks(places, labels, **style)
    axes.set(xlim=(0, len(members)), ylim=(len(members), 0))
    axes.grid(False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    look.save_page(figure, path)


def _cell(
    axes: "Axes", column: int, row: int, colour: str, upper: str, lower: str, size: float, ink: str, shade: float = 1.0
) -> None:
    x, y = [column + edge for edge in (0.01, 0.99, 0.99, 0.01)], [row + edge for edge in (0.01, 0.01, 0.99, 0.99)]
    axes.fill(x, y, color=colour, alpha=shade, linewidth=0)
    style = {"color": ink, "ha": "center", "va": "center"}
    axes.text(column + 0.5, row + 0.4, upper, fontsize=size * 1.25, **style)
    axes.text(column + 0.5, row + 0.68, lower, fontsize=size * 0.85, **style)
