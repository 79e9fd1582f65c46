"""What stands behind a score: how the members are weighed, whether the test set differs, and what each
member, each test-time view and each kind of damage to the images is worth."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from competition.audit.findings import Audit
from competition.ensemble.member import Member
from competition.inference.diagnostics import collect_sweep, collect_views, read_diagnostics
from competition.inference.oof import Predictions
from competition.report.trust import ConditionScore
from competition.scoring.arrays import sigmoid
from competition.scoring.blend.ablation import leave_one_out, view_ablation
from competition.scoring.blend.average import mean_prob
from competition.scoring.blend.select import Blend
from competition.scoring.by_source import SourceScore, score_sources
from competition.scoring.metrics import auc, f1
from competition.scoring.rows import OofRows, TestRows
from competition.scoring.scorecard import Score
from competition.scoring.shift.statistics import FoldFeatures
from competition.scoring.shift.verdict import Shift, judge_shift

MIN_TEST_ROWS = 50  # below which luck and a shift look alike
MIN_FEATURE_ROWS = 20  # groups, and test rows, below which features can tell nothing apart
MIN_OF_CLASS = 10  # rows of either class, below which weights for another balance rest on next to nothing

Worth = Sequence[Mapping[str, Any]]  # see Analysis


@dataclass(frozen=True)
class Predicted:
    """What the members, and the ensemble after them where there are several, make of a run's rows.

    ``predictions`` by member, of all rows; ``oof`` by member, of the training rows with an out-of-fold prediction, and
    their ``ids`` (n,). ``blend``: how the members are weighed, None for a single one.
    """

    ids: Sequence[str]
    predictions: Mapping[str, Predictions]
    oof: Mapping[str, OofRows]
    blend: Blend | None

    @cached_property
    def test_rows(self) -> dict[str, TestRows]:
        """The test rows by member."""
        return {name: TestRows(found.test, found.parts) for name, found in self.predictions.items()}

    @property
    def final(self) -> str:
        """The ensemble's name, or the only member's."""
        return list(self.oof)[-1]

    @property
    def rows(self) -> OofRows:
        """The out-of-fold rows of the ensemble, or of the only member."""
        return self.oof[self.final]

    @property
    def test(self) -> TestRows:
        """The test rows of the ensemble, or of the only member."""
        return self.test_rows[self.final]

    @property
    def weights(self) -> np.ndarray:
        """The members' weights that judge each fold, (folds, members)."""
        return np.ones((self.rows.folds, 1)) if self.blend is None else self.blend.by_fold


def cannot_tell(test: TestRows, missing: bool, trained_on: bool, by_source: bool) -> str:
    """Return why it cannot be known whether the test set differs; nothing where it can be, or there is no test set."""
    rows = test.seen.parts.shape[1]
    if missing or not test.prob.size:
        return ""
    if trained_on:
        return "the models have learned from test images; their teacher's run knows"
    if by_source:
        return "each fold holds out whole sources, which makes its rows unlike the test set; split=folds can tell"
    return f"{rows} test rows are too few to tell" if rows < MIN_TEST_ROWS else ""


def find_shift(found: Predicted, members: Mapping[str, Member], audit: Audit | None, seed: int) -> Shift:
    """Judge whether the test set differs from the training rows, by all that the finished jobs left behind.

    Of a hold-out the validation part is compared with it: the labels of the judged part choose nothing.
    """
    parts = found.test.parts
    seen = ~np.isnan(parts).any(axis=0)
    scores = {name: (found.oof[name].tuning.prob, found.test_rows[name].parts[:, seen]) for name in members}
    rows = pd.DataFrame({"label": found.rows.label, "group": found.rows.group}, index=found.ids)
    rows = rows if found.rows.held_out is None else rows[~found.rows.held_out]
    features = {name: seen_by for name, member in members.items() if (seen_by := _features(member, rows))}
    metadata = audit.domain if audit else None
    return judge_shift(found.rows.tuning, parts[:, seen], features, metadata, scores, seed)


def _features(member: Member, rows: pd.DataFrame) -> list[FoldFeatures]:
    """Return what each fold's first model saw of held-out and test rows; none where a sample is too small."""
    found = []
    for folders in member.by_fold:
        kept = read_diagnostics(folders[0])
        inside = pd.Index(kept.validation_ids).isin(rows.index)
        known = rows.loc[kept.validation_ids[inside]]
        label, group = known["label"].to_numpy(), known["group"].to_numpy()
        enough = min(len(np.unique(group)), len(kept.test)) >= MIN_FEATURE_ROWS
        if not enough or min(label.sum(), (~label).sum()) < MIN_OF_CLASS:
            return []
        found.append(FoldFeatures(kept.validation[inside], label, group, kept.test))
    return found


def find_worth(
    found: Predicted, members: Mapping[str, Member], score: Score, seed: int
) -> tuple[Worth, Worth, Sequence[ConditionScore]]:
    """Return what the members and the test-time views are worth to the ensemble, and what changed images cost it.

    ``score`` is the ensemble's; ``members`` are those that are trained: where there are others, of which nobody knows
    what single views and changed images come to, the last two are left open.
    """
    without: Worth = []
    if found.blend is not None:
        weighed = {name: rows for name, rows in found.oof.items() if name != found.final}
        without = leave_one_out(weighed, found.blend.fold_methods, score.rule, seed)
        if len(weighed) > len(members):
            return without, [], []
    logits = {name: collect_views(member.by_fold, found.ids) for name, member in members.items()}
    several = len(next(iter(logits.values()))) > 1
    views = view_ablation(logits, found.rows, found.weights, score.rule, seed) if several else []
    sweeps = [collect_sweep(member.by_fold, found.ids) for member in members.values()]
    return without, views, _robustness(sweeps, found, score)


def _robustness(sweeps: Sequence[Mapping[str, np.ndarray]], found: Predicted, score: Score) -> list[ConditionScore]:
    """Return the ensemble's scores on the sampled rows under each condition, at each row's weights and threshold.

    Only conditions that all members were seen under are included.
    """
    rows = found.rows
    used = np.full(rows.label.size, np.nan)
    used[slice(None) if rows.held_out is None else rows.held_out] = score.used
    scores = []
    for condition in (name for name in sweeps[0] if all(name in sweep for sweep in sweeps)):
        logits = np.stack([sweep[condition] for sweep in sweeps])
        known = ~np.isnan(logits).any(axis=0) & ~np.isnan(used)
        if not known.any():
            continue
        prob = np.full(rows.label.size, np.nan)
        for number, weights in enumerate(found.weights):
            inside = known & (rows.fold == number)
            if inside.any():
                prob[inside] = mean_prob(sigmoid(logits[:, inside]), weights)
        scores.append(_condition_score(condition, rows.label[known], prob[known], prob[known] >= used[known]))
    return scores


def _condition_score(name: str, label: np.ndarray, prob: np.ndarray, decision: np.ndarray) -> ConditionScore:
    """Return the scores of (n,) rows under the condition of this name."""
    area = auc(label, prob)
    return ConditionScore(
        name,
        f1(label, decision),
        None if math.isnan(area) else area,
        label.size,
        None if label.all() else float(decision[~label].mean()),
    )


def find_sources(judged: pd.DataFrame, score: Score) -> list[SourceScore]:
    """Return the final ``score`` by the source of each ``judged`` row, at the submission's threshold; nothing where no
    sources are known."""
    if "source" not in judged:
        return []
    return score_sources(judged["label"], score.prob, score.prob >= score.cut, judged["source"])
