"""A search that costs nothing: rows whose probabilities follow from the settings by a formula, with noise.

Each row has a difficulty of its own, the same for all settings; each model, of a trial and a fold, has luck of its own.
"""

from dataclasses import dataclass, field

import numpy as np

from competition.core.search_space import Dimension
from competition.core.seeds import stream
from competition.scoring.arrays import sigmoid
from competition.scoring.objective import ConditionRows, row_losses

SPACE = (Dimension("lr", least=1e-5, most=1e-2, log=True), Dimension("weight_decay", least=0.0, most=0.1))
FOLDS, GROUPS = 5, 300


@dataclass
class Simulated:
    """``effect``: how much is lost far from the best settings; 0: all settings are alike."""

    seed: int
    effect: float
    luck: float = 0.15
    removed: list[int] = field(default_factory=list)
    trained: list[tuple[int, tuple[int, ...]]] = field(default_factory=list)

    def margin(self, settings):
        """How well the classes are told apart under these settings, without luck."""
        off = np.log10(settings["lr"]) + 3.5, settings["weight_decay"] - 0.05
        return 1.5 - self.effect * (off[0] ** 2 + 20 * off[1] ** 2)

    def train(self, number, settings, folds, report):
        self.trained.append((number, tuple(folds)))
        random = np.random.default_rng(self.seed)
        group, part = np.repeat(np.arange(GROUPS), 2), np.repeat(random.integers(0, FOLDS, GROUPS), 2)
        label = np.tile([0, 1], GROUPS)
        logit = random.normal(0, 1, label.size)
        for one in range(FOLDS):
            own = np.random.default_rng(stream("luck", self.seed, number, one))
            margin = self.margin(settings) + own.normal(0, self.luck)
            rows = part == one
            logit[rows] += margin * (2 * label[rows] - 1) + own.normal(0, 0.3, rows.sum())
        kept = np.isin(part, folds)
        rows = ConditionRows(label[kept], sigmoid(logit[kept])[None], part[kept], group[kept])
        losses = row_losses("log_loss", rows)
        for epoch in range(1, 7):  # an epoch's loss is what it comes to, and what is still to be learnt
            report(float(losses.mean()) + 1 / epoch, epoch)
        return rows, losses

    def remove(self, number):
        self.removed.append(number)
