"""What decisions and probabilities are worth, in pictures: ROC, precision-recall, confusion matrix, threshold.

Each function writes one PNG, atomically, 5 inches wide and meant to be read on a phone or on paper.
"""

import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn import metrics as sklearn_metrics

from competition.report import style
from competition.scoring.arrays import check_binary, check_prob, check_same_length
from competition.scoring.leaderboard_metric import Counts, LabelMetric
from competition.scoring.metrics import f1

if TYPE_CHECKING:  # matplotlib takes a third of a second to import: only who draws waits for it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Curve = tuple[NDArray[np.float64], NDArray[np.float64], float]  # x, y and the area or average that sums them up

MAX_NAMED = 12  # as many curves as a legend can name: two rounds of the palette, the second one dashed
MAX_LOSS = 0.005  # a metric this close to the best is as good for any test set of a usual size


def roc_curve(label: ArrayLike, members: Mapping[str, ArrayLike], path: Path) -> None:
    """Draw the ROC curve of each member and, bold, of the last one, which is the ensemble.

    ``label`` (n,) holds 0 and 1; ``members`` maps a name to the probabilities (n,) of the same rows. Where ``label``
    has one class only, the picture says so. Raises ``ValueError`` for other labels or probabilities and for no member.
    """
    label, members = check_members(label, members)
    if _is_one_class(label, "ROC curve", path):
        return
    curves: dict[str, Curve] = {}
    for name, prob in members.items():
        false_positive, true_positive, _ = sklearn_metrics.roc_curve(label, prob)
        curves[name] = false_positive, true_positive, float(sklearn_metrics.auc(false_positive, true_positive))
    figure, axes = _ranking(curves, "ROC AUC", label.size, "lower right")
    axes.plot([0, 1], [0, 1], color=style.MUTED, linewidth=0.8, linestyle=style.DOTTED, zorder=1)
    axes.text(0.16, 0.13, "chance", color=style.MUTED, fontsize=8, rotation=45, va="center", ha="center")
    style.name_axes(axes, "false positive rate", "true positive rate")
    style.save_page(figure, path)


def pr_curve(label: ArrayLike, members: Mapping[str, ArrayLike], path: Path) -> None:
    """Draw the precision-recall curve of each member and, bold, of the last one, which is the ensemble.

    Inputs and errors are those of ``roc_curve``; the figures are average precision. Thin lines mark where F1
    is .6, .8 and .9: precision = F1 recall / (2 recall - F1).
    """
    label, members = check_members(label, members)
    if _is_one_class(label, "precision-recall curve", path):
        return
    curves: dict[str, Curve] = {}
    for name, prob in members.items():
        precision, recall, _ = sklearn_metrics.precision_recall_curve(label, prob)
        curves[name] = recall, precision, float(sklearn_metrics.average_precision_score(label, prob))
    figure, axes = _ranking(curves, "average precision", label.size, "lower left")
    for value in (0.6, 0.8, 0.9):
        recall = np.linspace(value / (2 - value), 1, 200)
        axes.plot(recall, value * recall / (2 * recall - value), color=style.MUTED, linewidth=0.5, zorder=1)
        axes.text(1.02, value / (2 - value), f"F1 {value}", color=style.MUTED, fontsize=8, va="center")
    rate = label.mean()
    axes.axhline(rate, color=style.MUTED, linewidth=0.8, linestyle=style.DOTTED, zorder=1)
    axes.text(0.99, rate - 0.015, "chance", color=style.MUTED, fontsize=8, ha="right", va="top")
    style.name_axes(axes, "recall", "precision")
    style.save_page(figure, path)


def _is_one_class(label: NDArray[np.bool_], curve: str, path: Path) -> bool:
    """Tell whether there is nothing to rank, after drawing a page that says so."""
    if label.any() and not label.all():
        return False
    style.save_empty_page(f"No {curve} to show", f"all {label.size:,} images are of class {int(label[0])}", path)
    return True


def check_members(label: ArrayLike, members: Mapping[str, ArrayLike]) -> tuple[NDArray[np.bool_], dict[str, NDArray]]:
    """Return (n,) labels as booleans and each member's probabilities as float64; ``ValueError`` if they cannot be."""
    if not members:
        raise ValueError("members is empty: there is no curve to draw")
    label = check_binary("label", label)
    probs = {name: check_prob(name, prob) for name, prob in members.items()}
    check_same_length(label=label, **probs)
    return label, probs


def _ranking(curves: Mapping[str, Curve], measure: str, rows: int, corner: style.Corner) -> tuple["Figure", "Axes"]:
    """Return a square picture of the curves, the last one bold, and a legend of the best in that corner."""
    *names, final = curves
    best = max(names, key=lambda name: curves[name][2], default=None)
    subject = "Ensemble" if final == "ensemble" else final
    single = f"best single member: {best}, {style.decimals(curves[best][2])}; " if best else ""
    figure = style.new_page(f"{subject} {measure} {style.decimals(curves[final][2])}", f"{single}{rows:,} images", 5.3)
    axes = style.add_panel(figure, 0.55, 0.55, 3.95, 3.95)
    handles = {}
    for index, (name, (x, y, _)) in enumerate(curves.items()):
        options = style.BOLD if name == final else style.curve_style(index)
        (handles[name],) = axes.plot(*style.thin_out(x, y), **options)
    axes.set(xlim=(-0.012, 1.012), ylim=(-0.012, 1.012))
    shown = [final, *sorted(names, key=lambda name: -curves[name][2])[: MAX_NAMED - 1]]
    # The figures come first, so that they stand in a column.
    texts = [f"{style.decimals(curves[name][2])}  {name}" for name in shown]
    if names:
        style.name_curves(axes, [handles[name] for name in shown], texts, corner)
    return figure, axes


def confusion_matrix(label: ArrayLike, decision: ArrayLike, classes: tuple[str, str], path: Path) -> None:
    """Draw how many rows of each true class were called what, and the percentage of that class.

    ``label`` and ``decision`` (n,) hold 0 and 1; ``classes`` names 0 and 1. A true class without rows has counts of 0
    and no percentage. Raises ``ValueError`` for anything but 0 and 1, unequal lengths and no rows.
    """
    label, decision = check_binary("label", label), check_binary("decision", decision)
    check_same_length(label=label, decision=decision)
    count = sklearn_metrics.confusion_matrix(label, decision, labels=[False, True])
    total, wrong = count.sum(axis=1), int(count[0, 1] + count[1, 0])
    title = f"F1 {style.decimals(f1(label, decision))}, {wrong / label.size:.1%} called wrong"
    figure = style.new_page(title, f"{wrong:,} of {label.size:,} images", 4.7)
    axes = style.add_panel(figure, 1.05, 0.8, 3.8, 3.15)
    for row, column in np.ndindex(2, 2):
        share = count[row, column] / total[row] if total[row] else 0.0
        style.fill_cell(axes, column, row, style.BLUE if row == column else style.RED, 0.1 + 0.9 * share)
        percentage, colour = f"{share:.1%}" if total[row] else "no rows", "white" if share > 0.75 else style.INK
        style.centre_text(axes, column + 0.5, row + 0.45, f"{count[row, column]:,}", 20, colour)
        style.centre_text(axes, column + 0.5, row + 0.68, percentage, 11, colour)
    names = [textwrap.fill(name, 18) for name in classes]
    options: dict[str, Any] = {"fontsize": 10, "color": style.INK, "parse_math": False, "multialignment": "center"}
    axes.set_xticks((0.5, 1.5), names, **options)
    totals = [f"{name}\n{rows:,}" for name, rows in zip(names, total, strict=True)]
    axes.set_yticks((0.5, 1.5), totals, **options, rotation=90, va="center")
    axes.set(xlim=(0, 2), ylim=(2, 0))
    axes.grid(False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    style.name_axes(axes, "predicted class", "true class; each row adds to 100%")
    style.save_page(figure, path)


def threshold_curve(label: ArrayLike, prob: ArrayLike, threshold: float, metric: LabelMetric, path: Path) -> None:
    """Draw the metric, precision, recall and the share of rows called 1 by the threshold, and mark the chosen one.

    ``label`` (n,) holds 0 and 1, ``prob`` (n,) lies in [0, 1]; a row is called 1 at the threshold and above it. Shaded
    is wherever the metric is within .005 of the best of *these* rows, which is no cross-fitted score. Without any 1
    there is no recall, and the picture says so. Raises ``ValueError`` as ``roc_curve`` does.
    """
    label, prob = check_binary("label", label), check_prob("prob", prob)
    check_same_length(label=label, prob=prob)
    if not label.any():
        return style.save_empty_page("No threshold curve to show", f"none of {label.size:,} images is of class 1", path)
    cut, (value, precision, recall, called) = _by_threshold(label, prob, metric)
    good = _near_best(cut, value)
    at = min(int(np.searchsorted(cut, threshold)), cut.size - 1)
    near = f"{metric.title} within {MAX_LOSS} of these images' best, {style.decimals(value.max())}"
    title = f"{metric.title} {style.decimals(value[at])} at threshold {threshold:.3f}"
    figure = style.new_page(title, f"shaded, {good[0][0]:.3f} to {good[-1][1]:.3f}: {near}", 4.8)
    axes = style.add_panel(figure, 0.55, 1.0, 4.25, 2.85)
    for ends in good:
        axes.axvspan(*ends, color=style.SHADE, linewidth=0, zorder=0)
    axes.axvline(threshold, color=style.INK, linewidth=0.9, zorder=1.5)
    side = "left" if threshold < 0.1 else "right" if threshold > 0.9 else "center"
    axes.text(threshold, 1.03, f"threshold {threshold:.3f}", fontsize=8.5, color=style.INK, ha=side)
    curves: list[tuple[str, NDArray, str, float, Any]] = [
        (metric.title, value, style.BLUE, 2.4, "-"),
        ("precision", precision, style.RED, 1.3, "-"),
        ("recall", recall, style.GREEN, 1.3, style.DASHED),
        ("predicted positive", called, style.MUTED, 1.3, style.DOTTED),
    ]
    for name, curve, colour, width, dash in curves:
        here = "undefined" if np.isnan(curve[at]) else style.decimals(curve[at])
        order = 2 + (name == metric.title)
        line: dict[str, Any] = {"color": colour, "linewidth": width, "linestyle": dash, "zorder": order}
        axes.plot(*style.thin_out(cut, curve), drawstyle="steps-pre", label=f"{name} {here}", **line)
        axes.plot(threshold, curve[at], "o", color=colour, markersize=4.5, zorder=4)
    below: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.15)}
    axes.legend(ncols=2, frameon=False, fontsize=9, labelcolor=style.INK, **below)
    axes.set(xlim=(min(0, threshold), max(1, threshold)), ylim=(min(-0.012, value.min()), 1.012))
    style.name_axes(axes, "threshold")
    style.save_page(figure, path)


def _near_best(cut: NDArray[np.float64], value: NDArray[np.float64]) -> list[tuple[float, float]]:
    """Return the stretches of thresholds, as (start, end), at which the metric is within MAX_LOSS of the best."""
    turns = np.flatnonzero(np.diff(value >= value.max() - MAX_LOSS, prepend=False, append=False))
    return list(zip(cut[np.maximum(turns[::2] - 1, 0)], cut[turns[1::2] - 1], strict=True))


def _by_threshold(
    label: NDArray[np.bool_], prob: NDArray[np.float64], metric: LabelMetric
) -> tuple[NDArray[np.float64], list[NDArray]]:
    """Return 0, every score and 1 as thresholds, ascending, and the metric, precision, recall and share called 1 at
    each.

    Between two scores a threshold acts as the upper one does: all four are staircases that step behind a score. Above
    the last score nothing is called 1, and precision is NaN.
    """
    precision, recall, cut = sklearn_metrics.precision_recall_curve(label, prob)
    precision[-1] = np.nan  # by scikit-learn's convention 1
    called = 1 - np.searchsorted(np.sort(prob), np.append(cut, np.inf)) / prob.size
    positives = np.count_nonzero(label)
    value = metric.of_counts(Counts(np.round(recall * positives), np.round(called * label.size), positives, label.size))
    return np.concatenate([[0], cut, [1]]), [np.append(curve[0], curve) for curve in (value, precision, recall, called)]
