"""How good decisions are source by source: a mean over all rows hides the one generator that is not recognised."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from competition.scoring.arrays import check_binary, check_same_length
from competition.scoring.metrics import auc, f1

MIN_ROWS = 20  # below which a source is bad by bad luck: it is never named as the worst while larger ones are there


@dataclass(frozen=True)
class SourceScore:
    """Figures of the rows of one source, of which ``positives`` are of class 1; None where they are not defined.

    ``accuracy`` is the share of its rows called right, by which sources of any classes can be compared. A source of
    both classes has ``f1``, ``recall`` and ``false_positive_rate``, and ``auc`` among its own rows; one of class 1 has
    ``recall``, one of class 0 ``false_positive_rate``, and ``auc`` against all rows of the other class.
    """

    source: str
    rows: int
    positives: int
    accuracy: float
    f1: float | None
    recall: float | None
    false_positive_rate: float | None
    auc: float | None


def score_sources(label: ArrayLike, prob: ArrayLike, decision: ArrayLike, source: ArrayLike) -> list[SourceScore]:
    """Return the score of each source, the one with the least accuracy first; those of few rows come last.

    ``label`` and ``decision`` (n,) hold 0 and 1, ``prob`` (n,) ranks rows, ``source`` (n,) holds names. Raises
    ``ValueError`` for other values, unequal lengths and no rows.
    """
    label, decision = check_binary("label", label), check_binary("decision", decision)
    prob, source = np.asarray(prob, np.float64), np.asarray(source).astype(str)
    check_same_length(label=label, prob=prob, decision=decision, source=source)
    scores = []
    for name in np.unique(source):
        own = source == name
        truth, called = label[own], decision[own]
        both = truth.any() and not truth.all()
        ranked = own if both else own | (label != truth[0])
        area = auc(label[ranked], prob[ranked])
        scores.append(
            SourceScore(
                source=str(name),
                rows=int(own.sum()),
                positives=int(truth.sum()),
                accuracy=float((truth == called).mean()),
                f1=f1(truth, called) if both else None,
                recall=float(called[truth].mean()) if truth.any() else None,
                false_positive_rate=float(called[~truth].mean()) if not truth.all() else None,
                auc=None if np.isnan(area) else area,
            )
        )
    return sorted(scores, key=lambda score: (score.rows < MIN_ROWS, score.accuracy, score.source))
