"""What every peer reads and writes."""

import json
import os
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.metrics import f1_score
from torch.utils.data import Dataset

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
WORKERS = min(8, os.cpu_count() or 1)
SIZE = 224 if DEVICE == "cuda" else 96  # pixels: what people take who have a GPU, and who have none

# Of the training rows and the test rows: probabilities of the test rows (m,), the cut that it tuned, and how many
# images it has trained on, each as often as it was seen.
Peer = Callable[[pd.DataFrame, pd.DataFrame], tuple[np.ndarray, float, int]]


class Images(Dataset):
    """The images of a table, each by ``load(path)``, with its label, 0 where the table has none; decoded every time."""

    def __init__(self, table: pd.DataFrame, load: Callable[[str], torch.Tensor]):
        self.paths, self.load = table["path"].tolist(), load
        self.labels = table["label"].tolist() if "label" in table else [0] * len(table)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, int]:
        return self.load(self.paths[index]), self.labels[index]


def run(peer: Peer) -> None:
    """Run a peer on the files that the command line names, and write its result as JSON."""
    train, test, out = sys.argv[1:]
    prob, cut, images = peer(pd.read_csv(train), pd.read_csv(test))
    Path(out).write_text(json.dumps({"prob": np.asarray(prob, float).tolist(), "cut": float(cut), "images": images}))


def best_cut(label: np.ndarray, prob: np.ndarray) -> float:
    """Return the cut of the highest F1 on a grid of hundredths, as notebooks choose it."""
    grid = np.linspace(0.01, 0.99, 99)
    return float(grid[np.argmax([f1_score(label, prob >= cut, zero_division=0) for cut in grid])])
