"""How alike the members decide: what averaging can gain from, in one matrix."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from competition.report import style

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
    figure = style.new_page(title, subtitle, side + below + 0.85)
    axes = style.add_panel(figure, left, below, side, side)
    size = min(13.0, 46 / len(members))
    for index, name in enumerate(members):
        style.fill_cell(axes, index, index, style.RULE)
        _write(axes, (index, index), (f"{found['wrong'][name]:.1%}", "wrong"), size, style.MUTED)
    for pair in found["pairs"]:
        column, row = (members.index(name) for name in pair["members"])
        kappa, phi = (pair[key] for key in ("kappa", "error_correlation"))
        upper, lower = ("undefined" if value is None else f"{value:.2f}" for value in (kappa, phi))
        shade = 0.12 + 0.88 * max(0.0, kappa or 0.0)
        style.fill_cell(axes, column, row, style.BLUE, shade)
        _write(axes, (column, row), (upper, lower), size, "white" if shade > 0.6 else style.INK)
    letters = min(8.5, 40 / len(members) + 2)
    labels = [style.elide(name, int((left - 0.15) * 72 / (0.62 * letters))) for name in members]  # 72 points an inch
    options: dict[str, Any] = {"fontsize": letters, "color": style.INK, "parse_math": False}
    slanting = {} if few else {"rotation": 30, "ha": "right"}
    places = [index + 0.5 for index in range(len(members))]
    axes.set_xticks(places, labels, **options | slanting)
    axes.set_yticks(places, labels, **options)
    axes.set(xlim=(0, len(members)), ylim=(len(members), 0))
    axes.grid(False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    style.save_page(figure, path)


def _write(axes: "Axes", cell: tuple[int, int], texts: tuple[str, str], size: float, colour: str) -> None:
    """Write two texts into a cell (column, row), the upper one larger."""
    column, row = cell
    style.centre_text(axes, column + 0.5, row + 0.4, texts[0], size * 1.25, colour)
    style.centre_text(axes, column + 0.5, row + 0.68, texts[1], size * 0.85, colour)
