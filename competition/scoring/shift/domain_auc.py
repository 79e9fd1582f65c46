"""Can training rows be distinguished from test rows by their features? A small classifier tries; its AUC shows it.

An AUC of .5 means no. With validation rows weighted to the test's class balance it stays at .5 under pure label shift,
so whatever it then finds is a change of the pictures themselves.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from sklearn.utils.extmath import randomized_svd

from competition.scoring.arrays import Bools, Codes, Floats, check_group
from competition.scoring.groups import grouped_variance, take_groups

MAX_ROWS = 2000  # of either side that take part, so that no data set is too large
MAX_COMPONENTS = 64  # whose scores are given to the classifier ...
MAX_SQUARED = 32  # ... the first of them squared as well: a change of spread is a change too
ROWS_PER_COMPONENT = 5  # of the smaller side, or more components cost more than they tell
SPLITS = 5
MIN_ROWS = 2 * SPLITS  # rows or groups of either side
PERMUTATIONS = 20
RIDGE = 0.02  # of the rows, on features of variance 1
MAX_DEVIATION = 5.0  # standard deviations beyond which a value counts as this far


@dataclass(frozen=True)
class Domain:
    """The AUC of test against validation rows, its 95 % interval, and what chance reaches.

    ``null`` is the 95th percentile of the AUC over shuffled domain labels; ``n_validation`` and ``n_test`` count the
    rows that took part.
    """

    auc: float
    low: float
    high: float
    null: float
    n_validation: int
    n_test: int


def domain_auc(
    validation: ArrayLike,
    test: ArrayLike,
    weight: ArrayLike | None = None,
    group: ArrayLike | None = None,
    seed: int = 0,
) -> Domain:
    """Return how well a classifier that never saw a row finds out whether it is a test row.

    ``validation`` (n, d) and ``test`` (m, d) are features by one and the same model, or metadata; ``weight`` (n,) >= 0
    weighs validation rows, ``group`` (n,) names validation rows that must not be split (``None``: each row alone).
    Features are standardised and reduced to at most 64 principal components; these, and the squares of the first 32, go
    to a ridge regression, cross-fitted five-fold; the AUC is the mean of the folds'. The interval is DeLong's, over
    groups. At most 2,000 rows of each side take part, drawn by ``seed``. Raises ``ValueError`` for other shapes, values
    that are not finite, and fewer than ten rows or groups on either side.
    """
    rng = np.random.default_rng([seed, 3])
    validation, test, weight = _check_sides(validation, test, weight)
    kept, test_kept, group = _sampled(rng, validation, test, check_group(group, len(validation)))
    validation, weight, test = validation[kept], weight[kept], test[test_kept]
    # Test rows are groups of their own, numbered after the validation groups.
    group = np.concatenate([group, group.max() + 1 + np.arange(len(test))])
    weight = np.concatenate([weight / weight.mean(), np.ones(len(test))])
    is_test = np.arange(group.size) >= len(validation)
    components = min(MAX_COMPONENTS, max(min(len(validation), len(test)) // ROWS_PER_COMPONENT, 2))
    design = _design(np.concatenate([validation, test]), components, seed)
    orders = (rng.permutation(int(group.max()) + 1) for _ in range(PERMUTATIONS))
    # Shuffled labels go to whole groups, about as many rows being test rows as before.
    domain = np.stack([is_test, *(take_groups(group, order, len(test)) for order in orders)], axis=1)
    split = _splits(rng, is_test, group)
    auc, variance = _cross_validated(design, domain, weight, group, split)
    margin = stats.norm.ppf(0.975) * np.sqrt(variance)
    low, high = float(max(auc[0] - margin, 0)), float(min(auc[0] + margin, 1))
    return Domain(float(auc[0]), low, high, float(np.quantile(auc[1:], 0.95)), len(validation), len(test))


def _check_sides(
    validation: ArrayLike, test: ArrayLike, weight: ArrayLike | None
) -> tuple[NDArray[np.float32], NDArray[np.float32], Floats]:
    validation, test = _check_features("validation", validation), _check_features("test", test)
    if validation.shape[1] != test.shape[1]:
        raise ValueError(f"validation has {validation.shape[1]} features and test {test.shape[1]}")
    weight = np.ones(len(validation)) if weight is None else np.asarray(weight, float)
    if weight.shape != (len(validation),) or not (weight >= 0).all() or not weight.any():
        raise ValueError(f"weight must be {len(validation)} numbers >= 0, not all 0; its shape is {weight.shape}")
    return validation, test, weight


def _check_features(name: str, values: ArrayLike) -> NDArray[np.float32]:
    values = np.asarray(values, np.float32)
    if values.ndim != 2 or 0 in values.shape:
        raise ValueError(f"{name} must be (rows, features); its shape is {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"{name} must be finite; row {int(np.argmin(np.isfinite(values).all(1)))} is not")
    return values


def _sampled(
    rng: np.random.Generator, validation: NDArray[np.float32], test: NDArray[np.float32], group: Codes
) -> tuple[Codes, Codes, Codes]:
    """Return which rows of either side take part, and the groups of the validation rows among them, renumbered."""
    kept, test_kept = _some_groups(rng, validation, group), _some_groups(rng, test, np.arange(len(test)))
    group = _by_appearance(group[kept])
    groups = int(group.max()) + 1
    if min(groups, test_kept.size) < MIN_ROWS:
        raise ValueError(
            f"a domain AUC needs {MIN_ROWS} rows or groups on either side; "
            f"there are {groups} for validation and {test_kept.size} for test"
        )
    return kept, test_kept, group


def _some_groups(rng: np.random.Generator, rows: NDArray[np.float32], group: Codes) -> Codes:
    """Return the rows of as many whole groups as keep to ``MAX_ROWS``, in an order that only their bytes decide."""
    order = np.ascontiguousarray(rows).view(f"V{rows.itemsize * rows.shape[1]}").ravel().argsort(kind="stable")
    if order.size <= MAX_ROWS:
        return order
    group = _by_appearance(group[order])
    return order[take_groups(group, rng.permutation(int(group.max()) + 1), MAX_ROWS, MIN_ROWS)]


def _by_appearance(group: Codes) -> Codes:
    """Return the groups' codes 0..G-1 in the order in which they first appear."""
    _, first, code = np.unique(group, return_index=True, return_inverse=True)
    return first.argsort().argsort()[code]


def _design(rows: NDArray[np.float32], components: int, seed: int) -> Floats:
    """Return standardised principal components and their squares, and a column of ones. It sees no domain label."""
    spread = rows.std(axis=0)
    varies = spread > 1e-6 * np.maximum(np.abs(rows).max(axis=0), 1e-12)
    if not varies.any():
        return np.ones((len(rows), 1))
    rows = (rows[:, varies] - rows[:, varies].mean(axis=0)) / spread[varies]
    rows = np.clip(rows, -MAX_DEVIATION, MAX_DEVIATION)
    if rows.shape[1] > components:
        left, _, _ = randomized_svd(rows, components, n_oversamples=10, n_iter=2, random_state=seed)
        rows = left - left.mean(axis=0)
        rows = np.clip(rows / np.maximum(rows.std(axis=0), 1e-12), -MAX_DEVIATION, MAX_DEVIATION)
    columns = np.concatenate([rows, rows[:, :MAX_SQUARED] ** 2], axis=1).astype(np.float64)
    spread = columns.std(axis=0)
    columns = (columns - columns.mean(axis=0)) / np.where(spread > 0, spread, 1)
    return np.concatenate([columns, np.ones((len(rows), 1))], axis=1)


def _splits(rng: np.random.Generator, is_test: Bools, group: Codes) -> Codes:
    """Return each row's split: whole groups, the validation groups and the test rows each spread evenly."""
    groups = int(group.max()) + 1
    validation_groups = groups - int(is_test.sum())
    place = np.concatenate([rng.permutation(validation_groups), rng.permutation(groups - validation_groups)])
    return (place % SPLITS)[group]


def _cross_validated(design: Floats, domain: Bools, weight: Floats, group: Codes, split: Codes) -> tuple[Floats, float]:
    """Return the AUC of each column of domain labels, and the variance of the first's.

    Every column is regressed on the same weighted rows, so one matrix is solved for all: shuffles cost nearly nothing.
    """
    weighted = design * weight[:, None]
    target = domain.astype(np.float64)
    auc = np.zeros((SPLITS, domain.shape[1]))
    variance = np.zeros(SPLITS)
    penalty = np.full(design.shape[1], RIDGE * weight.sum())
    penalty[-1] = 1e-9
    for part in range(SPLITS):
        outside, inside = split != part, split == part
        gram = design[outside].T @ weighted[outside] + np.diag(penalty)
        score = design[inside] @ np.linalg.solve(gram, weighted[outside].T @ target[outside])
        for column in range(domain.shape[1]):
            found = _weighted_auc(score[:, column], domain[inside, column], weight[inside], group[inside], column == 0)
            auc[part, column] = found[0]
            variance[part] += found[1]
    return auc.mean(axis=0), float(variance.sum()) / SPLITS**2


def _weighted_auc(
    score: Floats, is_test: Bools, weight: Floats, group: Codes, with_variance: bool
) -> tuple[float, float]:
    """Return the probability that a test row scores above a validation row, ties half, and its DeLong variance."""
    if not weight[is_test].any() or not weight[~is_test].any():
        return 0.5, 0.0
    above, above_weight = score[is_test], weight[is_test]
    below, below_weight = score[~is_test], weight[~is_test]
    placement = _share_below(above, below, below_weight)
    auc = float(np.average(placement, weights=above_weight))
    if not with_variance:
        return auc, 0.0
    other = 1 - _share_below(below, above, above_weight)
    variance = 0.0
    for values, weights, names in ((placement, above_weight, group[is_test]), (other, below_weight, group[~is_test])):
        code = np.unique(names, return_inverse=True)[1]
        variance += grouped_variance(weights * (values - auc), code) / weights.sum() ** 2
    return auc, variance


def _share_below(score: Floats, reference: Floats, weight: Floats) -> Floats:
    """Return the weighted share of the reference scores below each score, equal ones counting half."""
    order = np.argsort(reference)
    total: Floats = np.concatenate([[0.0], np.cumsum(weight[order])])
    reference = reference[order]
    low, high = np.searchsorted(reference, score, side="left"), np.searchsorted(reference, score, side="right")
    return (total[low] + total[high]) / 2 / float(total[-1])
