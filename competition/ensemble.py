"""From finished jobs to one answer: fold models averaged per member, members averaged, everything scored."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from competition.config import Config
from competition.data.assemble import RunData
from competition.files import read_json
from competition.inference.collect import Predictions, blend, collect_member
from competition.job import Plan
from competition.scoring.scorecard import Score, score_predictions


@dataclass(frozen=True)
class Result:
    """``scores`` and ``predictions`` by member, the ensemble last; rows are those with an OOF prediction."""

    scores: dict[str, Score]
    predictions: dict[str, Predictions]
    seconds: dict[str, float]
    known: np.ndarray
    complete: bool


def score(config: Config, data: RunData, plans: Sequence[Plan]) -> Result:
    """Average the finished folds' predictions and score every member and the ensemble."""
    folds = [fold for fold in range(config.folds) if all(p.is_done() for p in plans if p.job.fold == fold)]
    complete = len(folds) == config.folds and all(plan.is_done() for plan in plans)
    used = [plan for plan in plans if plan.job.fold in folds or (complete and plan.job.fold is None)]
    predictions, seconds = {}, {}
    for member in config.members:
        own = [plan for plan in used if plan.job.member == member]
        by_fold = [[plan.folder for plan in own if plan.job.fold == fold] for fold in folds]
        full = [plan.folder for plan in own if plan.job.fold is None]
        predictions[member] = collect_member(by_fold, full, data.train["id"], data.test["id"])
        seconds[member] = sum(read_json(plan.folder / "done.json")["seconds"] for plan in own)
    if len(predictions) > 1:
        predictions["ensemble"] = blend(list(predictions.values()))
        seconds["ensemble"] = sum(seconds.values())
    known = data.train["fold"].isin(folds).to_numpy()
    rows = data.train[known]
    scores = {
        name: score_predictions(rows["label"], found.oof[known], rows["fold"], rows["group"], found.test,
                                found.parts, config.threshold, config.seed, config.public_fraction)
        for name, found in predictions.items()
    }  # fmt: skip
    return Result(scores, predictions, seconds, known, complete)
