"""Whether a probability means what it says: of the images called 80 % likely, are 80 % of class 1?"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from competition.report import style as look
from competition.report.plots import NAMED, check_members
from competition.scoring.evaluation import evaluate, reliability

BARS = 40


def calibration_curve(label: ArrayLike, members: Mapping[str, ArrayLike], classes: tuple[str, str], path: Path) -> None:
    """Draw each member's reliability curve, the last one's bold, and below it the last one's probabilities by class.

    ``label`` (n,) holds 0 and 1; ``members`` maps a name to the probabilities (n,) of the same rows. A point is one of
    ten bins of equally many rows (see ``reliability``); the figures are Brier score and expected calibration error.
    Raises ``ValueError`` for other labels or probabilities and for no member.
    """
    label, members = check_members(label, members)
    figures = {name: evaluate(label, prob, prob >= 0.5) for name, prob in members.items()}
    *names, final = members
    subject = "Ensemble" if final == "ensemble" else final
    title = f"{subject} strays {look.decimals(figures[final]['ece'])} from what it says"
    basis = f"expected calibration error; Brier score {look.decimals(figures[final]['brier'])}; {label.size:,} images"
    figure = look.new_page(title, basis, 6.2)
    axes = look.add_panel(figure, 0.6, 1.9, 4.2, 3.5)
    axes.plot([0, 1], [0, 1], color=look.MUTED, linewidth=0.8, linestyle=look.DOTTED, zorder=1)
    handles = {}
    for index, (name, prob) in enumerate(members.items()):
        style = {**look.curve_style(index), "markersize": 2.5, "zorder": 2}
        if name == final:
            style |= look.BOLD | {"markersize": 5}
        mean_prob, share, _ = reliability(label, prob)
        (handles[name],) = axes.plot(mean_prob, share, marker="o", **style)
    shown = [final, *sorted(names, key=lambda name: figures[name]["ece"])[: NAMED - 1]]
    texts = [f"{look.decimals(figures[name]['ece'])}  {name}" for name in shown]
    if names:
        look.name_curves(axes, [handles[name] for name in shown], texts, "upper left")
    axes.set(xlim=(-0.012, 1.012), ylim=(-0.012, 1.012))
    axes.tick_params(labelbottom=False)
    look.name_axes(axes, "", f"share of class {look.elide(classes[1], 24)}")
    bars = look.add_panel(figure, 0.6, 0.55, 4.2, 1.15)
    for number, colour in enumerate((look.BLUE, look.RED)):
        count, edge = np.histogram(members[final][label == number], BARS, (0, 1))
        bars.stairs(count, edge, color=colour, fill=True, alpha=0.45, linewidth=0)
        look.add_text(
            figure,
            (0.6, 4.8)[number],
            1.72,
            look.elide(classes[number], 30),
            color=colour,
            fontsize=8.5,
            ha=("left", "right")[number],
        )
    bars.set_xlim(-0.012, 1.012)
    bars.locator_params(axis="y", nbins=3, integer=True)
    look.name_axes(bars, f"predicted probability, {subject.lower() if subject == 'Ensemble' else subject}", "images")
    look.save_page(figure, path)
