"""What a run knows of how far its own score can be believed.

The terminal prints it, the page words it, and the submission's card and metrics.json hold it under these names.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from competition.audit.findings import AuditSummary
from competition.scoring.blend.select import BlendChoice
from competition.scoring.by_source import SourceScore
from competition.scoring.shift.verdict import Shift
from competition.scoring.threshold.auto import RuleScore

METHODS = {"equal": "equal weights", "caruana": "Caruana selection", "stacking": "non-negative stacking"}


@dataclass(frozen=True)
class ThresholdChoice:
    """``asked``: the setting; ``rule``: the rule that was used, which is what ``auto`` decided on, and ``why``, in one
    clause; ``value``: the threshold for the test set; ``rules``: what each rule would have given, where it is known;
    ``on``: what it was tuned on, ``clean`` images, or these and degraded ones (``web``)."""

    asked: str
    rule: str
    why: str
    value: float
    rules: Mapping[str, RuleScore]
    on: str = "clean"


@dataclass(frozen=True)
class ConditionScore:
    """F1, ROC AUC and false-positive rate on ``rows`` sampled training rows under one condition ("clean", "jpeg75",
    ...). ``auc`` is None where they are of one class, ``false_positive_rate`` where none is of class 0."""

    condition: str
    f1: float
    auc: float | None
    rows: int
    false_positive_rate: float | None


@dataclass(frozen=True)
class Robustness:
    """A suite of conditions in short: the ``clean`` images, None where they are not known, the mean F1 over all other
    conditions, and the worst of these by F1 and by false-positive rate (None where no rate is known)."""

    clean: ConditionScore | None
    mean_f1: float
    worst: ConditionScore
    most_false_positives: ConditionScore | None


def in_short(suite: Sequence[ConditionScore]) -> Robustness | None:
    """Return the suite in short, None where it holds no condition beside the clean images."""
    clean = next((score for score in suite if score.condition == "clean"), None)
    others = [score for score in suite if score is not clean]
    if not others:
        return None
    rated = [score for score in others if score.false_positive_rate is not None]
    return Robustness(
        clean,
        sum(score.f1 for score in others) / len(others),
        min(others, key=lambda score: score.f1),
        max(rated, key=lambda score: score.false_positive_rate or 0.0, default=None),
    )


@dataclass(frozen=True)
class Analysis:
    """What was computed of it; None or empty what was not.

    ``unjudged`` says why there is a test set and no ``shift``. Rows of ``without`` are those of ``leave_one_out``, of
    ``views`` those of ``view_ablation``. ``sources``: the worst first. ``metric``: the setting.
    """

    shift: Shift | None = None
    unjudged: str = ""
    threshold: ThresholdChoice | None = None
    blend: BlendChoice | None = None
    without: Sequence[Mapping[str, Any]] = ()
    views: Sequence[Mapping[str, Any]] = ()
    robustness: Sequence[ConditionScore] = ()
    audit: AuditSummary | None = None
    sources: Sequence[SourceScore] = ()
    metric: str = "f1"
