"""Out-of-fold and test scores in common bins, as observed and resampled: what every comparison of the two starts from.

Promises that like is compared with like, single models with single models, and that each resample moves whole groups.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from competition.scoring.arrays import Bools, Codes, Floats, check_prob, logit
from competition.scoring.groups import draw_groups, grouped_variance
from competition.scoring.rows import OofRows

EDGE = 1e-6  # probabilities are kept this far from 0 and 1, so that no single row is beyond doubt
BINS = 256
DRAWS = 300


@dataclass(frozen=True)
class ScoreDraws:
    """Histograms of out-of-fold and test scores over common bins: as observed in row 0, resampled in the others.

    ``positive`` and ``negative`` (1 + draws, B) count the out-of-fold rows of each class; a resample without one of
    them is left out. ``test`` (1 + draws, B) is the share of the test scores, ``logit`` (B,) the mean calibrated logit
    of a bin, ``edges`` (B - 1,) the lowest probability of each bin but the first, ``rows`` how many independent test
    rows there are.
    """

    positive: Floats
    negative: Floats
    test: Floats
    logit: Floats
    edges: Floats
    rows: int


def draw_scores(
    rows: OofRows, test_parts: ArrayLike, threshold: float | None = None, draws: int = DRAWS, seed: int = 0
) -> ScoreDraws:
    """Return the histograms of the scores and of ``draws`` resamples of whole groups and of test rows.

    Each of ``rows`` is judged by one model; ``test_parts`` (k, m) holds all test rows judged by the model of the j-th
    fold; ``threshold`` is a probability that shall be an edge between bins. The test scores of all models are stacked,
    each model weighing as many rows as it judged out of fold, and of either class likewise: all are the same mixture of
    single models, so that nothing but the rows can differ. A test row is resampled with all its k scores. Groups of
    test rows are unknown; where groups make the out-of-fold labels or scores vary more than as many single rows would,
    resamples of the test rows are smaller in proportion (Kish's design effect). Raises ``ValueError`` for one class
    only, values out of range and parts that are not one for each fold.
    """
    label, prob, group = rows.label, check_prob("prob", rows.prob), rows.group
    parts = check_prob("test_parts", np.asarray(test_parts, float))
    if parts.ndim != 2 or len(parts) != rows.folds or parts.shape[1] == 0:
        raise ValueError(f"test_parts must be ({rows.folds}, rows), a row for each fold; its shape is {parts.shape}")
    if label.all() or not label.any():
        raise ValueError(f"label must hold both classes; all {label.size} rows are {int(label[0])}")
    edges = _edges(prob, parts, threshold)
    bins = edges.size + 1
    bin_of, test_bin = np.searchsorted(edges, prob, side="right"), np.searchsorted(edges, parts, side="right")
    rng = np.random.default_rng([seed, 2])
    share = np.bincount(rows.fold) / label.size
    times = (draw_groups(rng, group) for _ in range(draws))
    classes = _histograms((bin_of + bins * label)[:, None], _row_weight(label, rows.fold), 2 * bins, times)
    effect = max(1.0, *(_design_effect(values, group) for values in (label, prob)))
    independent = max(round(parts.shape[1] / effect), 1)
    times = (draw_groups(rng, np.arange(parts.shape[1]), independent) for _ in range(draws))
    test = _histograms(test_bin.T, np.tile(share, (parts.shape[1], 1)), bins, times)
    test /= test.sum(axis=1, keepdims=True)
    values = np.concatenate([prob, parts.ravel()])
    logits = logit(values, EDGE)
    where = np.concatenate([bin_of, test_bin.ravel()])
    mean_logit = np.bincount(where, weights=logits, minlength=bins) / np.maximum(np.bincount(where, minlength=bins), 1)
    positive, negative = classes[:, bins:], classes[:, :bins]
    whole = positive.any(axis=1) & negative.any(axis=1)  # a resample of few rows may miss a class
    return ScoreDraws(positive[whole], negative[whole], test[whole], mean_logit, edges, independent)


def _edges(prob: Floats, parts: Floats, threshold: float | None) -> Floats:
    """Return where bins of about equally many scores begin."""
    levels = np.linspace(0, 1, BINS + 1)[1:-1]
    edges = np.quantile(np.concatenate([prob, parts.ravel()]), levels, method="inverted_cdf")
    return np.unique(edges if threshold is None else np.append(edges, threshold))


def _row_weight(label: Bools, fold: Codes) -> Floats:
    """Return (n, 1) weights that give each class the same share of every fold, and leave the classes' sizes alone."""
    cell = 2 * fold + label
    in_cell, in_fold = np.bincount(cell, minlength=cell.max() + 1), np.bincount(fold)
    weight = (in_fold[fold] / in_cell[cell])[:, None]
    for rows in (label, ~label):
        weight[rows] *= np.count_nonzero(rows) / weight[rows].sum()
    return weight


def _design_effect(values: Bools | Floats, group: Codes) -> float:
    """Return how much more the mean of the rows varies than if they were independent: 1 where each is its own group."""
    deviation = values - values.mean()
    return float(grouped_variance(deviation, group) / max((deviation**2).sum(), 1e-12))


def _histograms(bin_of: Codes, weight: Floats, bins: int, resamples: Iterable[Codes]) -> Floats:
    """Return (1 + draws, bins) histograms of (rows, models) weighted bins: as they are, then of the resamples.

    A resample (rows,) holds how often it takes each row.
    """
    bin_of, models = bin_of.ravel(), weight.shape[1]
    histograms = [np.bincount(bin_of, weights=weight.ravel(), minlength=bins)]
    for times in resamples:
        weights = weight[:, 0] * times if models == 1 else (weight * times[:, None]).ravel()
        histograms.append(np.bincount(bin_of, weights=weights, minlength=bins))
    return np.array(histograms)
