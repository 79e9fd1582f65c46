"""Groups of rows that belong together: drawn, taken and divided whole, and what that costs in certainty.

Throughout, ``group`` (n,) holds each row's group as a code 0..G-1, and ``order`` (G,) is a permutation of the groups.
"""

import numpy as np

from competition.scoring.arrays import Bools, Codes, Floats


def draw_groups(rng: np.random.Generator, group: Codes, count: int | None = None) -> Codes:
    """Return how often (n,) a bootstrap takes each row: ``count`` groups with replacement, by default as many as there
    are."""
    groups = int(group.max()) + 1
    return np.bincount(rng.integers(groups, size=count or groups), minlength=groups)[group]


def take_groups(group: Codes, order: Codes, most: int, least: int = 0) -> Bools:
    """Return which rows (n,) to take: groups in their order as long as they hold ``most`` rows together, but at least
    ``least`` groups."""
    taken = np.cumsum(np.bincount(group)[order]) <= most
    taken[:least] = True
    kept = np.zeros(order.size, bool)
    kept[order] = taken
    return kept[group]


def deal_groups(group: Codes, order: Codes, parts: int) -> Codes:
    """Return each row's part (n,), 0..parts-1: the groups go to the parts in turn, in their order."""
    part = np.empty(order.size, np.intp)
    part[order] = np.arange(order.size) % parts
    return part[group]


def grouped_variance(influence: Floats, group: Codes) -> float:
    """Return the variance of a sum of (n,) influences, of mean 0, where the rows of a group go together."""
    return float((np.bincount(group, influence) ** 2).sum())


def grouped_error(influence: Floats, group: Codes) -> float:
    """Return the standard error of a sum of (n,) influences whose groups, coded 0..G-1, are drawn together; infinite
    with a single group."""
    groups = int(group.max()) + 1
    if groups < 2:
        return float("inf")
    return float(np.sqrt(groups / (groups - 1) * grouped_variance(influence, group)))
