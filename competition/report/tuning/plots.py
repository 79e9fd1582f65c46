"""A search in pictures: its history, what its settings matter, and which of their values did well.

Each function writes one PNG, atomically. ``loss`` is what was minimised, named as the axis names it.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from competition.core.search_space import Dimension, Trial
from competition.report import style

if TYPE_CHECKING:  # matplotlib takes a third of a second to import: only who draws waits for it
    from matplotlib.axes import Axes

PANEL = 1.45  # inches: the height of a setting's panel
HOLLOW = "hollow: ended early, at the likely loss"


def history_figure(trials: Sequence[Trial], loss: str, path: Path) -> None:
    """Draw each finished trial's loss by its number, the best so far, and the preset's, which is trial 0."""
    ended = [one for one in trials if one.loss is not None]
    losses = np.array([one.loss for one in ended], float)
    best = ended[int(losses.argmin())]
    title = f"Best of {len(trials)} trials: {best.loss:.4f}, trial {best.number}"
    title = title if best.number else "The preset is best"
    figure = style.new_page(title, f"{loss} on the folds of the search; {HOLLOW}", 3.2)
    axes = style.add_panel(figure, 0.62, 0.5, 4.2, 1.95)
    axes.axhline(losses[0], color=style.MUTED, linewidth=0.8, linestyle=style.DOTTED)
    axes.text(len(trials) - 0.4, losses[0], "preset", color=style.MUTED, fontsize=8, va="bottom", ha="right")
    axes.step(
        [one.number for one in ended], np.minimum.accumulate(losses), where="post", color=style.INK, linewidth=1.4
    )
    for one in trials:
        if (value := _shown(one)) is not None:
            axes.plot(one.number, value, "o", **_marker(one, style.BLUE, 5))
    lost = [one.number for one in trials if _shown(one) is None]  # which could not be trained
    axes.plot(lost, [0.02] * len(lost), "x", color=style.RED, markersize=5, transform=axes.get_xaxis_transform())
    axes.locator_params(axis="x", integer=True)
    axes.set_xlim(-0.5, len(trials) - 0.5)
    style.name_axes(axes, "trial", loss)
    style.save_page(figure, path)


def importances_figure(importances: Mapping[str, float], path: Path) -> None:
    """Draw how much of the losses' spread each setting explains."""
    names = sorted(importances, key=lambda name: -importances[name])
    title = f"{names[0]} matters most" if names else "Too few trials to tell what matters"
    figure = style.new_page(title, "share of the losses' spread that a setting explains", 1.3 + 0.32 * len(names))
    axes = style.add_panel(figure, 1.5, 0.5, 3.2, 0.1 + 0.32 * max(1, len(names)))
    axes.barh(range(len(names)), [importances[name] for name in names], color=style.BLUE, height=0.6)
    axes.set_yticks(range(len(names)), names, fontsize=9, color=style.INK, parse_math=False)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.grid(False, axis="y")
    style.name_axes(axes, "importance")
    style.save_page(figure, path)


def slices_figure(trials: Sequence[Trial], space: Sequence[Dimension], loss: str, path: Path) -> None:
    """Draw the loss of each trial by the value of each setting, the best one marked."""
    known = [one for one in trials if one.settings and _shown(one) is not None]
    height = 0.75 + (PANEL + 0.45) * len(space) if known else 0.8
    figure = style.new_page("Which values did well", f"{loss}; orange: the best; {HOLLOW}", height)
    best = min((one for one in known if one.loss is not None), key=lambda one: (one.loss, one.number), default=None)
    for row, dimension in enumerate(space if known else ()):
        axes = style.add_panel(figure, 0.62, height - 0.75 - (PANEL + 0.45) * row - PANEL, 4.2, PANEL)
        for one in known:
            if dimension.key in one.settings:
                colour, size = (style.RED, 7) if one is best else (style.BLUE, 5)
                axes.plot(_place(dimension, one), _shown(one) or 0.0, "o", **_marker(one, colour, size))
        _scale(axes, dimension)
        style.name_axes(axes, dimension.key, loss)
    style.save_page(figure, path)


def parallel_figure(trials: Sequence[Trial], space: Sequence[Dimension], loss: str, path: Path) -> None:
    """Draw each trial as a line over its settings and its loss: the better, the darker."""
    known = [one for one in trials if len(one.settings) == len(space) and _shown(one) is not None]
    known.sort(key=lambda one: -(_shown(one) or 0.0))
    figure = style.new_page("Each trial as a line", f"{loss} at the right; the better, the darker", 3.2)
    axes = style.add_panel(figure, 0.5, 0.55, 4.0, 1.9)
    losses = np.array([_shown(one) for one in known], float)
    for rank, one in enumerate(known):
        heights = [_share(dimension, one.settings[dimension.key]) for dimension in space]
        heights.append(float((losses[rank] - losses.min()) / (np.ptp(losses) or 1.0)))
        shade = 0.15 + 0.85 * (rank + 1) / len(known)
        axes.plot(range(len(heights)), heights, color=style.BLUE, alpha=shade, linewidth=0.6 + 1.4 * shade)
    names = [*(one.key for one in space), loss]
    axes.set_xticks(range(len(names)), names, fontsize=style.fit_size(8.5, 60, " ".join(names)), parse_math=False)
    axes.set_yticks([0, 1], ["least", "most"])
    style.save_page(figure, path)


def _shown(one: Trial) -> float | None:
    """Return a trial's loss, of one that was ended early what it would likely have come to."""
    return one.likely if one.loss is None else one.loss


def _marker(one: Trial, colour: str, size: float) -> dict[str, Any]:
    """Return the look of a trial's point: hollow where it was ended early."""
    inside = colour if one.loss is not None else "white"
    return {"color": colour, "markersize": size, "markerfacecolor": inside, "clip_on": False, "zorder": 4}


def _place(one: Dimension, trial: Trial) -> Any:
    """Return where a trial's value of a setting stands on its axis."""
    value = trial.settings[one.key]
    return one.choices.index(value) if one.choices else value


def _scale(axes: "Axes", one: Dimension) -> None:
    if one.choices:
        axes.set_xticks(range(len(one.choices)), [str(choice) for choice in one.choices], parse_math=False)
        axes.set_xlim(-0.5, len(one.choices) - 0.5)
        return
    if one.log:
        axes.set_xscale("log")
    axes.set_xlim(one.least, one.most)


def _share(one: Dimension, value: Any) -> float:
    """Return where a value lies between the least and the most of its setting, from 0 to 1."""
    if one.choices:
        return one.choices.index(value) / (len(one.choices) - 1)
    ends = np.log([one.least, one.most, value]) if one.log else np.array([one.least, one.most, value], float)
    return float((ends[2] - ends[0]) / (ends[1] - ends[0]))
