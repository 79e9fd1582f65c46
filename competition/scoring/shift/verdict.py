"""Do the test images differ from the training images? One verdict, the evidence for it, and what to do.

Promises to look at no test label, and to compare like with like: rows judged by single models that did not train on
them with test rows judged by the same single models.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from numpy.typing import ArrayLike

from competition.scoring.best_threshold import best_threshold
from competition.scoring.rows import OofRows
from competition.scoring.shift import statistics
from competition.scoring.shift.bootstrap import draw_scores
from competition.scoring.shift.class_prior import Prior

SAME = "same world"
LABEL_SHIFT = "label shift"
DOMAIN_SHIFT = "another world"
ONE_SIDED = 0.01  # share of class 1 or of class 0 below which a test set cannot be meant
REMEDIES = {
    SAME: "Nothing to do: the CV score and the leaderboard range speak for this test set.",
    LABEL_SHIFT: (
        "The CV score is that of the training balance; threshold=auto follows the test's by rule em, and a rate "
        "that is known is declared with threshold=prior:P."
    ),
    DOMAIN_SHIFT: (
        "Do not believe the CV score for this test set; threshold=auto calls positive what is best under a broad "
        "belief about it. If its positive rate is known, say threshold=prior:P."
    ),
}


@dataclass(frozen=True)
class Shift:
    """How the test rows differ from the training rows, as a card holds it.

    ``verdict`` is ``SAME``, ``LABEL_SHIFT`` or ``DOMAIN_SHIFT``, ``remedy`` what to do in a sentence or two, ``prior``
    the estimated positive rate of the test rows, and ``evidence`` every statistic that was looked at.
    """

    verdict: str
    remedy: str
    prior: Prior | None
    evidence: list[statistics.Statistic]

    @property
    def features_agree(self) -> bool | None:
        """Whether every member's features say that the images are the same but for their class balance; None where no
        features were given."""
        aucs = [item.value["auc"] for item in self.evidence if item.name.startswith(statistics.FEATURES)]
        return all(auc is not None and auc < statistics.MIN_FEATURES_AUC for auc in aucs) if aucs else None

    @property
    def elsewhere(self) -> bool:
        """Whether the test images are of another world, and no features say that only their scores look otherwise.

        Where all rows look like one class, features that agree say only that what makes the other class is not seen.
        """
        return self.verdict == DOMAIN_SHIFT and (not self.features_agree or self.one_sided)

    @property
    def one_sided(self) -> bool:
        """Whether the test rows look as if they were of one class alone, which no test set is."""
        return self.prior is not None and (self.prior.high < ONE_SIDED or self.prior.low > 1 - ONE_SIDED)


def judge_shift(
    rows: OofRows,
    test_parts: ArrayLike,
    features: Mapping[str, Sequence[statistics.FoldFeatures]] | None = None,
    metadata: statistics.AucInterval | None = None,
    members: Mapping[str, tuple[ArrayLike, ArrayLike]] | None = None,
    seed: int = 0,
) -> Shift:
    """Judge whether the test rows are of the training rows' world.

    Each of the out-of-fold ``rows`` is judged by one model; ``test_parts`` (k, m) are the test rows by the models of
    the k folds in sorted order. ``features`` maps each member to its fold models' features, ``metadata`` how well files
    are told apart by what needs no model, ``members`` maps each member to its own ``prob`` (n,) and ``test_parts``
    (k, m). These three are optional; features tell most.

    *Another world*: no mix of the two classes' scores gives the test's, or features tell test rows from validation rows
    weighted to the test's class balance, or the rows look like one class alone; or, where no features show that the
    images are the same, the positive rate collapses, metadata tell, or members newly disagree. *Label shift*: none of
    these, but the class balance moved.
    Raises ``ValueError`` for what ``draw_scores``, ``domain_auc`` and ``statistics.disagreement`` refuse.
    """
    threshold, _ = best_threshold(rows.label, rows.prob)
    scores = draw_scores(rows, test_parts, threshold, seed=seed)
    balance, prior = statistics.class_balance(scores)
    rate, mixture = statistics.positive_rate(scores, threshold), statistics.score_mixture(scores)
    distance = statistics.score_distance(scores)
    seen = [statistics.member_features(name, parts, prior, seed) for name, parts in (features or {}).items()]
    hints = [rate]
    if metadata is not None:
        hints.append(statistics.metadata(metadata))
    if members is not None and len(members) > 1:
        hints.append(statistics.disagreement(rows, members, prior))
    shift = Shift(SAME, "", prior, [rate, balance, mixture, distance, *seen, *hints[1:]])
    against = [*seen, mixture, *([] if shift.features_agree else hints)]
    moved = LABEL_SHIFT if balance.alarming else SAME
    verdict = DOMAIN_SHIFT if shift.one_sided or any(item.alarming for item in against) else moved
    return replace(shift, verdict=verdict, remedy=REMEDIES[verdict])
