"""How unlike the known images is this one? Its distance to them, as a percentile of theirs to each other."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from competition.scoring.arrays import Floats

NEIGHBOURS = 5  # the distance is that to the fifth nearest, which one odd reference image cannot bring down
MIN_REFERENCES = 50  # of held-out images: with fewer a percentile says nothing
UNLIKE = 99.0  # percentile from which a verdict means little
CHUNK_ROWS = 1024  # rows whose distances to all references are held at once


class KnownFeatures:
    """What one model's last layer sees of (s, d) ``reference`` images that it did not train on.

    An image is as unlike as the share of references, in percent, that lie nearer to the other references than it does.
    Nearness is the Euclidean distance of features scaled to length one to their fifth nearest (Sun et al. 2022, arXiv
    2204.06507). Raises ``ValueError`` for fewer than ``MIN_REFERENCES`` references and values that are not finite.
    """

    def __init__(self, reference: ArrayLike) -> None:
        features = np.asarray(reference, np.float32)
        if features.ndim != 2 or len(features) < MIN_REFERENCES:
            raise ValueError(f"reference must be ({MIN_REFERENCES} or more, d); its shape is {features.shape}")
        if not np.isfinite(features).all():
            raise ValueError("reference must be finite")
        self._reference = _of_length_one(features)
        # Each reference is its own nearest, at a distance of nothing.
        self._own = np.sort(self._distance(self._reference, NEIGHBOURS + 1))

    def percentile(self, features: ArrayLike) -> Floats:
        """Return (n,) float64 from 0 to 100 for (n, d) features by the same model; NaN where they are not finite."""
        rows = np.asarray(features, np.float32)
        finite = np.isfinite(rows).all(axis=1)
        percent = np.full(len(rows), np.nan)
        distance = self._distance(_of_length_one(rows[finite]), NEIGHBOURS)
        percent[finite] = 100 * np.searchsorted(self._own, distance) / self._own.size
        return percent

    def _distance(self, rows: NDArray[np.float32], nth: int) -> NDArray[np.float32]:
        """Return (n,) the squared distance of each row to its ``nth`` nearest reference, counted from 1."""
        parts = [np.zeros(0, np.float32)]
        for start in range(0, len(rows), CHUNK_ROWS):
            apart = 2 - 2 * rows[start : start + CHUNK_ROWS] @ self._reference.T
            parts.append(np.partition(apart, nth - 1, axis=1)[:, nth - 1])
        return np.concatenate(parts)


def _of_length_one(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    return np.asarray(rows / np.maximum(length, np.finfo(np.float32).tiny), np.float32)
