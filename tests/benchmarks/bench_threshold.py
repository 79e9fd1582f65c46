"""Four ways to the threshold with the best F1, side by side on the same rows: what exactness costs and what it buys.

``python -m tests.benchmarks.bench_threshold`` takes about three minutes and 2 GB. Each way is scored on the rows it
searched and on a million fresh rows of the same distribution; only the second number matters to a user.
"""

import time
from collections.abc import Callable
from functools import partial

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import f1_score, precision_recall_curve

from competition.scoring.arrays import sigmoid
from competition.scoring.best_threshold import best_threshold, bootstrap_threshold
from competition.scoring.metrics import f1
from competition.scoring.rows import OofRows

ROWS = (100_000, 10_000_000)
TEST_ROWS = 1_000_000
REPEATS = 3
PATIENCE = 20.0  # seconds
BOOTSTRAP_ROWS = 80_000


def binormal(rows: int, seed: int) -> tuple[NDArray[np.int8], NDArray[np.float64]]:
    """Return labels, 35 % of them 1, and probabilities whose two classes overlap (AUC about .92)."""
    rng = np.random.default_rng(seed)
    label = (rng.random(rows) < 0.35).astype(np.int8)
    return label, sigmoid(rng.normal(size=rows) + 2.0 * label - 1.5)


def exact(label: NDArray, prob: NDArray) -> float:
    """The product's search."""
    return best_threshold(label, prob)[0]


def curve(label: NDArray, prob: NDArray) -> float:
    """The usual exact search: scikit-learn's curve, then the best point on it."""
    precision, recall, thresholds = precision_recall_curve(label, prob)
    values = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    return float(thresholds[np.argmax(values[:-1])])


def grid(label: NDArray, prob: NDArray, score: Callable = f1) -> float:
    """A loop over 100 thresholds, here with this package's F1, which only counts."""
    thresholds = np.linspace(0.005, 0.995, 100)
    return float(thresholds[np.argmax([score(label, prob >= threshold) for threshold in thresholds])])


def notebook_grid(label: NDArray, prob: NDArray) -> float:
    """The same loop as notebooks write it, with scikit-learn's ``f1_score``."""
    return grid(label, prob, f1_score)


SEARCHES = {
    "best_threshold": exact,
    "precision_recall_curve": curve,
    "grid, counting": grid,
    "grid, f1_score": notebook_grid,
}


def seconds(search: Callable[[], float]) -> tuple[float, float]:
    """Return the best wall time of a few calls, of fewer when one takes long, and the answer."""
    times = []
    while len(times) < REPEATS and sum(times) < PATIENCE:
        start = time.perf_counter()
        answer = search()
        times.append(time.perf_counter() - start)
    return min(times), answer


def main() -> None:
    """Print a table for each number of rows, and the time of the bootstrap rule on a competition's worth of rows."""
    test_label, test_prob = binormal(TEST_ROWS, seed=1)
    for rows in ROWS:
        label, prob = binormal(rows, seed=0)
        print(f"\n{rows:,} rows, best of {REPEATS}")
        print(f"{'search':<24}{'seconds':>10}{'x exact':>10}{'threshold':>12}{'F1 here':>12}{'F1 fresh':>12}")
        reference = None
        for name, search in SEARCHES.items():
            elapsed, threshold = seconds(partial(search, label, prob))
            reference = reference or elapsed
            here, fresh = f1(label, prob >= threshold), f1(test_label, test_prob >= threshold)
            ratio = elapsed / reference
            print(f"{name:<24}{elapsed:>10.4f}{ratio:>10.1f}{threshold:>12.6f}{here:>12.7f}{fresh:>12.7f}")
    label, prob = binormal(BOOTSTRAP_ROWS, seed=2)
    pairs = OofRows(label, prob, group=np.arange(BOOTSTRAP_ROWS) // 2)
    elapsed, threshold = seconds(lambda: bootstrap_threshold(pairs))
    fresh = f1(test_label, test_prob >= threshold)
    print(f"\nbootstrap rule, {BOOTSTRAP_ROWS:,} rows in pairs, 200 draws: {elapsed:.2f} s, F1 fresh {fresh:.7f}")


if __name__ == "__main__":
    main()
