"""What every peer reads and writes."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import f1_score

# Of the training rows and the test rows: probabilities of the test rows (m,), the cut that it tuned, and how many
# images it has trained on, each as often as it was seen.
Peer = Callable[[pd.DataFrame, pd.DataFrame], tuple[np.ndarray, float, int]]


def run(peer: Peer) -> None:
    """Run a peer on the files that the command line names, and write its result as JSON."""
    train, test, out = sys.argv[1:]
    prob, cut, images = peer(pd.read_csv(train), pd.read_csv(test))
    Path(out).write_text(json.dumps({"prob": np.asarray(prob, float).tolist(), "cut": float(cut), "images": images}))


def best_cut(label: np.ndarray, prob: np.ndarray) -> float:
    """Return the cut of the highest F1 on a grid of hundredths, as notebooks choose it."""
    grid = np.linspace(0.01, 0.99, 99)
    return float(grid[np.argmax([f1_score(label, prob >= cut, zero_division=0) for cut in grid])])
