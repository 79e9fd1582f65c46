"""How training went, in pictures: by epoch and, within the epochs, by batch.

Members are drawn below one another on the same scales, so that they can be compared by eye.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from competition.report import style

if TYPE_CHECKING:  # matplotlib takes a third of a second to import: only who draws waits for it
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

History = Sequence[Mapping[str, Any]]
Track = tuple[NDArray[np.float64], NDArray[np.float64]]  # epochs, as a continuous number, and losses

ROW, HEAD, FOOT = 1.75, 0.75, 0.3  # inches: a member's panels, the title above them all and the axis' name below
SCALE_PERCENTILE = 99  # of the losses, where the scale ends: the first batches of all would flatten the rest


def epoch_training_curves(histories: Mapping[str, Sequence[History]], path: Path) -> None:
    """Draw loss and validation F1 and AUC by epoch: a row of two panels per member, all rows on the same scales.

    ``histories`` maps a member to one history per fold: lines with ``epoch``, ``train_loss`` and, where the epoch was
    validated, ``val_loss``, ``val_f1`` and ``val_auc``; missing, ``None`` and NaN are alike. A thin line is a fold. The
    bold line is their mean, as far as the shortest fold goes, for the mean of those left would jump; the figures are
    the mean's last. Folds without a line are skipped; where nothing is left, the picture says so.
    """
    kept = _with_epochs(histories)
    if not kept:
        return style.save_empty_page("No training curves to show", "no fold has finished an epoch", path)
    figure = style.new_page(*_epoch_title(kept), HEAD + ROW * len(kept) + FOOT)
    top: list[Axes] = []
    for bottom, folds in _rows(figure, kept):
        places = zip((0.5, 2.92), top or (None, None), strict=True)
        panels = [style.add_panel(figure, left, bottom, 1.93, 1.0, scales_of) for left, scales_of in places]
        _by_epoch(panels[0], folds, ("train_loss", "train loss", style.MUTED), ("val_loss", "validation", style.BLUE))
        _by_epoch(panels[1], folds, ("val_f1", "validation F1", style.BLUE), ("val_auc", "AUC", style.RED))
        top = top or panels
    epochs = [line["epoch"] for folds in kept.values() for fold in folds for line in fold]
    margin = 0.04 * (max(epochs) - min(epochs)) or 0.5
    for panel in top:
        panel.set_xlim(min(epochs) - margin, max(epochs) + margin)
        panel.locator_params(axis="x", nbins=5, integer=True, min_n_ticks=1)
        panel.locator_params(axis="y", nbins=4)
    for panel in panels:
        style.name_axes(panel, "epoch")
    style.save_page(figure, path)


def batch_training_curves(histories: Mapping[str, Sequence[History]], path: Path) -> None:
    """Draw the training loss within the epochs: a panel per member, all on the same scales.

    A line of history may carry ``batch_loss``, the mean losses of consecutive parts of its epoch: part i of P in epoch
    e stands at e - 1 + (i + 1/2) / P, so that the axis counts epochs done. A thin line is a fold; the bold one is their
    mean over the span that all of them cover, each fold interpolated, for folds may have different numbers of parts.
    The scale leaves out the highest hundredth of the losses. A member without ``batch_loss`` has an empty panel that
    says so; where no fold has a line, the picture says so.
    """
    kept = _with_epochs(histories)
    if not kept:
        return style.save_empty_page("No training curves to show", "no fold has finished an epoch", path)
    tracks = {member: [track for track in map(_by_part, folds) if len(track[0])] for member, folds in kept.items()}
    figure = style.new_page(*_batch_title(tracks), HEAD + ROW * len(kept) + FOOT)
    above: Axes | None = None
    for (bottom, _), own in zip(_rows(figure, kept), tracks.values(), strict=True):
        panel = above = style.add_panel(figure, 0.5, bottom, 4.35, 1.0, above)
        for track in own if len(own) > 1 else ():
            panel.plot(*track, color=style.BLUE, linewidth=0.5, alpha=0.4, **style.point_marker(track[0], 3))
        if own:
            mean = _mean_track(own)
            panel.plot(*mean, color=style.BLUE, linewidth=1.4, **style.point_marker(mean[0], 5))
        else:
            _say_not_recorded(panel)
    known = [track for own in tracks.values() for track in own]
    if known:
        losses = np.concatenate([loss for _, loss in known])
        high = np.percentile(losses, SCALE_PERCENTILE)
        margin = 0.06 * (high - losses.min()) or 0.1
        panel.set_ylim(losses.min() - margin, high + margin)
        panel.locator_params(axis="y", nbins=4)
    else:
        panel.set_yticks([])
    panel.set_xlim(0, max(line["epoch"] for folds in kept.values() for fold in folds for line in fold))
    panel.locator_params(axis="x", nbins=10, integer=True, min_n_ticks=1)
    style.name_axes(panel, "epochs done")
    style.save_page(figure, path)


def _with_epochs(histories: Mapping[str, Sequence[History]]) -> dict[str, list[History]]:
    kept = {member: [fold for fold in folds if fold] for member, folds in histories.items()}
    return {member: folds for member, folds in kept.items() if folds}


def _rows(figure: "Figure", kept: Mapping[str, Sequence[History]]) -> Iterator[tuple[float, Sequence[History]]]:
    """Name the members, each above its panels, and yield where those stand (inches) and the member's folds."""
    for index, (member, folds) in enumerate(kept.items()):
        bottom = FOOT + ROW * (len(kept) - 1 - index) + 0.25
        longest, plural = max(len(fold) for fold in folds), "s" if len(folds) > 1 else ""
        size = f"{longest} epoch{'s' if longest > 1 else ''}, {len(folds)} fold{plural}"
        options = {"fontsize": style.fit_size(10, 36, member), "fontweight": "bold", "color": style.INK}
        style.add_text(figure, 0.5, bottom + 1.29, member, **options)
        style.add_text(figure, 4.85, bottom + 1.29, size, fontsize=8, ha="right")
        yield bottom, folds


def _epoch_title(histories: Mapping[str, Sequence[History]]) -> tuple[str, str]:
    several = any(len(folds) > 1 for folds in histories.values())
    basis = "thin: each fold; bold: their mean, to the last epoch they share" if several else "at the last epoch"
    for key, name, best in (("val_f1", "validation F1", max), ("train_loss", "training loss", min)):
        means = {member: last_mean(folds, key) for member, folds in histories.items()}
        last = {member: value for member, value in means.items() if value is not None}
        if last:
            member = best(last, key=lambda member: last[member])
            lead = f"Best of {len(last)}: {member}," if len(last) > 1 else f"{member}:"
            return f"{lead} {name} {style.decimals(last[member])}", basis
    return "Training curves", "the folds share no epoch whose figures are known"


def _batch_title(tracks: Mapping[str, Sequence[Track]]) -> tuple[str, str]:
    points = [len(epochs) for own in tracks.values() for epochs, _ in own]
    if not points:
        return "Training loss by batch", "the histories hold no losses within their epochs"
    several = any(len(own) > 1 for own in tracks.values())
    return "Training loss by batch", "thin: each fold; bold: their mean" if several else f"{max(points):,} points"


def last_mean(folds: Sequence[History], key: str) -> float | None:
    """Return the mean over the folds of ``key`` at the last epoch for which all that have it know it, or None."""
    mean = _mean(_tracks(folds, key))[1]
    return mean[-1] if mean else None


def _by_epoch(panel: "Axes", folds: Sequence[History], *curves: tuple[str, str, str]) -> None:
    """Draw (key, name, colour) curves; the names stand above the panel with the last value of the mean."""
    for (key, name, colour), (x, side) in zip(curves, ((0, "left"), (1, "right")), strict=True):
        tracks = _tracks(folds, key)
        if not tracks:
            continue
        for track in tracks if len(tracks) > 1 else ():
            options: dict[str, Any] = {"color": colour, "linewidth": 0.6, "alpha": 0.55, **style.point_marker(track, 3)}
            panel.plot(list(track), list(track.values()), **options)
        epochs, mean = _mean(tracks)
        panel.plot(epochs, mean, color=colour, linewidth=2, **style.point_marker(mean, 5))
        value = f"{name} {style.decimals(mean[-1])}" if mean else name
        panel.text(x, 1.06, value, transform=panel.transAxes, ha=side, fontsize=8, color=colour)
    panel.margins(y=0.1)
    if not panel.lines:
        _say_not_recorded(panel)


def _say_not_recorded(panel: "Axes") -> None:
    place: dict[str, Any] = {"transform": panel.transAxes, "ha": "center", "va": "center"}
    panel.text(0.5, 0.5, "not recorded", **place, color=style.MUTED, fontsize=9)


def _tracks(folds: Sequence[History], key: str) -> list[dict[float, float]]:
    """Return epoch → value per fold that has any."""
    tracks = [{line["epoch"]: line[key] for line in fold if line.get(key) is not None} for fold in folds]
    tracks = [{epoch: value for epoch, value in track.items() if np.isfinite(value)} for track in tracks]
    return [track for track in tracks if track]


def _mean(tracks: Sequence[dict[float, float]]) -> tuple[list[float], list[float]]:
    epochs = sorted(set(tracks[0]).intersection(*tracks)) if tracks else []
    return epochs, [float(np.mean([track[epoch] for track in tracks])) for epoch in epochs]


def _by_part(fold: History) -> Track:
    """Return where the parts of a fold's epochs stand, and their finite losses."""
    points: list[tuple[float, float]] = []
    for line in fold:
        parts = line.get("batch_loss") or []
        points += [(line["epoch"] - 1 + (part + 0.5) / len(parts), loss) for part, loss in enumerate(parts)]
    epochs, losses = np.array(points, float).reshape(-1, 2).T  # None becomes NaN
    return epochs[np.isfinite(losses)], losses[np.isfinite(losses)]


def _mean_track(tracks: Sequence[Track]) -> Track:
    start, end = max(epochs[0] for epochs, _ in tracks), min(epochs[-1] for epochs, _ in tracks)
    finest = max((epochs for epochs, _ in tracks), key=len)
    shared = finest[(finest >= start) & (finest <= end)]
    return shared, np.stack([np.interp(shared, *track) for track in tracks]).mean(axis=0)
