"""From finished jobs to one answer: fold models averaged per member, members averaged, everything scored."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from competition.config import Config
from competition.data.assemble import RunData, run_folder
from competition.data.folds import JUDGED
from competition.errors import UserError
from competition.files import read_json
from competition.inference.collect import Predictions, blend, collect_member
from competition.job import FEATURES_FILE
from competition.plan import Plan
from competition.scoring.scorecard import Score, score_hold_out, score_predictions


@dataclass(frozen=True)
class Result:
    """``scores`` and ``predictions`` by member, the ensemble last.

    ``judged``: (n,) bool, the training rows that the scores are about: those with an out-of-fold prediction, or a
    hold-out's test part where it has one. ``folders``: each member's jobs that are in its average.
    """

    scores: dict[str, Score]
    predictions: dict[str, Predictions]
    seconds: dict[str, float]
    judged: np.ndarray
    folders: dict[str, list[Path]]
    complete: bool

    @property
    def final(self) -> str:
        """The name that the submission goes by: the ensemble, or the only member."""
        return list(self.scores)[-1]


def score(config: Config, data: RunData, plans: Sequence[Plan]) -> Result:
    """Average the finished folds' predictions and score every member and the ensemble."""
    folds = [fold for fold in range(config.parts) if all(p.is_done() for p in plans if p.job.fold == fold)]
    complete = len(folds) == config.parts and all(plan.is_done() for plan in plans)
    used = [plan for plan in plans if plan.job.fold in folds or (complete and plan.job.fold is None)]
    predictions, seconds, folders = {}, {}, {}
    for member in config.members:
        own = [plan for plan in used if plan.job.member == member]
        by_fold = [[plan.folder for plan in own if plan.job.fold == fold] for fold in folds]
        full = [plan.folder for plan in own if plan.job.fold is None]
        folders[member] = [plan.folder for plan in own]
        predictions[member] = collect_member(by_fold, full, data.train["id"], data.test["id"])
        seconds[member] = sum(read_json(plan.folder / "done.json")["seconds"] for plan in own)
        seconds[member] += (read_json(run_folder(config) / member / FEATURES_FILE) or {"seconds": 0})["seconds"]
    if len(predictions) > 1:
        predictions["ensemble"] = blend(list(predictions.values()))
        seconds["ensemble"] = sum(seconds.values())
    if not folds:
        raise UserError(f"No fold of {config.name} is trained by all its members yet: train one with fold=0.")
    known = np.any([data.predicted(fold) for fold in folds], axis=0)
    rows = data.train[known]
    judged = (rows["fold"] == JUDGED).to_numpy() if data.hold_out else np.zeros(len(rows), bool)
    how, part = (score_hold_out, judged) if judged.any() else (score_predictions, rows["fold"])
    scores = {
        name: how(rows["label"], found.oof[known], part, rows["group"], found.test, found.parts, config.threshold,
                  config.seed, config.public_fraction)
        for name, found in predictions.items()
    }  # fmt: skip
    if judged.any():
        known = known & (data.train["fold"] == JUDGED).to_numpy()
    return Result(scores, predictions, seconds, known, folders, complete)
