"""From finished jobs to one answer: fold models averaged per member, members averaged, everything scored."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from competition.audit.findings import Audit
from competition.core.errors import UserError
from competition.core.settings import Config
from competition.data.folds import JUDGED
from competition.data.run_data import RunData
from competition.ensemble.analysis import Judged, cannot_tell, find_rules, find_shift, find_worth
from competition.ensemble.member import Entry
from competition.inference.oof import Predictions, blend, collect_member
from competition.report.trust import Analysis, ThresholdChoice
from competition.scoring.blend.select import Blend, choose_blend, choose_blend_hold_out
from competition.scoring.scorecard import Score, score_hold_out, score_predictions
from competition.scoring.shift.verdict import Shift
from competition.scoring.threshold.rules import find_rule, is_number
from competition.training.plan import Plan

ENSEMBLE = "ensemble"


@dataclass(frozen=True)
class Result:
    """``scores`` and ``predictions`` by member, the ensemble last; ``entries`` by member.

    ``judged``: (n,) bool, the training rows that the scores are about: those with an out-of-fold prediction, or a
    hold-out's test part where it has one. ``missing``: the folds that are not finished. ``weights``: each member's.
    ``trained_on_test``: whether models learned from test images.
    """

    scores: dict[str, Score]
    predictions: dict[str, Predictions]
    entries: Mapping[str, Entry]
    weights: Mapping[str, float]
    judged: np.ndarray
    missing: list[int]
    analysis: Analysis
    trained_on_test: bool

    @property
    def final(self) -> str:
        """The name that the submission goes by: the ensemble, or the only member."""
        return list(self.scores)[-1]

    @property
    def seconds(self) -> dict[str, float]:
        """What each member's jobs took, and all together."""
        own = {name: entry.seconds() for name, entry in self.entries.items()}
        return own | ({self.final: sum(own.values())} if self.final not in own else {})


def check_decisions(config: Config, test_rows: int) -> None:
    """Raise UserError for a threshold rule that does not exist, and for a leaderboard without rows."""
    find_rule(config.threshold)
    if is_number(config.threshold) and not 0 <= float(config.threshold) <= 1:
        raise UserError(f"threshold={config.threshold} is no probability: give one from 0 to 1, or a rule.")
    if test_rows and round(test_rows * config.public_fraction) < 1:
        raise UserError(f"public_fraction={config.public_fraction} of {test_rows} test rows is no row: raise it.")


def score_run(config: Config, data: RunData, plans: Sequence[Plan], audit: Audit | None = None) -> Result:
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
    return score(config, data, entries, folds, missing, audit, bool(config.pseudo))


def score(
    config: Config,
    data: RunData,
    entries: Mapping[str, Entry],
    folds: Sequence[int],
    missing: Sequence[int] = (),
    audit: Audit | None = None,
    trained_on: bool = False,
) -> Result:
    """Average each member's models of ``folds``, weigh the members, and score them all.

    With folds ``missing``, the members weigh the same, and nothing is asked of the test set; nor is it of one whose
    images were ``trained_on``.
    """
    known = np.any([data.predicted(fold) for fold in folds], axis=0)
    rows = data.train[known].reset_index(drop=True)
    judged = (rows["fold"] == JUDGED).to_numpy() if data.hold_out and (data.train["fold"] == JUDGED).any() else None
    members = {
        name: _cut(collect_member(entry.by_fold, entry.full, data.train["id"], data.test["id"]), known)
        for name, entry in entries.items()
    }
    weighed = _weigh(config, rows, judged, members, "equal" if missing else config.blend)
    asked = Judged(rows, judged, _with_ensemble(members, weighed), weighed)
    unasked = cannot_tell(asked, bool(missing), trained_on)
    no_shift = missing or unasked or data.test.empty
    shift = None if no_shift else find_shift(asked, entries, audit, config.seed)
    scores = {name: _scored(config, asked, name, shift) for name in asked.predictions}
    final = list(scores.values())[-1]
    rules = {} if missing else find_rules(asked, config.threshold, config.seed)
    threshold = ThresholdChoice(config.threshold, final.rule, final.why, final.threshold, rules)
    analysis = Analysis(
        shift, unasked, threshold, weighed.choice if weighed else None, audit=audit.summary() if audit else None
    )
    if not missing:
        without, views, robustness = find_worth(asked, entries, final, config.seed)
        analysis = dataclasses.replace(analysis, without=without, views=views, robustness=robustness)
    predictions = {name: _spread(found, known) for name, found in asked.predictions.items()}
    weights = weighed.choice.weights if weighed else dict.fromkeys(entries, 1.0)
    if judged is not None:
        known = known & (data.train["fold"] == JUDGED).to_numpy()
    return Result(scores, predictions, entries, weights, known, list(missing), analysis, trained_on)


def _cut(found: Predictions, known: np.ndarray) -> Predictions:
    return dataclasses.replace(found, oof=found.oof[known])


def _spread(found: Predictions, known: np.ndarray) -> Predictions:
    oof = np.full(len(known), np.nan)
    oof[known] = found.oof
    return dataclasses.replace(found, oof=oof)


def _weigh(
    config: Config, rows: pd.DataFrame, judged: np.ndarray | None, members: Mapping[str, Predictions], method: str
) -> Blend | None:
    """Choose how much each member counts; None for a single one."""
    if len(members) < 2:
        return None
    probs = {name: found.oof for name, found in members.items()}
    asked = None if method == "auto" else method
    if judged is not None:
        return choose_blend_hold_out(probs, rows["label"], rows["group"], ~judged, config.seed, asked)
    return choose_blend(probs, rows["label"], rows["fold"], rows["group"], config.seed, asked)


def _with_ensemble(members: Mapping[str, Predictions], weighed: Blend | None) -> dict[str, Predictions]:
    """Add the members' mean, of out-of-fold and test rows alike by the weights of the test set."""
    if weighed is None:
        return dict(members)
    return {**members, ENSEMBLE: blend(list(members.values()), list(weighed.choice.weights.values()))}


def _scored(config: Config, asked: Judged, name: str, shift: Shift | None) -> Score:
    """Score one member, or the ensemble: each fold by the weights that never saw it, the test set by those of all."""
    rows, found = asked.rows, asked.predictions[name]
    settings = config.threshold, config.seed, config.public_fraction, shift
    if asked.judged is not None:
        return score_hold_out(rows["label"], found.oof, asked.judged, rows["group"], found.test, found.parts, *settings)
    several = name == ENSEMBLE and asked.by_fold is not None
    prob = asked.by_fold if several else found.oof
    return score_predictions(
        rows["label"], prob, rows["fold"], rows["group"], found.test, found.parts, *settings, whole=found.oof
    )
