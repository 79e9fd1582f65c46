"""Which pictures a run has, and when they are drawn again: only when what they show has changed."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from competition.files import fingerprint, read_json, write_json
from competition.report import plots


def draw_figures(folder: Path, label: np.ndarray, classes: tuple[str, str], histories: Mapping[str, Sequence[Path]],
                 oof: Mapping[str, np.ndarray], decision: np.ndarray, threshold: float) -> Path:  # fmt: skip
    """Draw a run's pictures into ``folder`` and return it.

    ``oof``: (n,) probabilities by name, the ensemble (or the only member) last; ``decision`` and ``threshold`` are the
    last one's; ``histories``: each member's history.jsonl files.
    """
    lines = {name: [_read_lines(path) for path in paths] for name, paths in histories.items()}
    key = fingerprint(label, *oof.values(), decision, threshold, list(oof), lines)
    stamp = folder / "figures.json"
    if read_json(stamp) == key:
        return folder
    final = list(oof.values())[-1]
    plots.training_curves(lines, folder / "training_curves.png")
    plots.roc_curve(label, oof, folder / "roc_curve.png")
    plots.pr_curve(label, oof, folder / "pr_curve.png")
    plots.confusion_matrix(label, decision, classes, folder / "confusion_matrix.png")
    plots.threshold_curve(label, final, threshold, folder / "threshold.png")
    write_json(stamp, key)
    return folder


def _read_lines(path: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
