"""How well metadata tell two kinds of rows apart: AUCs of one feature and of a classifier, with group bootstraps.

Pure functions of tables and arrays. Rows of one group share a cross-validation fold and a bootstrap draw.
"""

import numpy as np
import pandas as pd
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import threadpool_limits

from competition.audit.findings import WARN_AUC, Separation
from competition.scoring.groups import deal_groups, draw_groups, take_groups

FOLDS = 5
MAX_ROWS = 20_000  # of a classifier: the AUC is known to .01 by then, and 80,000 rows would take a minute
MIN_ROWS = 30  # rows and groups of each kind, fewer show nothing
CHUNK_DRAWS = 50  # draws held at once, 8 MB for each array of 20,000 rows
MAX_CATEGORIES = 60  # of one feature that a classifier tells apart, the most frequent
MIN_FEATURE_Z = 3.0  # standard errors above .5 from which a feature's AUC counts: there are two dozen features
PRIOR_ROWS = 5.0  # rows of the overall share that every category's share is mixed with


def auc(label: np.ndarray, score: np.ndarray) -> float:
    """Return the area under the ROC curve, ties counting half."""
    return float(weighted_aucs(label, score, np.ones((1, len(score))))[0])


def weighted_aucs(label: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the area under the ROC curve (draws,) for each row of ``weights`` (draws, n), ties counting half."""
    _, place = np.unique(score, return_inverse=True)
    order = np.argsort(place, kind="stable")
    starts = np.flatnonzero(np.diff(place[order], prepend=-1))
    ones = np.add.reduceat((weights * label)[:, order], starts, axis=1)
    zeros = np.add.reduceat((weights * (1 - label))[:, order], starts, axis=1)
    below = np.cumsum(zeros, axis=1) - zeros / 2
    with np.errstate(invalid="ignore"):
        return (ones * below).sum(axis=1) / (ones.sum(axis=1) * zeros.sum(axis=1))


def auc_draws(label: np.ndarray, score: np.ndarray, group: np.ndarray, draws: int, seed: int) -> np.ndarray:
    """Return the AUC of ``draws`` resamples of whole groups, with replacement; those of one class only are left out."""
    rng = np.random.default_rng([seed, 7])
    group = np.unique(group, return_inverse=True)[1]
    parts = []
    for start in range(0, draws, CHUNK_DRAWS):
        times = [draw_groups(rng, group) for _ in range(min(CHUNK_DRAWS, draws - start))]
        parts.append(weighted_aucs(label, score, np.array(times, float)))
    values = np.concatenate(parts)
    return values[np.isfinite(values)]


def group_folds(label: np.ndarray, group: np.ndarray, seed: int) -> np.ndarray:
    """Return the fold, 0..FOLDS-1, of each row: groups of like size and classes go to the folds in turn, shuffled."""
    codes = np.unique(group, return_inverse=True)[1]
    kinds = np.stack([np.bincount(codes), np.bincount(codes, label)], axis=1)
    mixed = np.random.default_rng([seed, 8]).permutation(len(kinds))
    return deal_groups(codes, mixed[np.lexsort(kinds[mixed].T)], FOLDS)


def enough(label: np.ndarray, group: np.ndarray) -> bool:
    """Whether both kinds have ``MIN_ROWS`` rows, in as many groups."""
    return all(len(np.unique(group[label == kind])) >= MIN_ROWS for kind in (0, 1))


def target_mean(values: np.ndarray, label: np.ndarray, fold: np.ndarray) -> np.ndarray:
    """Return each row's share of label 1 among the rows of its value in the other folds, (n,) float.

    Given as the difference from the share among all rows of the other folds: else a fold with more ones would stand
    below one with fewer, whatever the values. Shares are mixed with ``PRIOR_ROWS`` rows of the overall one.
    """
    codes = pd.factorize(pd.Series(values, dtype=object).map(str))[0]
    score = np.zeros(len(codes))
    for number in np.unique(fold):
        inside = fold == number
        base = label[~inside].mean()
        count = np.bincount(codes[~inside], minlength=codes.max() + 1)
        ones = np.bincount(codes[~inside], label[~inside], minlength=codes.max() + 1)
        score[inside] = ((ones - base * count) / (count + PRIOR_ROWS))[codes[inside]]
    return score.round(9)


def feature_score(values: pd.Series, label: np.ndarray, fold: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
    """Return (which rows have a value, their score) of one feature, or ``None`` where it is the same in all.

    A number is its own score, turned so that more of it means label 1; any other value its ``target_mean``.
    """
    if values.dtype != float:
        if values.map(str).nunique() < 2:
            return None
        return np.ones(len(values), bool), target_mean(values.to_numpy(object), label, fold)
    known = values.notna().to_numpy()
    score = values[known].to_numpy()
    if not enough(label[known], np.arange(known.sum())) or np.ptp(score) == 0:
        return None
    return known, score if auc(label[known], score) >= 0.5 else -score


def feature_auc(values: pd.Series, label: np.ndarray, group: np.ndarray, seed: int) -> tuple[float, bool] | None:
    """Return the AUC of one feature, and whether it is large and beyond chance; ``None`` where that cannot be known."""
    scored = feature_score(values, label, group_folds(label, group, seed)) if enough(label, group) else None
    if scored is None:
        return None
    known, score = scored
    value = max(0.5, auc(label[known], score))  # out of fold, what says nothing may fall below
    if value < WARN_AUC:
        return value, False
    spread = auc_draws(label[known], score, group[known], 60, seed).std()
    return value, bool(value - MIN_FEATURE_Z * spread > 0.5)


def some_rows(group: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Return the positions of about ``most`` rows, whole groups of them, in order."""
    names, codes = np.unique(group, return_inverse=True)
    place = np.random.default_rng([seed, 9]).permutation(len(names))
    return np.flatnonzero(take_groups(codes, np.argsort(place), most))


def separation(features: pd.DataFrame, label: np.ndarray, group: np.ndarray, seed: int) -> Separation | None:
    """Return how well a gradient-boosted classifier of all ``features`` tells label 1 from 0, out of fold.

    Float columns are numbers, all others categories. ``None`` with too few rows or nothing that varies.
    """
    rows = some_rows(group, MAX_ROWS, seed)
    features, label, group = features.iloc[rows], np.asarray(label)[rows], group[rows]
    columns = {name: _coded(features[name]) for name in features}
    columns = {name: column for name, column in columns.items() if len(np.unique(column)) > 1}
    if not columns or not enough(label, group):
        return None
    table, fold = np.stack(list(columns.values()), axis=1), group_folds(label, group, seed)
    score = np.empty(len(label))
    for number in range(FOLDS):
        inside = fold == number
        base = label[~inside].mean()
        model = HistGradientBoostingClassifier(
            max_iter=60,
            max_leaf_nodes=15,
            min_samples_leaf=20,
            l2_regularization=1.0,
            early_stopping=False,
            categorical_features=[features[name].dtype != float for name in columns],
            random_state=seed,
        )
        with threadpool_limits(1, "openmp"):  # threads that fight over a busy core take ten times as long
            model.fit(table[~inside], label[~inside])
            score[inside] = model.decision_function(table[inside]) - np.log(base / (1 - base))
    low, high = np.quantile(auc_draws(label, score.round(9), group, 400, seed), [0.025, 0.975])
    return Separation(auc(label, score.round(9)), float(low), float(high))


def _coded(values: pd.Series) -> np.ndarray:
    """Return a number as it is, NaN for missing; a category as its rank by frequency, rare ones together."""
    if values.dtype == float:
        return values.to_numpy()
    texts = values.map(str)
    common = texts.value_counts().sort_index().sort_values(ascending=False, kind="stable").index
    rank = {text: min(number, MAX_CATEGORIES) for number, text in enumerate(common)}
    return texts.map(rank).to_numpy(float)
