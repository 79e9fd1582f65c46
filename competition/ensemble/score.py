"""From finished jobs to one answer: fold models averaged per member, members averaged, everything scored."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from competition.audit.findings import Audit
from competition.core.errors import UserError
from competition.core.settings import Config
from competition.core.splits import BY_SOURCE
from competition.data.folds import JUDGED
from competition.data.layouts.dataset import Dataset
from competition.data.layouts.test_files import sample_probability
from competition.data.run_data import FoldedRows, RunData
from competition.ensemble.analysis import Predicted, cannot_tell, find_shift, find_sources, find_worth
from competition.ensemble.member import Member
from competition.ensemble.outside import Outsider
from competition.ensemble.web import tuned_on_web
from competition.inference.oof import Predictions, blend
from competition.report.trust import Analysis, ThresholdChoice
from competition.scoring.blend.select import choose_blend
from competition.scoring.leaderboard_metric import LabelMetric, ProbabilityMetric, find_metric
from competition.scoring.rows import OofRows
from competition.scoring.scorecard import Score, score_predictions
from competition.scoring.threshold.auto import compare_rules
from competition.scoring.threshold.rules import AUTO, declared_share, find_rule, is_number, looks_at_test
from competition.training.plan import Plan

ENSEMBLE = "ensemble"


@dataclass(frozen=True)
class Result:
    """``scores`` and ``predictions`` by member, the ensemble last; ``members`` by member, those that are trained, and
    ``outsiders`` those that are not.

    ``judged``: (n,) bool, the training rows that the scores are about: those with an out-of-fold prediction, or a
    hold-out's test part where it has one. ``missing``: the folds that are not finished. ``weights``: each member's.
    ``trained_on_test``: whether models learned from test images. ``share``: that of class 1 among the training rows.
    """

    scores: dict[str, Score]
    predictions: Mapping[str, Predictions]
    members: Mapping[str, Member]
    outsiders: Mapping[str, Outsider]
    weights: Mapping[str, float]
    judged: np.ndarray
    missing: list[int]
    analysis: Analysis
    trained_on_test: bool
    share: float

    @property
    def final(self) -> str:
        """The name that the submission goes by: the ensemble, or the only member."""
        return list(self.scores)[-1]

    def answers(self, config: Config) -> np.ndarray:
        """Return what is submitted for the test rows: see :func:`answers`."""
        score = self.scores[self.final]
        return answers(config, score.test_prob, score.cut, self.share)

    @property
    def seconds(self) -> dict[str, float]:
        """What each member's jobs took, and all together."""
        own = {name: member.seconds() for name, member in self.members.items()} | dict.fromkeys(self.outsiders, 0.0)
        return own | ({self.final: sum(own.values())} if self.final not in own else {})


def check_decisions(config: Config, test_rows: int) -> None:
    """Raise UserError for a threshold rule that does not exist, has no rows or goes with no such metric, and for an
    empty leaderboard."""
    find_rule(config.threshold)
    of_probabilities = config.metric != AUTO and isinstance(find_metric(config.metric), ProbabilityMetric)
    if of_probabilities and config.threshold != AUTO and declared_share(config.threshold) is None:
        raise UserError(
            f"threshold={config.threshold} goes with labels, and metric={config.metric} submits probabilities: "
            "leave it out, or declare the test set's share of class 1 with threshold=prior:P."
        )
    if is_number(config.threshold) and not 0 <= float(config.threshold) <= 1:
        raise UserError(f"threshold={config.threshold} is not a probability: give a number from 0 to 1, or a rule.")
    if config.threshold_on == "web" and not config.evidence_rows:
        raise UserError(
            "threshold_on=web tunes the threshold on degraded images of held-out rows, and evidence_rows=0 keeps none: "
            "set evidence_rows=1000, or leave threshold_on=web out."
        )
    if test_rows and round(test_rows * config.public_fraction) < 1:
        raise UserError(f"public_fraction={config.public_fraction} of {test_rows} test rows leaves none: raise it.")


def settle_metric(config: Config, dataset: Dataset) -> tuple[Config, list[str]]:
    """Return the settings with ``metric=auto`` settled by the sample submission, and what is to be said of it.

    Probabilities are then submitted for log-loss: calibrated, they suit any metric of probabilities.
    """
    found = sample_probability(dataset.root, dataset.header[1]) if dataset.kind != "folders" else None
    if config.metric == AUTO:
        config = dataclasses.replace(config, metric="log_loss" if found else "f1")
        why = f"holds the probability {found}" if found else "holds no probability"
        return config, [f"metric=auto is {config.metric}, for the sample submission {why}"]
    if found and isinstance(find_metric(config.metric), LabelMetric):
        return config, [
            f"the sample submission holds the probability {found}, and metric={config.metric} submits labels: "
            "metric=auto, auc, log_loss or brier submits probabilities"
        ]
    return config, []


def score_run(
    config: Config,
    data: RunData,
    plans: Sequence[Plan],
    audit: Audit | None = None,
    outsiders: Mapping[str, Outsider] | None = None,
) -> Result:
    """Average the finished folds' predictions of a run and score every member, the ``outsiders``, and the ensemble."""
    folds = [fold for fold in range(config.parts) if all(p.is_done() for p in plans if p.job.fold == fold)]
    if not folds:
        raise UserError(f"No fold of {config.name} is trained by all its members yet: train one with fold=0.")
    members: dict[str, Member | Outsider] = {}
    for name, recipe in config.members.items():
        own = [plan for plan in plans if plan.job.member == name]
        by_fold = [[plan.folder for plan in own if plan.job.fold == fold] for fold in folds]
        full = [plan.folder for plan in own if plan.job.fold is None] if len(folds) == config.parts else []
        members[name] = Member(recipe, by_fold, full)
    return score(config, data, members | dict(outsiders or {}), folds, audit, bool(config.pseudo))


def score(
    config: Config,
    data: FoldedRows,
    members: Mapping[str, Member | Outsider],
    folds: Sequence[int],
    audit: Audit | None = None,
    trained_on: bool = False,
) -> Result:
    """Average each member's models of ``folds``, weigh the members, and score them all.

    With folds missing, the members weigh the same, and the test set is not examined; nor is one whose images were
    ``trained_on``.
    """
    missing = [fold for fold in range(config.parts) if fold not in folds]
    known = np.any([data.predicted(fold) for fold in folds], axis=0)
    trained = {name: one for name, one in members.items() if isinstance(one, Member)}
    outside = {name: one for name, one in members.items() if isinstance(one, Outsider)}
    found = _ensemble(data, members, known, len(folds), config, _blend_method(config, outside, bool(missing)))
    if data.judged_apart:
        known = known & (data.train["fold"] == JUDGED).to_numpy()
    if config.threshold_on == "web" and not missing and not outside:  # whose degraded images nobody has seen
        found = tuned_on_web(found, trained, config.seed)
    unjudged = cannot_tell(found.test, bool(missing), trained_on, config.split == BY_SOURCE)
    no_shift = missing or unjudged or data.test.empty
    shift = None if no_shift else find_shift(found, trained, audit, config.seed)
    settings = config.threshold, config.seed, config.public_fraction, shift
    scores = {name: score_predictions(rows, found.test_rows[name], *settings) for name, rows in found.oof.items()}
    final = scores[found.final]
    several = found.rows.held_out is None and found.rows.folds > 1  # folds, so that rules can be compared by them
    several = several and isinstance(found.rows.metric, LabelMetric)
    rules = compare_rules(found.rows, found.test, config.threshold, config.seed) if several and not missing else {}
    without, views, robustness = ((), (), ()) if missing else find_worth(found, trained, final, config.seed)
    tuned_on = _tuned_on(found, final)
    threshold = ThresholdChoice(config.threshold, final.rule, final.why, final.threshold, rules, tuned_on)
    choice, checked = found.blend.choice if found.blend else None, audit.summary() if audit else None
    sources = find_sources(data.train[known], final)
    analysis = Analysis(shift, unjudged, threshold, choice, without, views, robustness, checked, sources, config.metric)
    weights = choice.weights if choice else dict.fromkeys(members, 1.0)
    share = float(data.train["label"].mean())
    return Result(scores, found.predictions, trained, outside, weights, known, missing, analysis, trained_on, share)


def answers(config: Config, prob: np.ndarray, cut: float, share: float) -> np.ndarray:
    """Return what is submitted for test rows of these probabilities (m,), NaN where no model could see an image.

    Labels, (m,) 0 and 1, are ``config.fallback`` there, probabilities the ``share`` of class 1 among training rows.
    """
    if isinstance(find_metric(config.metric), ProbabilityMetric):
        return np.where(np.isnan(prob), share, prob)
    return labelled(config, prob, cut)


def labelled(config: Config, prob: np.ndarray, cut: float) -> np.ndarray:
    """Return the labels of test rows, (m,) 0 and 1, by their probabilities (m,); NaN is what no model could see."""
    return np.where(np.isnan(prob), config.fallback, prob >= cut).astype(int)


def _tuned_on(found: Predicted, final: Score) -> str:
    """Return what the threshold was tuned on, in the words of ``threshold_on``."""
    return "clean" if found.rows.web is None or looks_at_test(final.rule) or is_number(final.rule) else "web"


def _blend_method(config: Config, outside: Mapping[str, Outsider], missing: bool) -> str:
    """Return how members are weighed: all the same where no choice can be trusted, for folds are missing, or a member
    may have been trained on the rows that it judges."""
    unknown = any(one.fold is None for one in outside.values())
    return "equal" if missing or (unknown and config.blend == "auto") else config.blend


def _ensemble(
    data: FoldedRows,
    members: Mapping[str, Member | Outsider],
    known: np.ndarray,
    folds: int,
    config: Config,
    method: str,
) -> Predicted:
    """Average each member's models, and the members by weights fitted on the ``known`` (n,) training rows."""
    predictions = {name: member.predictions(data, folds) for name, member in members.items()}
    train, held_out, fold = data.train[known], None, data.train["fold"][known]
    if data.judged_apart:
        held_out, fold = (fold == JUDGED).to_numpy(), None
    shared = {"label": train["label"], "fold": fold, "group": train["group"], "held_out": held_out}
    metric = find_metric(config.metric)
    oof = {name: OofRows(prob=found.oof[known], **shared).scored_by(metric) for name, found in predictions.items()}
    if len(oof) < 2:
        return Predicted(train["id"].tolist(), predictions, oof, None)
    weighed = choose_blend(oof, config.seed, None if method == "auto" else method)
    both = blend(list(predictions.values()), list(weighed.choice.weights.values()))
    crossed = weighed.oof if held_out is None else None
    oof[ENSEMBLE] = OofRows(prob=both.oof[known], crossed=crossed, **shared).scored_by(metric)
    return Predicted(train["id"].tolist(), predictions | {ENSEMBLE: both}, oof, weighed)
