"""Whether a probability means what it says: of the images called 80 % likely, are 80 % of class 1?"""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from competition.report import style
from competition.report.plots import MAX_NAMED, check_members
from competition.scoring.evaluation import evaluate, reliability

if TYPE_CHECKING:  # matplotlib takes a third of a second to import: only who draws waits for it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BARS = 40


def calibration_curve(label: ArrayLike, members: Mapping[str, ArrayLike], classes: tuple[str, str], path: Path) -> None:
    """Draw each member's reliability curve, the last one's bold, and below it the last one's probabilities by class.

    ``label`` (n,) holds 0 and 1; ``members`` maps a name to the probabilities (n,) of the same rows. A point is one of
    ten bins of equally many rows (see ``reliability``); the figures are Brier score and expected calibration error.
    Raises ``ValueError`` for other labels or probabilities and for no member.
    """
    truth, probs = check_members(label, members)
    figures = {name: evaluate(truth, prob, prob >= 0.5) for name, prob in probs.items()}
    *names, final = probs
    subject = "Ensemble" if final == "ensemble" else final
    title = f"{subject} strays {style.decimals(figures[final]['ece'])} from what it says"
    basis = f"expected calibration error; Brier score {style.decimals(figures[final]['brier'])}; {truth.size:,} images"
    figure = style.new_page(title, basis, 6.2)
    axes = style.add_panel(figure, 0.6, 1.9, 4.2, 3.5)
    axes.plot([0, 1], [0, 1], color=style.MUTED, linewidth=0.8, linestyle=style.DOTTED, zorder=1)
    handles = {}
    for index, (name, prob) in enumerate(probs.items()):
        options = {**style.curve_style(index), "markersize": 2.5, "zorder": 2}
        if name == final:
            options |= style.BOLD | {"markersize": 5}
        mean_prob, share, _ = reliability(truth, prob)
        (handles[name],) = axes.plot(mean_prob, share, marker="o", **options)
    shown = [final, *sorted(names, key=lambda name: figures[name]["ece"])[: MAX_NAMED - 1]]
    texts = [f"{style.decimals(figures[name]['ece'])}  {name}" for name in shown]
    if names:
        style.name_curves(axes, [handles[name] for name in shown], texts, "upper left")
    axes.set(xlim=(-0.012, 1.012), ylim=(-0.012, 1.012))
    axes.tick_params(labelbottom=False)
    style.name_axes(axes, "", f"share of class {style.elide(classes[1], 24)}")
    bars = _draw_bars(figure, truth, probs[final], classes)
    style.name_axes(bars, f"predicted probability, {'ensemble' if subject == 'Ensemble' else subject}", "images")
    style.save_page(figure, path)


def _draw_bars(figure: "Figure", label: NDArray[np.bool_], prob: NDArray, classes: tuple[str, str]) -> "Axes":
    """Draw how often each probability was given, by true class, into a panel at the bottom of the page."""
    bars = style.add_panel(figure, 0.6, 0.55, 4.2, 1.15)
    for number, (colour, x, side) in enumerate(((style.BLUE, 0.6, "left"), (style.RED, 4.8, "right"))):
        count, edge = np.histogram(prob[label == number], BARS, (0, 1))
        bars.stairs(count, edge, color=colour, fill=True, alpha=0.45, linewidth=0)
        style.add_text(figure, x, 1.72, style.elide(classes[number], 30), color=colour, fontsize=8.5, ha=side)
    bars.set_xlim(-0.012, 1.012)
    bars.locator_params(axis="y", nbins=3, integer=True)
    return bars
