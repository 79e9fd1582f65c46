"""How far to believe a score: the two intervals, both by bootstrap over groups, that stand beside every score.

The *CV interval* says how well the score is known; the *leaderboard range* says where a test set of a given size should
land. Both hold for rows of the same world only; the range can follow one kind of shift, a class balance that is known.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

from competition.scoring.arrays import Floats, check_binary, check_group, check_same_length, sigmoid
from competition.scoring.leaderboard_metric import F1, Counts, LabelMetric
from competition.scoring.shift.class_prior import Prior

LEVEL = 0.95  # share of the resamples that an interval holds
CHUNK_CELLS = 4_000_000  # of draws x kinds held at once: 32 MB an array


@dataclass(frozen=True)
class Bootstrap:
    """How many resamples of the groups are drawn, from which seed, and which metric each is scored by."""

    draws: int = 2000
    seed: int = 0
    metric: LabelMetric = F1


def cv_interval(
    label: ArrayLike, decision: ArrayLike, group: ArrayLike | None, bootstrap: Bootstrap = Bootstrap()
) -> tuple[float, float]:
    """Return the percentile bootstrap interval of the metric of given decisions, resampling whole groups.

    ``label`` and ``decision`` are (n,) arrays of 0 and 1; the decisions should be cross-fitted. ``group`` (n,) names
    rows that belong together (``None``: each row alone). The row order does not matter. Raises ``ValueError`` for other
    values, unequal lengths and fewer than two groups.
    """
    kinds, frequency = _kinds(label, decision, group, bootstrap.metric.counts_negatives)
    values = [_value(bootstrap.metric, counts @ kinds) for counts in _resamples(frequency, bootstrap)]
    return _percentiles(np.concatenate(values))


def leaderboard_rows(n_test: int, public_fraction: float) -> int:
    """Return how many rows of a test set a leaderboard scores.

    Raises ``ValueError`` for a fraction outside (0, 1], and where no row is left.
    """
    if not 0 < public_fraction <= 1:
        raise ValueError(f"public_fraction must lie in (0, 1]; it is {public_fraction}")
    rows = round(n_test * public_fraction)
    if rows < 1:
        raise ValueError(f"a leaderboard needs at least one row; {n_test} test rows x {public_fraction} leave {rows}")
    return rows


def leaderboard_range(
    label: ArrayLike,
    decision: ArrayLike,
    group: ArrayLike | None,
    rows: int,
    prior: Prior | None = None,
    bootstrap: Bootstrap = Bootstrap(),
) -> tuple[float, float]:
    """Return where the score on a leaderboard of so many ``rows`` of the same world should land.

    Each draw resamples the groups (how well the score is known) and then draws a test set from *that* resample (the
    test's own luck; without it a 95 % interval holds but 71 % of leaderboards at 1,000 training and 400 test rows). A
    test set is whole groups at the mean group size: where the rows are no multiple of it, one group more or less, at
    odds that keep the expected number of rows, but never none.

    With ``prior``, the test set's class balance, each draw takes a balance from the prior's interval (normal in its
    logit), as many positive rows as that gives, and calls them and the negative ones at the resample's own rates, row
    by row: a test set of another balance keeps no training group together. Inputs and errors are those of
    ``cv_interval``; with ``prior``, also ``ValueError`` for labels of one class only.
    """
    if prior is not None:
        return _percentiles(_value(bootstrap.metric, _shifted(label, decision, group, rows, prior, bootstrap)))
    kinds, frequency = _kinds(label, decision, group, bootstrap.metric.counts_negatives)
    groups = frequency.sum()
    groups_wanted = rows * groups / np.size(label)
    rng = np.random.default_rng([bootstrap.seed, 1])
    values = []
    for counts in _resamples(frequency, bootstrap):
        test_groups = np.floor(groups_wanted + rng.random(len(counts))).astype(np.int64)
        test_counts = rng.multinomial(np.maximum(test_groups, 1), counts / groups)
        values.append(_value(bootstrap.metric, test_counts @ kinds))
    return _percentiles(np.concatenate(values))


def _shifted(
    label: ArrayLike, decision: ArrayLike, group: ArrayLike | None, rows: int, prior: Prior, bootstrap: Bootstrap
) -> NDArray[np.int64]:
    """Return (draws, 4) TP, FP, FN and TN of leaderboards with the class balance of ``prior``."""
    label = check_binary("label", label)
    if label.all() or not label.any():
        raise ValueError(f"another class balance needs rows of both classes; all {label.size} are {int(label[0])}")
    kinds, frequency = _kinds(label, decision, group, with_negatives=True)
    counts = np.concatenate([part @ kinds for part in _resamples(frequency, bootstrap)])
    true_positive, false_positive, false_negative, true_negative = counts.T
    rng = np.random.default_rng([bootstrap.seed, 2])
    middle, low, high = special.logit([prior.value, prior.low, prior.high])
    share = sigmoid(rng.normal(middle, (high - low) / (2 * stats.norm.ppf(0.975)), bootstrap.draws))
    positives = rng.binomial(rows, share)
    # A resample may lack a class altogether: half a row of either outcome stands in for it.
    found = rng.binomial(positives, (true_positive + 0.5) / (true_positive + false_negative + 1))
    taken = rng.binomial(rows - positives, (false_positive + 0.5) / (false_positive + true_negative + 1))
    return np.stack([found, taken, positives - found, rows - positives - taken], axis=1)


def _kinds(
    label: ArrayLike, decision: ArrayLike, group: ArrayLike | None, with_negatives: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the distinct (TP, FP, FN) of groups, (K, 3), or with TN, (K, 4), and how many groups have each, (K,).

    Groups with the same counts are interchangeable in the metric, so a resample needs only the number it takes of each
    kind. Pairs make at most ten kinds, however many pairs there are.
    """
    label, decision = check_binary("label", label), check_binary("decision", decision)
    check_same_length(label=label, decision=decision)
    group = check_group(group, label.size)
    if group.max() == 0:
        raise ValueError(f"an interval needs at least two groups; all {label.size} rows are in one")
    outcomes = [label & decision, ~label & decision, label & ~decision]
    if with_negatives:
        outcomes.append(~label & ~decision)
    per_group = np.stack([np.bincount(group[outcome], minlength=group.max() + 1) for outcome in outcomes], axis=1)
    return np.unique(per_group, axis=0, return_counts=True)


def _resamples(frequency: NDArray[np.int64], bootstrap: Bootstrap) -> Iterator[NDArray[np.int64]]:
    """Yield resamples of all groups, with replacement, as (chunk, K) counts of each kind, in bounded memory."""
    rng = np.random.default_rng([bootstrap.seed, 0])
    groups, draws = frequency.sum(), bootstrap.draws
    chunk = max(CHUNK_CELLS // frequency.size, 1)
    for start in range(0, draws, chunk):
        yield rng.multinomial(groups, frequency / groups, size=min(chunk, draws - start))


def _value(metric: LabelMetric, outcomes: NDArray[np.int64]) -> Floats:
    """Return the metric of (draws, 3) TP, FP and FN, or with TN, (draws, 4)."""
    found, false_positive, false_negative = outcomes.T[:3]
    counts = Counts(found, found + false_positive, found + false_negative, outcomes.sum(axis=1))
    return np.asarray(metric.of_counts(counts))


def _percentiles(values: Floats) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
