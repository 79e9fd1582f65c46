"""Folds of very many groups, in seconds: alike groups are dealt out evenly, and the few that are left over greedily."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from competition.core.seeds import stream


def deal_groups(train: pd.DataFrame, k: int, seed: int) -> NDArray[np.int64]:
    """Return the fold, 0..k-1, of each row of ``train`` (id, label, group), (n,), no group cut and classes in shares.

    Of groups that hold as many rows of each class as one another, each fold gets the same number, drawn at random; what
    is left over, fewer than ``k`` of each kind, goes one by one, the largest first, to the fold that has fewest rows of
    the group's classes. A row's fold depends on the set of groups and the seed, not on the rows' order.
    """
    names, group = np.unique(train["group"].to_numpy(str), return_inverse=True)
    ones = np.bincount(group, weights=train["label"].to_numpy(float)).astype(np.int64)
    counts = np.stack([np.bincount(group) - ones, ones], axis=1)
    rng = np.random.default_rng(stream("folds", seed))
    drawn = rng.permutation(len(names))
    kinds, kind = np.unique(counts, axis=0, return_inverse=True)
    drawn = drawn[np.argsort(kind.ravel()[drawn], kind="stable")]  # alike groups side by side, in random order
    sizes = np.bincount(kind.ravel(), minlength=len(kinds))
    place = np.arange(len(drawn)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    even = place < np.repeat(sizes // k * k, sizes)
    fold = np.empty(len(names), np.int64)
    fold[drawn[even]] = place[even] % k
    filled = np.stack([np.bincount(fold[drawn[even]], counts[drawn[even], side], k) for side in (0, 1)], axis=1)
    left = drawn[~even]
    for one in left[np.argsort(-counts[left].sum(axis=1), kind="stable")]:
        fold[one] = np.argmin(filled @ (counts[one] / counts.sum(axis=0)))
        filled[fold[one]] += counts[one]
    return fold[group]
