"""A search on some folds, and its judgement on the others, which took no part in it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from competition.core.search_space import Settings, Trial
from competition.scoring.arrays import Floats
from competition.scoring.objective import ConditionRows, Gain, paired_gain
from competition.training.tuning.study import Report, Study


class Trials(Protocol):
    """Trains what a search tries."""

    def train(
        self, number: int, settings: Settings, folds: Sequence[int], report: Report
    ) -> tuple[ConditionRows, Floats]:
        """Return the rows of these folds and each one's loss (n,) by a trial's models; see ``TrialRuns``."""

    def remove(self, number: int) -> None:
        """Remove what a trial leaves on the disk."""


@dataclass(frozen=True)
class Judgement:
    """What the preset, which is trial 0, and the best trial lose on average on the same folds, and the difference."""

    preset: float
    best: float
    gain: Gain


def search(
    study: Study,
    trials: Trials,
    folds: Sequence[int],
    is_over: Callable[[Sequence[Trial]], bool],
    on_trial: Callable[[Trial], None],
) -> None:
    """Run trials on these folds until ``is_over`` says so of those that are finished; the first is the preset.

    ``on_trial`` is called after each. What trials leave is removed, but for the preset's and the best one's.
    """

    def evaluate(number: int, settings: Settings, report: Report) -> float:
        return float(trials.train(number, settings, folds, report)[1].mean())

    while not study.trials or not is_over(study.trials):
        trial = study.run(evaluate)
        kept = {0, study.best().number}
        for one in study.trials:
            if one.number not in kept:
                trials.remove(one.number)
        on_trial(trial)


def judge(study: Study, trials: Trials, folds: Sequence[int]) -> Judgement:
    """Return what the preset and the best trial come to on these folds, training what is missing."""
    preset, best = (trials.train(one.number, one.settings, folds, _ignore) for one in (study.trials[0], study.best()))
    return Judgement(preset[1].mean(), best[1].mean(), paired_gain(preset[1], best[1], preset[0]))


def _ignore(value: float, step: int) -> None:
    """Report to nobody: what is judged is trained to its end."""
