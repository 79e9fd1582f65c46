"""What becomes of each source: the share of its images that are called right, the worst at the top."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from competition.report import style
from competition.scoring.by_source import SourceScore

MAX_SHOWN = 20  # sources in one figure, and in the page's table
RIGHT_AT, AUC_AT = 1.19, 1.4  # where the columns of figures end, in widths of the panel


def sources_figure(found: Sequence[SourceScore], classes: tuple[str, str], path: Path) -> None:
    """Draw the share called right of the first ``MAX_SHOWN`` of ``found`` (one or more), coloured by their class."""
    shown, worst = found[:MAX_SHOWN], found[0]
    title = f"Worst source: {style.elide(worst.source, 18)}, {worst.accuracy:.1%} called right"
    more = f", the {len(shown)} worst of {len(found):,} sources" if len(found) > len(shown) else ""
    figure = style.new_page(
        title, f"blue: '{classes[0]}' alone; orange: '{classes[1]}' alone; black: both{more}", 1.6 + 0.36 * len(shown)
    )
    axes = style.add_panel(figure, 1.42, 0.5, 2.33, 0.36 * len(shown))
    column: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "va": "center", "ha": "right", "fontsize": 9}
    low = min(score.accuracy for score in shown)
    for place, score in enumerate(shown):
        colour = style.BLUE if not score.positives else style.RED if score.positives == score.rows else style.INK
        axes.plot([1, score.accuracy], [place, place], color=colour, linewidth=2.2)
        axes.plot(score.accuracy, place, "o", color=colour, markersize=7)
        area = "-" if score.auc is None else style.decimals(score.auc)
        for x, text, weight in ((RIGHT_AT, style.decimals(score.accuracy), "bold"), (AUC_AT, area, "normal")):
            axes.text(x, place, text, color=style.INK, fontweight=weight, **column)
    for x, text in ((RIGHT_AT, "right"), (AUC_AT, "AUC")):
        axes.text(x, -0.8, text, color=style.MUTED, **column)
    names = [style.elide(score.source, 20) for score in shown]
    axes.set_yticks(range(len(shown)), names, fontsize=9, color=style.INK, parse_math=False)
    margin = max(0.02, 0.06 * (1 - low))
    axes.set(xlim=(low - margin, 1 + margin), ylim=(len(shown) - 0.5, -0.5))
    axes.locator_params(axis="x", nbins=5)
    axes.grid(False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    style.name_axes(axes, "share of its images called right")
    style.save_page(figure, path)
