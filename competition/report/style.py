"""The one light look of all pictures: colours, page, panel and how a figure is written.

Same inputs and versions, same bytes: pyplot is not used, no setting of matplotlib is changed, no software is named.
"""

import io
from collections.abc import Sequence, Sized
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from competition.core.files import atomic_write, holds

if TYPE_CHECKING:  # matplotlib takes a third of a second to import: only who draws waits for it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

Corner = Literal["upper left", "lower left", "lower right"]

WIDTH, DPI = 5.0, 240  # inches and pixels per inch: three pixels here are one on a phone
INK, MUTED, RULE, SHADE = "#1b1f24", "#666d76", "#e4e7eb", "#d6e7f3"
BLUE, RED, GREEN = "#0072b2", "#d55e00", "#009e73"
PALETTE = (BLUE, RED, GREEN, "#cc79a7", "#e69f00", "#56b4e9")  # Okabe and Ito's, safe for the colour-blind
# The line of the ensemble, or of the only member.
BOLD: dict[str, Any] = {"color": INK, "linewidth": 2.2, "linestyle": "-", "zorder": 3}
DASHED, DOTTED = (0, (4, 1.5)), (0, (1.2, 1.2))


def decimals(value: float) -> str:
    """Return ``value`` with three decimals, or with four where three would round a smaller number up to 1."""
    return f"{value:.4f}" if 0.9995 <= value < 1 else f"{value:.3f}"


def fit_size(size: float, room: int, *texts: str) -> float:
    """Return ``size`` in points, less if the longest text has more characters than there is room for."""
    return size * min(1.0, room / max(map(len, texts)))


def elide(text: str, room: int) -> str:
    """Return ``text``, its middle replaced by an ellipsis where it has more characters than there is room for."""
    if len(text) <= room:
        return text
    tail = (room - 1) // 2
    return f"{text[: room - 1 - tail]}…{text[len(text) - tail :]}"


def curve_style(index: int) -> dict[str, Any]:
    """Return the thin line of the member of that number: a colour each, dashed when they have all been used."""
    dash = DASHED if index // len(PALETTE) % 2 else "-"
    return {"color": PALETTE[index % len(PALETTE)], "linewidth": 1, "linestyle": dash, "zorder": 2}


def new_page(title: str, subtitle: str, height: float) -> "Figure":
    """Return a white page of ``height`` inches: the finding in bold, and below it, smaller, what it rests on."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white")
    figure.set_layout_engine("none")
    FigureCanvasAgg(figure)
    add_text(figure, 0.15, height - 0.33, title, fontsize=fit_size(13, 42, title), fontweight="bold", color=INK)
    add_text(figure, 0.15, height - 0.55, subtitle, fontsize=fit_size(9, 70, subtitle))
    return figure


def save_empty_page(title: str, reason: str, path: Path) -> None:
    """Write a page that says why there is nothing to see."""
    save_page(new_page(title, reason, 0.8), path)


def add_text(figure: "Figure", x: float, y: float, text: str, **options: Any) -> None:
    """Write ``text``, whatever signs are in it, with its base line at (x, y) inches from the lower left corner."""
    options = {"color": MUTED, **options}
    figure.text(x / WIDTH, y / figure.get_figheight(), text, parse_math=False, **options)


def fill_cell(axes: "Axes", column: int, row: int, colour: str, shade: float = 1.0) -> None:
    """Fill a cell of a matrix whose cells are one unit wide and high; ``shade`` from 0 to 1."""
    x, y = [column + edge for edge in (0.01, 0.99, 0.99, 0.01)], [row + edge for edge in (0.01, 0.01, 0.99, 0.99)]
    axes.fill(x, y, color=colour, alpha=shade, linewidth=0)


def centre_text(axes: "Axes", x: float, y: float, text: str, size: float, colour: str) -> None:
    """Write ``text`` around (x, y) in the units of the axes."""
    axes.text(x, y, text, fontsize=size, color=colour, ha="center", va="center")


def add_panel(
    figure: "Figure", left: float, bottom: float, width: float, height: float, scales_of: "Axes | None" = None
) -> "Axes":
    """Return axes in the one look of all pictures, on the scales of others if given; the place is in inches."""
    tall = figure.get_figheight()
    place = (left / WIDTH, bottom / tall, width / WIDTH, height / tall)
    axes = figure.add_axes(place, sharex=scales_of, sharey=scales_of)
    axes.grid(True, color=RULE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set(color=MUTED, linewidth=0.6)
    axes.tick_params(labelsize=8.5, labelcolor=MUTED, color=MUTED, length=2.5, width=0.6)
    return axes


def name_axes(axes: "Axes", x: str, y: str = "") -> None:
    """Say what the axes show; no sign in it is read as a formula."""
    axes.set_xlabel(x, color=MUTED, fontsize=9, parse_math=False)
    axes.set_ylabel(y, color=MUTED, fontsize=9, parse_math=False)


def name_curves(axes: "Axes", curves: Sequence["Line2D"], names: Sequence[str], corner: Corner) -> None:
    """Add a legend in that corner; its letters shrink where a name is long, and no sign in it is read as a formula."""
    legend = axes.legend(curves, names, loc=corner, fontsize=fit_size(8.5, 34, *names))
    legend.get_frame().set(facecolor="white", edgecolor="none", alpha=0.9)
    for text in legend.get_texts():
        text.set(color=INK, parse_math=False)


def save_page(figure: "Figure", path: Path) -> None:
    """Write the page to ``path`` as a PNG, atomically, unless that is what stands there."""
    drawn = io.BytesIO()
    figure.savefig(drawn, format="png", dpi=DPI, metadata={"Software": None})
    if not holds(path, drawn.getvalue()):
        with atomic_write(path, "wb") as file:
            file.write(drawn.getvalue())


def thin_out(x: NDArray, y: NDArray) -> tuple[NDArray, NDArray]:
    """Drop the points that would fall on the pixel of the one before: 80,000 rows become some 2,000 points."""
    pixel = np.round(np.stack([x, y]) * 1200)
    keep = np.append(True, (np.diff(pixel) != 0).any(axis=0))
    keep[-1] = True
    return x[keep], y[keep]


def point_marker(points: Sized, size: float) -> dict[str, Any]:
    """Return the look that makes a line of one point visible."""
    return {"marker": "o", "markersize": size, "markeredgewidth": 0} if len(points) == 1 else {}
