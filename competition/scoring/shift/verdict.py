"""Is the test set from the world that was trained on? One verdict, the evidence for it, and what to do.

Promises to look at no test label, and to compare like with like: rows judged by single models that did not train on
them with test rows judged by the same single models.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import ArrayLike

from competition.scoring.metrics import check_binary, check_prob, check_score
from competition.scoring.shift.bootstrap import draw_scores
from competition.scoring.shift.class_prior import Prior
from competition.scoring.shift.statistics import (
    TELLABLE,
    Evidence,
    FoldFeatures,
    Told,
    class_balance,
    disagreement,
    member_features,
    positive_rate,
    score_distance,
    score_mixture,
)
from competition.scoring.shift.statistics import metadata as metadata_evidence
from competition.scoring.threshold.rules import best_threshold

SAME = "same world"
LABEL_SHIFT = "label shift"
ANOTHER_WORLD = "another world"


@dataclass(frozen=True)
class Shift:
    """The verdict (``SAME``, ``LABEL_SHIFT`` or ``ANOTHER_WORLD``), why, what to do, and every figure as JSON values.

    ``figures`` holds the verdict, ``because`` (the names of the evidence that made it another world, or label shift),
    and each evidence's value under its name. ``vouched``: whether features say that the pictures are the same but for
    their class balance; None where no features were given.
    """

    verdict: str
    evidence: list[Evidence]
    remedy: str
    prior: Prior
    vouched: bool | None
    figures: dict[str, Any]


def judge_shift(
    label: ArrayLike,
    prob: ArrayLike,
    fold: ArrayLike,
    group: ArrayLike | None,
    test_parts: ArrayLike,
    features: Mapping[str, Sequence[FoldFeatures]] | None = None,
    metadata: Told | None = None,
    members: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
    seed: int = 0,
) -> Shift:
    """Judge whether the test rows are of the training rows' world.

    The first five inputs are those of ``draw_scores``: out-of-fold rows (n,) by one model each,
    ``test_parts`` (k, m) the test rows by the models of the k folds in sorted order. ``features`` maps each member to
    its fold models' features, ``metadata`` how well files are told apart by what needs no model, ``members`` maps
    each member to its own ``prob`` (n,) and ``test_parts`` (k, m). These three are optional; features tell most.

    *Another world*: no mix of the two classes' scores gives the test's, or features tell test rows from validation rows
    weighted to the test's class balance; or, where no features vouch that the pictures are the same, the positive rate
    collapses, metadata tell, or members newly disagree. *Label shift*: none of these, but the class balance moved.
    Raises ``ValueError`` for what ``draw_scores``, ``domain_auc`` and ``evidence.disagreement`` refuse.
    """
    label, prob = check_binary("label", label), check_prob("prob", check_score("prob", prob))
    cut, _ = best_threshold(label, prob)
    scores = draw_scores(label, prob, fold, group, test_parts, cut, seed=seed)
    balance, prior = class_balance(scores)
    rate, mixture, distance = positive_rate(scores, cut), score_mixture(scores), score_distance(scores)
    seen = [member_features(name, parts, prior, seed) for name, parts in (features or {}).items()]
    vouched = bool(seen) and all(item.value["auc"] is not None and item.value["auc"] < TELLABLE for item in seen)
    hints = [rate]
    if metadata is not None:
        hints.append(metadata_evidence(metadata))
    if members is not None and len(members) > 1:
        hints.append(disagreement(label, members, prior, group))
    against = [item for item in (*seen, mixture, *([] if vouched else hints)) if item.alarming]
    verdict = ANOTHER_WORLD if against else LABEL_SHIFT if balance.alarming else SAME
    evidence = [rate, balance, mixture, distance, *seen, *hints[1:]]
    because = against or ([balance] if balance.alarming else [])
    figures = {
        "verdict": verdict,
        "because": [item.name for item in because],
        **{item.name: item.value for item in evidence},
    }
    return Shift(verdict, evidence, _remedy(verdict), prior, vouched if seen else None, figures)


def _remedy(verdict: str) -> str:
    """Return what to do, in a sentence or two."""
    if verdict == SAME:
        return "Nothing to do: the CV score and the leaderboard range speak for this test set."
    if verdict == LABEL_SHIFT:
        return (
            "The CV score is that of the training balance; threshold=auto follows the test's by rule em, and a rate "
            "that is known is declared with threshold=prior:P."
        )
    return "Do not believe the CV score for this test set. If its positive rate is known, say threshold=prior:P."
