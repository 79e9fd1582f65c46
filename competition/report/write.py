"""A run's report: its figures, metrics.json and report.html, made again only when what they show has changed."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from competition.core.files import fingerprint, write_json, write_text
from competition.core.intact import kept_record, write_record_file
from competition.inference.job_files import check_intact
from competition.report import agreement, calibration, curves, gallery, plots, shift_plots, source_plots
from competition.report.html import SOURCES, render_page
from competition.report.metrics_json import ReportRows, RunFacts, measure, mistakes
from competition.scoring.leaderboard_metric import LabelMetric

METRICS, PAGE, STAMP = "metrics.json", "report.html", "figures.json"
FIGURES = (
    *("epoch_training_curves", "batch_training_curves", "confusion_matrix", "roc_curve", "pr_curve"),
    *("calibration", "threshold", "agreement", "mistakes", "shift", "robustness", "sources"),
)


def write_report(
    folder: Path, oof: ReportRows, test: ReportRows | None, histories: Mapping[str, Sequence[Path]], run: RunFacts
) -> Path:
    """Write metrics.json, the figures and report.html into ``folder`` and return the page.

    ``histories``: each member's history.jsonl files. Nothing is written when what they show has not changed, and a
    figure that no longer applies is removed; each file is replaced as a whole, the stamp (figures.json) last. Raises
    ``ValueError`` for labels and decisions other than 0 and 1, probabilities outside [0, 1], and unequal lengths.
    """
    lines = {name: [_read_lines(path) for path in paths] for name, paths in histories.items()}
    metrics = measure(oof, test, lines, run)
    thumbnails = [None if image is None else gallery.thumbnail(image) for image in oof.thumbnails(mistakes(oof))]
    drawn_from = [oof.label, oof.decision, *oof.probs.values(), run.oof_scores, run.test_scores, *thumbnails]
    arrays = ["none" if one is None else np.asarray(one) for one in drawn_from]
    key = fingerprint(*(path.read_bytes() for path in SOURCES), metrics, lines, *arrays)
    stamp = kept_record(folder / STAMP)
    if stamp.get("key") == key and all((folder / name).exists() for name in stamp["files"]):
        return folder / PAGE
    (folder / STAMP).unlink(missing_ok=True)  # a kill from here on must not leave a mixture that counts as whole
    write_json(folder / METRICS, metrics)
    drawn = _draw(folder, oof, lines, thumbnails, metrics, run)
    pictures = {name: (folder / f"{name}.png").read_bytes() for name in drawn}
    small = [None if image is None else gallery.jpeg(image) for image in thumbnails]
    write_text(folder / PAGE, render_page(metrics, pictures, small))
    for name in set(FIGURES).difference(drawn):
        (folder / f"{name}.png").unlink(missing_ok=True)
    write_record_file(folder / STAMP, {"key": key, "files": [METRICS, PAGE, *(f"{name}.png" for name in drawn)]})
    return folder / PAGE


def _draw(
    folder: Path,
    oof: ReportRows,
    lines: Mapping[str, Sequence[curves.History]],
    thumbnails: Sequence[NDArray | None],
    metrics: Mapping[str, Any],
    run: RunFacts,
) -> list[str]:
    """Draw every figure that there is something for, and return the names of those."""
    classes, final, drawn = run.classes, oof.probs[oof.final], []

    def to(name: str) -> Path:
        drawn.append(name)
        return folder / f"{name}.png"

    curves.epoch_training_curves(lines, to("epoch_training_curves"))
    curves.batch_training_curves(lines, to("batch_training_curves"))
    plots.confusion_matrix(oof.label, oof.decision, classes, to("confusion_matrix"))
    plots.roc_curve(oof.label, oof.probs, to("roc_curve"))
    plots.pr_curve(oof.label, oof.probs, to("pr_curve"))
    calibration.calibration_curve(oof.label, oof.probs, classes, to("calibration"))
    score = run.scores[oof.final]
    if isinstance(score.metric, LabelMetric):
        plots.threshold_curve(oof.label, final, score.cut, score.metric, to("threshold"))
    if metrics["agreement"]:
        agreement.agreement_matrix(metrics["agreement"], to("agreement"))
    if any(image is not None for image in thumbnails):
        gallery.mistakes_gallery(metrics["mistakes"], thumbnails, classes, to("mistakes"))
    if run.oof_scores is not None and run.test_scores is not None and np.isfinite(run.test_scores).any():
        shift_plots.shift_figure(oof.label, run.oof_scores, run.test_scores, classes, run.analysis.shift, to("shift"))
    if run.analysis.robustness:
        shift_plots.robustness_figure(run.analysis.robustness, to("robustness"))
    if run.analysis.sources:
        source_plots.sources_figure(run.analysis.sources, classes, to("sources"))
    return drawn


def _read_lines(path: Path) -> list[dict[str, Any]]:
    check_intact(path)
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
