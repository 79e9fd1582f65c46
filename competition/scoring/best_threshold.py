"""Where to cut a score into 0 and 1: the exact optimum of a metric, the same smoothed over resamples, and a given rate.

Promises: ``best_threshold`` is never beaten on its own rows by any other cut, and rows of equal score are called alike.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from competition.scoring.arrays import Bools, Codes, check_binary, check_positives, check_same_length, check_score
from competition.scoring.groups import draw_groups
from competition.scoring.leaderboard_metric import F1, Counts, LabelMetric, of_labels
from competition.scoring.rows import OofRows


def best_threshold(label: ArrayLike, score: ArrayLike, metric: LabelMetric = F1) -> tuple[float, float]:
    """Return the threshold with the highest value of the metric on these rows, over all cuts of the score, and it.

    ``label`` (n,) holds 0 and 1, at least one of them 1; ``score`` (n,) is any ordered score, infinities included. The
    threshold is the midpoint between the lowest score called positive and the next lower one, in the precision of
    ``score``, or the lowest score called positive itself where no number lies between or every row is called positive.
    Of cuts with equal values the highest wins; where calling no row positive is better than any of them, as it can be
    for accuracy, it lies just above the highest score. Raises ``ValueError`` for other labels, NaN scores, unequal
    lengths, no rows and no positive.
    """
    label, score = check_binary("label", label), check_score("score", score)
    check_same_length(label=label, score=score)
    check_positives(label)
    order = np.argsort(score)[::-1]
    label, score = label[order], score[order]
    return _best_weighted(label, score, np.ones(label.size, np.int64), _block_ends(score), metric)


def bootstrap_threshold(rows: OofRows, seed: int = 0, draws: int = 200) -> float:
    """Return the median of the best thresholds, by the metric of the rows, of ``draws`` resamples of whole groups, with
    replacement.

    The single best cut follows the noise of a few rows; the median over resamples smooths it. The same rows and seed
    give the same threshold. A resample without any positive has no best cut and is drawn again. Raises ``ValueError``
    for rows without a positive, and for no draws.
    """
    if draws < 1:
        raise ValueError(f"a bootstrap needs at least one draw; draws is {draws}")
    check_positives(rows.label)
    # Sorted once, from the highest score down; a resample is then no more than a multiplicity for each row.
    order = np.argsort(rows.prob)[::-1]
    label, score, group = rows.label[order], rows.prob[order], rows.group[order]
    block_end, metric = _block_ends(score), of_labels(rows.metric)
    rng = np.random.default_rng(seed)
    thresholds: list[float] = []
    while len(thresholds) < draws:
        weight = draw_groups(rng, group)
        if weight[label].any():
            thresholds.append(_best_weighted(label, score, weight, block_end, metric)[0])
    return float(np.median(thresholds))


def rate_threshold(score: ArrayLike, rate: float) -> float:
    """Return the threshold that calls the share ``rate`` of the (m,) scores positive: as near as ties allow.

    It lies midway between the last score called positive and the next lower one; at least one row is called positive.
    Raises ``ValueError`` for a rate outside (0, 1), NaN scores and no rows.
    """
    if not 0 < rate < 1:
        raise ValueError(f"a positive rate must lie strictly between 0 and 1; it is {rate}")
    score = np.sort(check_score("score", score))[::-1]
    if not score.size:
        raise ValueError("score must have at least one row to call a share of them positive")
    wanted = max(round(rate * score.size), 1)
    start, end = np.count_nonzero(score > score[wanted - 1]), np.count_nonzero(score >= score[wanted - 1])
    # Of a block of equal scores all are called or none: whichever is nearer to the rate.
    called = start if start and wanted - start < end - wanted else end
    return _between(score[called] if called < score.size else None, score[called - 1])


def _block_ends(score: NDArray[np.floating]) -> Codes:
    """Return where each block of equal scores ends, of scores in descending order."""
    return np.flatnonzero(np.append(score[1:] < score[:-1], True))


def _best_weighted(
    label: Bools, score: NDArray[np.floating], weight: NDArray[np.int64], block_end: Codes, metric: LabelMetric
) -> tuple[float, float]:
    """Return the best threshold and its value where row i, in descending order of score, counts ``weight[i]`` times."""
    found, called = np.cumsum(weight * label), np.cumsum(weight)
    positives, rows = found[-1], called[-1]
    values = metric.of_counts(Counts(found[block_end], called[block_end], positives, rows))
    # The first of equals is the highest cut, and for that reason one whose own block was drawn.
    best = int(np.argmax(values))
    none = float(metric.of_counts(Counts(0, 0, positives, rows)))
    if none > values[best]:
        return float(np.nextafter(score[0], np.inf)), none
    cut = block_end[best]
    drawn_below = np.flatnonzero(weight[cut + 1 :])
    return _between(score[cut + 1 + drawn_below[0]] if drawn_below.size else None, score[cut]), float(values[best])


def _between(lower: np.floating | None, upper: np.floating) -> float:
    """Return the midpoint, or ``upper`` where there is nothing below or rounding leaves nothing in between."""
    if lower is None or np.isinf(lower):
        return float(upper)
    middle = lower / 2 + upper / 2
    return float(middle if lower < middle <= upper else upper)
