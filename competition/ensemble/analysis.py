"""What stands behind a score: how the members are weighed, whether the test set is of the same world, and what each
member, each test-time view and each kind of damage to the images is worth."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from competition.audit.findings import Audit
from competition.ensemble.member import Entry
from competition.inference.diagnostics import Diagnostics, collect_sweep, collect_views, read_diagnostics
from competition.inference.oof import Predictions
from competition.report.trust import ConditionScore
from competition.scoring.blend.ablation import leave_one_out, view_ablation
from competition.scoring.blend.average import mean_prob
from competition.scoring.blend.select import Blend
from competition.scoring.metrics import f1, sigmoid
from competition.scoring.scorecard import Score
from competition.scoring.shift.verdict import FoldFeatures, Shift, judge_shift
from competition.scoring.threshold.auto import RuleScore, compare_rules

LEAST_TEST = 50  # test rows below which luck and a shift look alike
LEAST_FEATURES = 20  # groups and test rows, below which features can tell nothing apart
LEAST_OF_CLASS = 10  # rows of either class, below which weights for another balance rest on next to nothing


@dataclass(frozen=True)
class Judged:
    """The rows that a run's questions are asked on: all with an out-of-fold prediction.

    ``rows``: id, label, group and fold of each; ``judged`` (n,) marks a hold-out's test part, None with folds;
    ``predictions`` by member, the ensemble last, their ``oof`` cut down to these rows, the ensemble's by the weights of
    the test set. ``blend``: how the members are weighed, None for a single one.
    """

    rows: pd.DataFrame
    judged: np.ndarray | None
    predictions: Mapping[str, Predictions]
    blend: Blend | None

    @property
    def final(self) -> Predictions:
        """The ensemble's predictions, or the only member's."""
        return list(self.predictions.values())[-1]

    @property
    def by_fold(self) -> np.ndarray | None:
        """The ensemble's probabilities (folds, n), each row by weights that never saw one fold; None without any."""
        return None if self.blend is None or self.judged is not None else self.blend.oof

    @property
    def part(self) -> np.ndarray:
        """The number of each row's fold among those there are; a hold-out has one."""
        if self.judged is not None:
            return np.zeros(len(self.rows), np.int64)
        return np.unique(self.rows["fold"], return_inverse=True)[1]

    @property
    def weights(self) -> np.ndarray:
        """The members' weights that judge each fold, (folds, members)."""
        return np.ones((self.part.max() + 1, 1)) if self.blend is None else self.blend.by_fold


def cannot_tell(judged: Judged, missing: bool, trained_on: bool) -> str:
    """Return why the test set cannot be asked about its world; nothing where it can, or there is none."""
    rows = int((~np.isnan(judged.final.parts).any(axis=0)).sum())
    if missing or not judged.final.test.size:
        return ""
    if trained_on:
        return "the models have learned from test images; their teacher's run knows"
    return f"{rows} test rows are too few to tell" if rows < LEAST_TEST else ""


def find_shift(judged: Judged, entries: Mapping[str, Entry], audit: Audit | None, seed: int) -> Shift | None:
    """Judge whether the test set is of the training rows' world, by all that the finished jobs left behind.

    Of a hold-out its validation part is asked: the labels of the judged part choose nothing.
    """
    seen = ~np.isnan(judged.final.parts).any(axis=0)
    kept = np.ones(len(judged.rows), bool) if judged.judged is None else ~judged.judged
    rows = judged.rows[kept]
    members = {name: (judged.predictions[name].oof[kept], judged.predictions[name].parts[:, seen]) for name in entries}
    features = {name: found for name, entry in entries.items() if (found := _features(entry, rows))}
    return judge_shift(
        rows["label"],
        judged.final.oof[kept],
        judged.part[kept],
        rows["group"],
        judged.final.parts[:, seen],
        features,
        audit.domain if audit else None,
        members,
        seed=seed,
    )


def _features(entry: Entry, rows: pd.DataFrame) -> list[FoldFeatures]:
    """Return what each fold's first model saw of held-out and test rows; none where a sample is too small."""
    by_id = rows.set_index("id")
    found = []
    for number, folders in enumerate(entry.by_fold):
        diagnostics: Diagnostics = read_diagnostics(folders[0])
        asked = np.isin(diagnostics.validation_ids, by_id.index)
        known = by_id.loc[diagnostics.validation_ids[asked]]
        ones = int(known["label"].sum())
        enough = min(known["group"].nunique(), len(diagnostics.test)) >= LEAST_FEATURES
        if not enough or min(ones, len(known) - ones) < LEAST_OF_CLASS:
            return []
        found.append(
            FoldFeatures(
                number,
                diagnostics.validation[asked],
                known["label"].to_numpy(),
                known["group"].to_numpy(),
                diagnostics.test,
            )
        )
    return found


Worth = Sequence[Mapping[str, Any]]  # see Analysis


def find_worth(
    judged: Judged, entries: Mapping[str, Entry], score: Score, seed: int
) -> tuple[Worth, Worth, Sequence[ConditionScore]]:
    """Return what the members and the test-time views are worth to the ensemble, and what changed images cost it.

    ``score`` is the ensemble's.
    """
    label, group, ids = judged.rows["label"].to_numpy(), judged.rows["group"].to_numpy(), judged.rows["id"]
    how = {"rule": score.rule, "seed": seed, "tuned": None if judged.judged is None else ~judged.judged}
    probs = {name: judged.predictions[name].oof for name in entries}
    without = []
    if judged.blend is not None:
        without = leave_one_out(probs, label, judged.part, group, judged.blend.fold_methods, **how)
    views = {name: collect_views(entry.by_fold, ids) for name, entry in entries.items()}
    names = list(next(iter(views.values())))
    logits = {name: np.stack([found[view] for view in names]) for name, found in views.items()}
    worth = view_ablation(logits, names, label, judged.part, group, judged.weights, **how) if len(names) > 1 else []
    sweeps = [collect_sweep(entry.by_fold, ids) for entry in entries.values()]
    return without, worth, _robustness(sweeps, judged, score)


def _robustness(sweeps: Sequence[Mapping[str, np.ndarray]], judged: Judged, score: Score) -> list[ConditionScore]:
    """Return the ensemble's F1 and AUC on the sampled rows under each condition, at each row's weights and threshold.

    Only conditions that all members were seen under are told.
    """
    label, part, weights = judged.rows["label"].to_numpy(), judged.part, judged.weights
    used = np.full(len(label), np.nan)
    used[slice(None) if judged.judged is None else judged.judged] = score.used
    found = []
    for condition in (name for name in sweeps[0] if all(name in sweep for sweep in sweeps)):
        logits = np.stack([sweep[condition] for sweep in sweeps])
        known = ~np.isnan(logits).any(axis=0) & ~np.isnan(used)
        if not known.any():
            continue
        prob = np.full(len(label), np.nan)
        for number, own in enumerate(weights):
            inside = known & (part == number)
            if inside.any():
                prob[inside] = mean_prob(sigmoid(logits[:, inside]), own)
        truth, prob = label[known], prob[known]
        auc = float(roc_auc_score(truth, prob)) if 0 < truth.sum() < len(truth) else None
        found.append(ConditionScore(condition, f1(truth, prob >= used[known]), auc, int(known.sum())))
    return found


def find_rules(judged: Judged, asked: str, seed: int) -> dict[str, RuleScore]:
    """Return every threshold rule's score on the final predictions; a hold-out and a single fold have none."""
    rows, final = judged.rows, judged.final
    if judged.judged is not None or rows["fold"].nunique() < 2:
        return {}
    prob = final.oof if judged.by_fold is None else judged.by_fold
    return compare_rules(
        rows["label"], prob, rows["fold"], rows["group"], final.test, final.parts, asked, seed, final.oof
    )
