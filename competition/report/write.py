"""A run's report: its figures, metrics.json and report.html, made again only when what they show has changed."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from competition.core.files import fingerprint, read_json, write_json, write_text
from competition.report import agreement, calibration, curves, gallery, plots
from competition.report import shift_plots as world
from competition.report.html import SOURCES, render_page
from competition.report.metrics_json import Judged, Story, measure, mistakes, plain

METRICS, PAGE, STAMP = "metrics.json", "report.html", "figures.json"
FIGURES = (
    "epoch_training_curves",
    "batch_training_curves",
    "confusion_matrix",
    "roc_curve",
    "pr_curve",
    "calibration",
    "threshold",
    "agreement",
    "mistakes",
    "shift",
    "robustness",
)


def write_report(
    folder: Path, oof: Judged, test: Judged | None, histories: Mapping[str, Sequence[Path]], story: Story
) -> Path:
    """Write metrics.json, the figures and report.html into ``folder`` and return the page.

    ``histories``: each member's history.jsonl files. Nothing is written when what they show has not changed, and a
    figure that no longer applies is removed; each file is replaced as a whole, the stamp (figures.json) last. Raises
    ``ValueError`` for labels and decisions other than 0 and 1, probabilities outside [0, 1], and unequal lengths.
    """
    lines = {name: [_read_lines(path) for path in paths] for name, paths in histories.items()}
    thumbnails = [None if image is None else gallery.thumbnail(image) for image in oof.thumbnails(mistakes(oof))]
    parts = [*_contents(oof), *(_contents(test) if test else ()), *("none" if t is None else t for t in thumbnails)]
    key = fingerprint(*(path.read_bytes() for path in SOURCES), *_told(story), lines, *parts)
    stamp = read_json(folder / STAMP)
    if isinstance(stamp, dict) and stamp.get("key") == key and all((folder / name).exists() for name in stamp["files"]):
        return folder / PAGE
    metrics = measure(oof, test, lines, story)
    (folder / STAMP).unlink(missing_ok=True)  # a kill from here on must not leave a mixture that counts as whole
    write_json(folder / METRICS, metrics)
    drawn = _draw(folder, oof, lines, thumbnails, metrics, story.test_scores)
    pictures = {name: (folder / f"{name}.png").read_bytes() for name in drawn}
    small = [None if image is None else gallery.jpeg(image) for image in thumbnails]
    write_text(folder / PAGE, render_page(metrics, pictures, small))
    for name in set(FIGURES).difference(drawn):
        (folder / f"{name}.png").unlink(missing_ok=True)
    write_json(folder / STAMP, {"key": key, "files": [METRICS, PAGE, *(f"{name}.png" for name in drawn)]})
    return folder / PAGE


def _contents(judged: Judged) -> list[Any]:
    """Return what tells two sets of rows apart, as parts of a fingerprint."""
    arrays = [np.asarray(values) for values in (judged.label, judged.decision, *judged.probs.values())]
    return [list(judged.probs), list(map(str, judged.id)), *arrays]


def _told(story: Story) -> list[Any]:
    """Return what tells two stories apart, as parts of a fingerprint: scores of many rows as an array, not as JSON."""
    words = {name: value for name, value in vars(story).items() if name != "test_scores"}
    return [plain(words), "none" if story.test_scores is None else np.asarray(story.test_scores, float)]


def _draw(
    folder: Path,
    oof: Judged,
    lines: Mapping[str, Sequence[curves.History]],
    thumbnails: Sequence[NDArray | None],
    metrics: Mapping[str, Any],
    test_scores: NDArray | None,
) -> list[str]:
    """Draw every figure that there is something for, and return the names of those."""
    classes, honest = metrics["classes"], metrics["honest"]
    draw = {
        "epoch_training_curves": lambda path: curves.epoch_training_curves(lines, path),
        "batch_training_curves": lambda path: curves.batch_training_curves(lines, path),
        "confusion_matrix": lambda path: plots.confusion_matrix(oof.label, oof.decision, classes, path),
        "roc_curve": lambda path: plots.roc_curve(oof.label, oof.probs, path),
        "pr_curve": lambda path: plots.pr_curve(oof.label, oof.probs, path),
        "calibration": lambda path: calibration.calibration_curve(oof.label, oof.probs, classes, path),
        "threshold": lambda path: plots.threshold_curve(
            oof.label, oof.probs[oof.final], metrics["threshold"][oof.final], path
        ),
    }
    if metrics["agreement"]:
        draw["agreement"] = lambda path: agreement.agreement_matrix(metrics["agreement"], path)
    if any(image is not None for image in thumbnails):
        draw["mistakes"] = lambda path: gallery.mistakes_gallery(metrics["mistakes"], thumbnails, classes, path)
    if test_scores is not None and np.isfinite(test_scores).any():
        draw["shift"] = lambda path: world.shift_figure(
            oof.label, oof.probs[oof.final], test_scores, classes, honest["shift"], path
        )
    if honest["robustness"]:
        draw["robustness"] = lambda path: world.robustness_figure(honest["robustness"], path)
    for name, draw_one in draw.items():
        draw_one(folder / f"{name}.png")
    return list(draw)


def _read_lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
