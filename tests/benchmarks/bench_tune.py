"""What searches for settings promise, in simulated ones that cost nothing: minutes.

``alike``: all settings are equally good, and the best of 12 trials is only lucky. ``bad preset``: a learning rate
twenty times too high.
"""

import tempfile
from pathlib import Path

import numpy as np

from competition.training.tuning.search import judge, search
from competition.training.tuning.study import Study
from tests.training.tuning.simulated import SPACE, Simulated

SEEN, OTHERS = (0, 1), (2, 3, 4)
WORLDS = {"alike": (0.0, 10**-3.5), "bad preset": (0.3, 10**-2.2)}  # what is lost far from the best, the preset's rate


def main(searches: int = 20, trials: int = 12) -> None:
    """Print how much the search's own folds flatter, what the others say, and how often settings are recommended."""
    print(f"{searches} searches of {trials} trials; gains in log-loss, ± their standard errors over searches")
    print(f"{'world':<12}{'search folds':>20}{'other folds':>20}{'recommended':>14}{'ended early':>13}")
    for world, (effect, rate) in WORLDS.items():
        seen, others, recommended, ended = [], [], 0, 0
        for seed in range(searches):
            runs = Simulated(seed, effect)
            with tempfile.TemporaryDirectory() as folder:
                study = Study(Path(folder), world, SPACE, {"lr": rate, "weight_decay": 0.05}, seed)
                search(study, runs, SEEN, lambda found: len(found) >= trials, lambda trial: None)
                ended += sum(one.loss is None for one in study.trials)
                if study.best().number == 0:
                    continue
                own, judged = judge(study, runs, SEEN), judge(study, runs, OTHERS)
            seen.append(own.gain.value)
            others.append(judged.gain.value)
            recommended += judged.gain.is_clear
        cells = [f"{np.mean(gains):.4f} ± {np.std(gains) / len(gains) ** 0.5:.4f}" for gains in (seen, others)]
        shares = [f"{recommended} of {searches}", f"{ended / searches / trials:.0%}"]
        print(f"{world:<12}{cells[0]:>20}{cells[1]:>20}{shares[0]:>14}{shares[1]:>13}", flush=True)
