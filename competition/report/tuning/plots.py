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


def history_figure(trials: Sequence[Trial], loss: str, path: Path) -> None:
    """Draw each finished trial's loss by its number, the best so far, and the preset's, which is trial 0."""
    ended = [one for one in trials if one.loss is not None]
    losses = np.array([one.loss for one in ended], float)
    best = ended[int(losses.argmin())]
    title = (
        f"Best of {len(trials)} trials: {best.loss:.4f}, trial {best.number}" if best.number else "The preset is best"
    )
    stopped = [one.number for one in trials if one.loss is None]
    figure = style.new_page(title, f"{loss} on the folds of the search; {len(stopped)} ended early (below)", 3.2)
    axes = style.add_panel(figure, 0.62, 0.5, 4.2, 1.95)
    numbers = [one.number for one in ended]
    axes.axhline(losses[0], color=style.MUTED, linewidth=0.8, linestyle=style.DOTTED)
    axes.text(len(trials) - 0.4, losses[0], "preset", color=style.MUTED, fontsize=8, va="bottom", ha="right")
    axes.step(numbers, np.minimum.accumulate(losses), where="post", color=style.INK, linewidth=1.4)
    axes.plot(numbers, losses, "o", color=style.BLUE, markersize=5)
    axes.plot(stopped, [0.02] * len(stopped), "x", color=style.RED, markersize=5, transform=axes.get_xaxis_transform())
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
    ended = [one for one in trials if one.loss is not None and one.settings]
    height = 0.75 + (PANEL + 0.45) * len(space) if ended else 0.8
    figure = style.new_page("Which values did well", f"{loss}, a point for each trial; orange: the best", height)
    best = min(ended, key=lambda one: (one.loss, one.number), default=None)
    for row, one in enumerate(space if ended else ()):
        axes = style.add_panel(figure, 0.62, height - 0.75 - (PANEL + 0.45) * row - PANEL, 4.2, PANEL)
        known = [trial for trial in ended if one.key in trial.settings]
        axes.plot(_places(one, known), [float(trial.loss or 0) for trial in known], "o", color=style.BLUE, markersize=5)
        if best in known:
            axes.plot(_places(one, [best]), [float(best.loss or 0)], "o", color=style.RED, markersize=7)
        _scale(axes, one)
        style.name_axes(axes, one.key, loss)
    style.save_page(figure, path)


def parallel_figure(trials: Sequence[Trial], space: Sequence[Dimension], loss: str, path: Path) -> None:
    """Draw each trial as a line over its settings and its loss: the better, the darker."""
    ended = sorted(
        (one for one in trials if one.loss is not None and len(one.settings) == len(space)),
        key=lambda one: -(one.loss or 0.0),
    )
    figure = style.new_page("Each trial as a line", f"{loss} at the right; the better, the darker", 3.2)
    axes = style.add_panel(figure, 0.5, 0.55, 4.0, 1.9)
    losses = np.array([one.loss for one in ended], float)
    for rank, one in enumerate(ended):
        heights = [_share(dimension, one.settings[dimension.key]) for dimension in space]
        heights.append(float((losses[rank] - losses.min()) / (np.ptp(losses) or 1.0)))
        shade = 0.15 + 0.85 * (rank + 1) / len(ended)
        axes.plot(range(len(heights)), heights, color=style.BLUE, alpha=shade, linewidth=0.6 + 1.4 * shade)
    names = [*(one.key for one in space), loss]
    axes.set_xticks(range(len(names)), names, fontsize=style.fit_size(8.5, 60, " ".join(names)), parse_math=False)
    axes.set_yticks([0, 1], ["least", "most"])
    style.save_page(figure, path)


def _places(one: Dimension, trials: Sequence[Trial]) -> list[Any]:
    """Return where the trials' values of a setting stand on its axis."""
    values = [trial.settings[one.key] for trial in trials]
    return [one.choices.index(value) for value in values] if one.choices else values


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
