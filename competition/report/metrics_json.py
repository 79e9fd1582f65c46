"""What a report is made from, and what it says in numbers: the contents of metrics.json, which its page only words."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from competition.report.curves import History, last_mean
from competition.report.trust import Analysis
from competition.scoring.evaluation import agreement, evaluate
from competition.scoring.intervals import LEVEL
from competition.scoring.leaderboard_metric import LabelMetric, Metric
from competition.scoring.scorecard import Score

MAX_MISTAKES = 12  # that are shown


@dataclass(frozen=True)
class ReportRows:
    """A set of judged rows with labels: ``label`` (n,) 0 and 1, ``probs`` (n,) of class 1 by member, without NaN.

    The ensemble, or the only member, is last; ``decision`` (n,) is that one's. ``thumbnails`` turns positions into
    (H, W, 3) uint8 RGB images of any size, None where one cannot be read. A test set has the OOF's members.
    """

    id: Sequence[str]
    label: NDArray
    probs: Mapping[str, NDArray]
    decision: NDArray
    thumbnails: Callable[[Sequence[int]], list[NDArray | None]]

    @property
    def final(self) -> str:
        """The name of the ensemble, or of the only member."""
        return list(self.probs)[-1]


@dataclass(frozen=True)
class RunFacts:
    """What a report shows of a run besides its rows; ``members``, ``settings`` and ``provenance`` hold JSON values.

    ``scores`` and ``seconds`` of training, by member, the last one included. ``rows``: train, groups, test, judged, and
    leaderboard where that is fewer than test. ``members``: backbone, view, image_size, epochs, parameters,
    trained_parameters and pretrained of each. To compare the rows of both sets, by single fold models and before any
    calibration: ``oof_scores`` (n,), the probabilities of the judged rows, and ``test_scores`` (k, m), those of test
    rows by each fold's models, NaN where no model could see a row.
    """

    name: str
    classes: tuple[str, str]
    scores: Mapping[str, Score]
    seconds: Mapping[str, float]
    rows: Mapping[str, int]
    members: Mapping[str, Mapping[str, Any]]
    settings: Mapping[str, Any]
    notes: Sequence[str]
    provenance: Mapping[str, Any]
    analysis: Analysis = field(default_factory=Analysis)
    oof_scores: NDArray | None = None
    test_scores: NDArray | None = None


def measure(
    oof: ReportRows, test: ReportRows | None, histories: Mapping[str, Sequence[History]], run: RunFacts
) -> dict[str, Any]:
    """Return the contents of metrics.json: every number that the page prints, as JSON values without NaN.

    ``oof`` and ``test`` are ``evaluate``'s figures by member: the last one's at its own decisions, the others' at their
    threshold in ``threshold``, which was chosen on all OOF rows; ``value`` is the metric's. ``cv`` are the scores that
    no row's own label has touched.
    """
    threshold, final = {name: score.cut for name, score in run.scores.items()}, run.scores[oof.final]
    metric, leaderboard = final.metric, final.leaderboard
    seen_test = None if test is None else _evaluate_all(test, threshold, metric)
    held = None
    if seen_test and leaderboard:
        held = leaderboard[0] <= seen_test[oof.final]["value"] <= leaderboard[1]
    decided = {name: own for name, own in _decisions(oof, threshold).items() if name != oof.final}
    return plain(
        {
            "name": run.name,
            "classes": run.classes,
            "how": final.how,
            "final": oof.final,
            "metric": {"name": metric.name, "title": metric.title, "of_labels": isinstance(metric, LabelMetric)},
            "level": LEVEL,
            "cv": {name: _score_figures(score, run.seconds[name]) for name, score in run.scores.items()},
            "leaderboard_held": held,
            "threshold": threshold,
            "rows": {**run.rows, "leaderboard": run.rows.get("leaderboard", run.rows["test"])},
            "oof": _evaluate_all(oof, threshold, metric),
            "test": seen_test,
            "agreement": agreement(decided, oof.label) if len(decided) > 1 else None,
            "mistakes": [_describe(oof, position) for position in mistakes(oof)],
            "training": {name: _last_epoch(folds) for name, folds in histories.items()},
            "honest": asdict(run.analysis),
            "members": run.members,
            "settings": run.settings,
            "notes": run.notes,
            "provenance": run.provenance,
        }
    )


def mistakes(rows: ReportRows) -> list[int]:
    """Return the positions of the dozen wrong rows whose true class was given the least probability, worst first."""
    prob = rows.probs[rows.final]
    wrong = np.flatnonzero(rows.label != rows.decision)
    of_truth = np.where(rows.label[wrong] == 1, prob[wrong], 1 - prob[wrong])
    return wrong[np.argsort(of_truth, kind="stable")[:MAX_MISTAKES]].tolist()


def _decisions(rows: ReportRows, threshold: Mapping[str, float]) -> dict[str, NDArray]:
    """Return each member's decisions: the last one's as given, the others' at their own threshold."""
    return {name: prob >= threshold[name] for name, prob in rows.probs.items()} | {rows.final: rows.decision}


def _evaluate_all(rows: ReportRows, threshold: Mapping[str, float], metric: Metric) -> dict[str, dict[str, Any]]:
    decided = _decisions(rows, threshold)
    return {
        name: {
            "value": metric.value(rows.label, prob, decided[name]),
            **evaluate(rows.label, prob, decided[name]),
        }
        for name, prob in rows.probs.items()
    }


def _score_figures(score: Score, seconds: float) -> dict[str, Any]:
    kept = {"interval": score.interval, "leaderboard": score.leaderboard, "test_rate": score.test_rate}
    return {**score.figures, **kept, "value": score.value, "expected": score.expected, "seconds": seconds}


def _describe(rows: ReportRows, position: int) -> dict[str, Any]:
    votes = {name: prob[position] for name, prob in rows.probs.items()}
    return {"id": rows.id[position], "label": rows.label[position], "prob": votes.pop(rows.final), "votes": votes}


def _last_epoch(folds: Sequence[History]) -> dict[str, Any]:
    """Return how training ended: means over the folds at the last epoch they share."""
    longest = max((line["epoch"] for fold in folds for line in fold), default=0)
    ends = {key: last_mean(folds, key) for key in ("train_loss", "val_loss", "val_f1", "val_auc")}
    recorded = sum(len(line.get("batch_loss") or ()) for fold in folds for line in fold)
    return {"folds": len(folds), "epochs": longest, "batch_losses": recorded, **ends}


def plain(value: Any) -> Any:
    """Return JSON values only: numpy's as Python's, tuples as lists, keys and paths as text, NaN as None."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(inner) for inner in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return str(value) if isinstance(value, Path) else value
