"""What the shift alarm sees, in pictures: the scores of training and test images, and F1 on images that were changed.

Like is compared with like: single fold models judge training rows out of fold, and so they do the test rows here.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from competition.report import style
from competition.report.trust import ConditionScore
from competition.scoring.arrays import check_binary, check_prob, check_same_length, logit
from competition.scoring.shift.verdict import DOMAIN_SHIFT, LABEL_SHIFT, SAME, Shift

if TYPE_CHECKING:  # matplotlib takes a third of a second to import: only who draws waits for it
    from matplotlib.axes import Axes

MIN_PROB = 1e-6  # probabilities nearer to 0 or 1 count as this near: their logits would be infinite
TAIL_PERCENT = 0.25  # per cent of the scores that the outermost bars gather on either side
TICKS = (0.5, 0.1, 0.9, 0.01, 0.99, 0.001, 0.999, 1e-4, 1 - 1e-4, 1e-5, 1 - 1e-5, 0.3, 0.7, 0.2, 0.8, 0.4, 0.6)
TITLES = {
    SAME: "Test images score like the training images",
    LABEL_SHIFT: "Test images score like another mix of classes",
    DOMAIN_SHIFT: "Test images score like no mix of the classes",
}
CONDITIONS = {
    "clean": "as they are",
    "jpeg95": "JPEG, quality 95",
    "jpeg85": "JPEG, quality 85",
    "jpeg75": "JPEG, quality 75",
    "jpeg50": "JPEG, quality 50",
    "jpeg30": "JPEG, quality 30",
    "webp80": "WebP, quality 80",
    "half": "halved and back",
    "quarter": "quartered and back",
    "blur": "blurred, 1 pixel",
    "blur2": "blurred, 2 pixels",
    "noise": "noise added",
    "crop": "cropped, enlarged",
    "colour": "other colours",
    "chain": "three in a row",
}
F1_AT, AUC_AT, RATE_AT = 1.3, 1.6, 1.9  # where the figures stand: panel widths from its left edge
MIN_COSTLY_FALL = 0.05  # of F1: a fall from here on is drawn in the colour of errors


def shift_figure(
    label: ArrayLike, prob: ArrayLike, test_scores: ArrayLike, classes: tuple[str, str], shift: Shift | None, path: Path
) -> None:
    """Draw how the scores of both classes add up to the training images', and the line of the test images.

    ``label`` and ``prob`` (n,) are out-of-fold labels and probabilities, ``test_scores`` (k, m) the test rows'
    probabilities by each fold's models, all counted; NaN in these is left out. Where the verdict of
    ``shift`` is not the same world, a dashed line is the mix of the two classes at its prior. The axis
    is the logit, named by probabilities. Raises ``ValueError`` for other labels or probabilities, and unequal lengths.
    """
    label, prob = check_binary("label", label), check_prob("prob", prob)
    check_same_length(label=label, prob=prob)
    scores = np.atleast_2d(np.asarray(test_scores, float))
    test = check_prob("test_scores", scores[np.isfinite(scores)])
    edge = _edges(logit(prob, MIN_PROB), logit(test, MIN_PROB))
    human, machine = (_density(prob[label == number], edge) for number in (0, 1))
    parts = f"by {len(scores)} fold models" if len(scores) > 1 else "by one fold's models"
    subtitle = f"{label.size:,} training images out of fold, {scores.shape[1]:,} test images {parts}"
    figure = style.new_page(TITLES[shift.verdict] if shift else "Scores of training and test images", subtitle, 4.15)
    axes = style.add_panel(figure, 0.3, 1.0, 4.4, 2.35)
    rate = label.mean()
    below, above = (1 - rate) * human, _mix(human, machine, rate)
    names = [f"training, {style.elide(name, 26)}" for name in classes]
    axes.stairs(below, edge, color=style.BLUE, label=names[0], fill=True, alpha=0.5, linewidth=0)
    axes.stairs(above, edge, baseline=below, color=style.RED, label=names[1], fill=True, alpha=0.5, linewidth=0)
    axes.stairs(_density(test, edge), edge, color=style.INK, linewidth=1.8, label="test", zorder=3)
    if shift and shift.verdict != SAME and shift.prior and 0 < rate < 1:
        prior = shift.prior.value
        options: dict[str, Any] = {"color": style.MUTED, "linewidth": 1.1, "linestyle": style.DASHED, "zorder": 2}
        name = f"training, if {prior:.0%} were {style.elide(classes[1], 14)}"
        axes.stairs(_mix(human, machine, prior), edge, label=name, **options)
    _finish(axes, edge)
    style.save_page(figure, path)


def _mix(human: NDArray[np.float64], machine: NDArray[np.float64], rate: float) -> NDArray[np.float64]:
    return (1 - rate) * human + rate * machine


def _finish(axes: "Axes", edge: NDArray[np.float64]) -> None:
    """Name the logits by their probabilities and the areas by a legend below."""
    legend = axes.legend(loc="upper left", bbox_to_anchor=(-0.02, -0.18), ncols=2, frameon=False, fontsize=8.5)
    for text in legend.get_texts():
        text.set(color=style.INK, parse_math=False)
    axes.set_xlim(edge[0], edge[-1])
    axes.set_xticks(*_ticks(edge[0], edge[-1]))
    axes.set_ylim(0, None)
    axes.set_yticks([])
    axes.spines["left"].set_visible(False)
    style.name_axes(axes, "probability by one fold's models, on the logit scale")


def _edges(*logits: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the edges of bars that show either set of scores: the fewer scores, the fewer bars."""
    both = np.concatenate(logits)
    low, high = np.percentile(both, [TAIL_PERCENT, 100 - TAIL_PERCENT])
    if high - low < 0.1:
        low, high = low - 0.5, high + 0.5
    bars = int(np.clip(2 * min(map(len, logits)) ** (1 / 3), 8, 48))
    return np.linspace(low, high, bars + 1)


def _density(prob: NDArray[np.float64], edge: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of the rows in each bar; the outermost ones gather what lies beyond."""
    count, _ = np.histogram(np.clip(logit(prob, MIN_PROB), edge[0], edge[-1]), edge)
    return count / max(1, count.sum())


def _ticks(low: float, high: float) -> tuple[list[float], list[str]]:
    """Return round probabilities as logits, none too near to another, and their names."""
    kept: list[float] = []
    for prob in TICKS:
        at = float(logit(prob, MIN_PROB))
        if low <= at <= high and all(abs(at - other) >= (high - low) / 9 for other in kept):
            kept.append(at)
    kept = sorted(kept) if len(kept) > 1 else [float(low), float(high)]
    return kept, [_name(1 / (1 + np.exp(-at))) for at in kept]


def _name(prob: float) -> str:
    """Return a probability with as many digits as tell it from 0 and 1."""
    nearest = min(prob, 1 - prob)
    return f"{prob:.{max(1, int(np.ceil(-np.log10(nearest) - 1e-6)))}f}"


def robustness_figure(found: Sequence[ConditionScore], path: Path) -> None:
    """Draw F1 and ROC AUC under each condition, against the line of the unchanged images; false positives in figures.

    ``found`` has one entry or more. The one named "clean", else the first, is what the others are compared with.
    """
    clean = next((row for row in found if row.condition == "clean"), found[0])
    figure = style.new_page(*_title(found, clean), 1.6 + 0.36 * len(found))
    axes = style.add_panel(figure, 1.32, 0.5, 1.86, 0.36 * len(found))
    column: dict[str, Any] = {"transform": axes.get_yaxis_transform(), "va": "center", "ha": "right", "fontsize": 9}
    for place, row in enumerate(found):
        _draw_condition(axes, place, row, clean)
        rate = "-" if row.false_positive_rate is None else f"{row.false_positive_rate:.0%}"
        area = "-" if row.auc is None else style.decimals(row.auc)
        for x, text, weight in (
            (F1_AT, style.decimals(row.f1), "bold"),
            (AUC_AT, area, "normal"),
            (RATE_AT, rate, "normal"),
        ):
            axes.text(x, place, text, color=style.INK, fontweight=weight, **column)
    for x, text in ((F1_AT, "● F1"), (AUC_AT, "◇ AUC"), (RATE_AT, "FPR")):
        axes.text(x, -0.8, text, color=style.MUTED, **column)
    axes.axvline(clean.f1, color=style.INK, linewidth=0.9, linestyle=style.DOTTED, zorder=1)
    names = [style.elide(CONDITIONS.get(row.condition, row.condition), 20) for row in found]
    axes.set_yticks(range(len(found)), names, fontsize=9, color=style.INK, parse_math=False)
    known = [value for row in found for value in (row.f1, row.auc) if value is not None]
    margin = max(0.02, 0.06 * (max(known) - min(known)))
    axes.set(xlim=(min(known) - margin, max(known) + margin), ylim=(len(found) - 0.5, -0.5))
    axes.locator_params(axis="x", nbins=5)
    axes.grid(False, axis="y")
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
    style.save_page(figure, path)


def _draw_condition(axes: "Axes", place: int, row: ConditionScore, clean: ConditionScore) -> None:
    """Mark a condition's AUC and F1, this one with a line from the unchanged images' F1."""
    if row.auc is not None:
        options: dict[str, Any] = {"markeredgecolor": style.MUTED, "markeredgewidth": 0.9, "markersize": 4.5}
        axes.plot(row.auc, place, "D", color="white", **options)
    colour = style.INK if row is clean else style.RED if clean.f1 - row.f1 >= MIN_COSTLY_FALL else style.BLUE
    axes.plot([clean.f1, row.f1], [place, place], color=colour, linewidth=2.2)
    axes.plot(row.f1, place, "o", color=colour, markersize=7)


def _title(found: Sequence[ConditionScore], clean: ConditionScore) -> tuple[str, str]:
    subtitle = f"{max(row.rows for row in found):,} training images, changed before they are judged"
    changed = [row for row in found if row is not clean]
    if not changed:
        return "F1 on changed images", subtitle
    subtitle += f": F1 {style.decimals(sum(row.f1 for row in changed) / len(changed))} on average"
    worst = min(changed, key=lambda row: row.f1)
    fall = clean.f1 - worst.f1
    if fall < 0.005:
        return "No change to the images costs F1", subtitle
    name = style.elide(CONDITIONS.get(worst.condition, worst.condition), 18)
    return f"F1 {style.decimals(clean.f1)} falls to {style.decimals(worst.f1)} at worst: {name}", subtitle
