"""From finished jobs to one answer: fold models averaged per member, members averaged, everything scored."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from competition.config import Config, Recipe
from competition.data.assemble import RunData
from competition.data.folds import JUDGED
from competition.errors import UserError
from competition.files import read_json
from competition.inference.collect import Predictions, blend, collect_member
from competition.job import FEATURES_FILE
from competition.plan import Plan
from competition.scoring.scorecard import Score, score_hold_out, score_predictions

ENSEMBLE = "ensemble"


@dataclass(frozen=True)
class Entry:
    """One member with its finished models: ``by_fold``, for each finished fold their folders (one a seed), and
    ``full``, the folders of models on all rows."""

    recipe: Recipe
    by_fold: Sequence[Sequence[Path]]
    full: Sequence[Path] = ()

    @property
    def folders(self) -> list[Path]:
        """The folders of all models that are in the member's average."""
        return [folder for folders in [*self.by_fold, self.full] for folder in folders]

    def done(self) -> list[dict]:
        """Return what each model's job said when it was done."""
        return [read_json(folder / "done.json") for folder in self.folders]

    def seconds(self) -> float:
        """Return what the jobs took, a frozen member's features included."""
        features = read_json(self.folders[0].parent / FEATURES_FILE) or {"seconds": 0}
        return sum(done["seconds"] for done in self.done()) + features["seconds"]


@dataclass(frozen=True)
class Result:
    """``scores`` and ``predictions`` by member, the ensemble last; ``entries`` by member.

    ``judged``: (n,) bool, the training rows that the scores are about: those with an out-of-fold prediction, or a
    hold-out's test part where it has one. ``missing``: the folds that are not finished.
    """

    scores: dict[str, Score]
    predictions: dict[str, Predictions]
    entries: Mapping[str, Entry]
    judged: np.ndarray
    missing: list[int]

    @property
    def final(self) -> str:
        """The name that the submission goes by: the ensemble, or the only member."""
        return list(self.scores)[-1]

    @property
    def seconds(self) -> dict[str, float]:
        """What each member's jobs took, and all together."""
        own = {name: entry.seconds() for name, entry in self.entries.items()}
        return own | ({self.final: sum(own.values())} if self.final not in own else {})


def score_run(config: Config, data: RunData, plans: Sequence[Plan]) -> Result:
    """Average the finished folds' predictions of a run and score every member and the ensemble."""
    folds = [fold for fold in range(config.parts) if all(p.is_done() for p in plans if p.job.fold == fold)]
    if not folds:
        raise UserError(f"No fold of {config.name} is trained by all its members yet: train one with fold=0.")
    missing = [fold for fold in range(config.parts) if fold not in folds]
    entries = {}
    for member, recipe in config.members.items():
        own = [plan for plan in plans if plan.job.member == member]
        by_fold = [[plan.folder for plan in own if plan.job.fold == fold] for fold in folds]
        entries[member] = Entry(recipe, by_fold, [] if missing else [p.folder for p in own if p.job.fold is None])
    return score(config, data, entries, folds, missing)


def score(
    config: Config, data: RunData, entries: Mapping[str, Entry], folds: Sequence[int], missing: Sequence[int] = ()
) -> Result:
    """Average each member's models of ``folds`` and the members, and score them all."""
    predictions = {
        name: collect_member(entry.by_fold, entry.full, data.train["id"], data.test["id"])
        for name, entry in entries.items()
    }
    if len(predictions) > 1:
        predictions[ENSEMBLE] = blend(list(predictions.values()))
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
    return Result(scores, predictions, entries, known, list(missing))
