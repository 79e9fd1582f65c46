"""The arrays that all of ``scoring`` takes: their types, probabilities from logits and back, and checks of inputs.

What the checks refuse, they refuse with the offending value.
"""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Codes = NDArray[np.intp]  # folds, groups and parts: numbers 0, 1, ...


def sigmoid(logit: ArrayLike) -> Floats:
    """Return the probability of each logit, in float64 and without overflow."""
    return np.asarray(special.expit(np.asarray(logit, np.float64)))


def logit(prob: ArrayLike, edge: float) -> Floats:
    """Return the logit of each probability, in float64; those nearer than ``edge`` to 0 or 1 count as that near."""
    return np.asarray(special.logit(np.clip(np.asarray(prob, np.float64), edge, 1 - edge)))


def check_binary(name: str, values: ArrayLike) -> Bools:
    """Return (n,) integers or booleans as booleans; raise ``ValueError`` unless there are some and all are 0 or 1."""
    values = np.asarray(values)
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"{name} must have one dimension and at least one row; its shape is {values.shape}")
    if values.dtype.kind not in "iub":
        raise ValueError(f"{name} must be integers or booleans; its dtype is {values.dtype}")
    if values.min() < 0 or values.max() > 1:
        row = int(np.argmax((values < 0) | (values > 1)))
        raise ValueError(f"{name} must hold only 0 and 1; row {row} holds {values[row]}")
    return values.astype(np.bool_)


def check_positives(label: Bools) -> None:
    """Raise ``ValueError`` where no label is 1: no threshold can then be tuned."""
    if not label.any():
        raise ValueError(f"label has no 1 among its {label.size} rows, so no threshold is best")


def check_score(name: str, values: ArrayLike) -> NDArray[np.floating]:
    """Return (n,) real scores in their own precision (integers as float64), or raise ``ValueError`` at a NaN."""
    values = np.asarray(values)
    if values.ndim != 1 or values.dtype.kind not in "fiu":
        raise ValueError(f"{name} must be real numbers in one dimension; it is {values.dtype} of shape {values.shape}")
    if values.dtype.kind != "f" or values.dtype.itemsize > 8:
        values = values.astype(np.float64)
    missing = np.isnan(values)
    if missing.any():
        raise ValueError(f"{name} must be numbers; row {int(np.argmax(missing))} holds nan")
    return values


def check_prob(name: str, values: ArrayLike) -> Floats:
    """Return probabilities of any shape as float64, or raise ``ValueError`` at the first one outside [0, 1]."""
    values = np.asarray(values, dtype=np.float64)
    outside = ~((values >= 0) & (values <= 1))
    if outside.any():
        raise ValueError(f"{name} must lie in [0, 1]; it holds {values[outside][0]}")
    return values


def check_group(group: ArrayLike | None, rows: int) -> Codes:
    """Return (n,) group names as codes 0..G-1 in the names' order; ``None`` makes each row its own group."""
    if group is None:
        return np.arange(rows)
    group = np.asarray(group)
    if group.shape != (rows,):
        raise ValueError(f"group must name the group of each of {rows} rows; its shape is {group.shape}")
    return np.unique(group, return_inverse=True)[1]


def check_same_length(**arrays: NDArray[Any]) -> None:
    """Raise ``ValueError`` naming the lengths unless all arrays have the same one."""
    if len({len(array) for array in arrays.values()}) > 1:
        raise ValueError("lengths differ: " + ", ".join(f"{name} {len(array)}" for name, array in arrays.items()))
