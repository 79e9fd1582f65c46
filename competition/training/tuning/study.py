"""The trials of a search, kept by Optuna in a journal that holds finished trials alone.

A trial is proposed from those that are finished and from its number, by nothing else: after a kill the same line
proposes the same settings again, and its jobs go on from where they were.
"""

import contextlib
import logging
import os
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import optuna
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.importance import FanovaImportanceEvaluator, get_param_importances
from optuna.pruners import WilcoxonPruner
from optuna.samplers import GPSampler
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock
from optuna.trial import FrozenTrial, TrialState, create_trial

from competition.core.errors import Untrainable
from competition.core.intact import damaged
from competition.core.search_space import Dimension, Settings, Trial
from competition.core.seeds import stream

JOURNAL, STUDY = "journal.log", "tune"  # the file, and its only study's name
SEARCH = "search"  # an attribute of the study: the fingerprint of what is searched
WHY, SECONDS, LIKELY = "why", "seconds", "likely"  # attributes of its trials; the last: the loss of one ended early
# Trials that are drawn at random before losses are modelled. After 12 trials of two settings, a Gaussian process had
# lost .006 against the best possible, a tree-structured estimator .034; of four settings .025 and .059; after 30, .005
# and .011, .008 and .024 (means of 40 drawn parabolas with noise).
RANDOM_TRIALS = 5
# A trial is ended when it is worse than the best one epoch for epoch, by Wilcoxon's signed-rank test. Five epochs that
# are all worse have p = .031.
PRUNING_P = 0.05

Report = Callable[[float, int], None]  # takes a loss on the way and its step; raises Pruned


class Pruned(Exception):
    """A trial is so clearly worse than the best one that it need not go on."""


class Study:
    """The trials of one search, in ``folder``.

    ``key``: the fingerprint of what is searched and how. ``preset``: the settings of trial 0 that lie in the space.
    Raises UserError where the journal is damaged.
    """

    def __init__(self, folder: Path, key: str, dimensions: Sequence[Dimension], preset: Settings, seed: int) -> None:
        optuna.logging.set_verbosity(logging.ERROR)
        self._space, self._preset, self._seed = {one.key: _distribution(one) for one in dimensions}, preset, seed
        self._study = _opened(folder / JOURNAL)
        if not self._study.user_attrs:
            self._study.set_user_attr(SEARCH, key)
        self.matches = bool(self._study.user_attrs[SEARCH] == key)  # whether it is this search that has begun there

    @property
    def trials(self) -> list[Trial]:
        """The finished trials, by number."""
        found = self._study.get_trials(deepcopy=False)
        attributes = [(one.user_attrs[WHY], one.user_attrs[SECONDS], one.user_attrs[LIKELY]) for one in found]
        return [Trial(one.number, one.params, one.value, *known) for one, known in zip(found, attributes, strict=True)]

    def best(self) -> Trial:
        """Return the first of the trials with the least loss. ValueError where none came to its end."""
        return min((one for one in self.trials if one.loss is not None), key=lambda one: (one.loss, one.number))

    def run(self, evaluate: Callable[[int, Settings, Report], float]) -> Trial:
        """Run the next trial and keep what it came to. Raises Untrainable where trial 0 cannot be trained.

        ``evaluate`` returns the loss of a trial's settings, or raises Untrainable or what its report raises.
        """
        draft, loss, why, start = self._propose(), None, "", time.monotonic()
        likely, reports = None, dict[int, float]()

        def report(value: float, step: int) -> None:
            reports[step] = value
            draft.report(value, step)
            with _quiet():
                if draft.number and draft.should_prune():
                    raise Pruned

        try:
            loss = evaluate(draft.number, draft.params, report)
        except Pruned:
            why, likely = "worse than the best one epoch for epoch", self._likely(reports)
        except Untrainable as error:
            if draft.number == 0:
                raise
            why = str(error)
        self._study.add_trial(
            create_trial(
                state=TrialState.PRUNED if loss is None else TrialState.COMPLETE,
                value=loss,
                params=draft.params,
                distributions=draft.distributions,
                intermediate_values=reports,
                user_attrs={WHY: why, SECONDS: round(time.monotonic() - start, 1), LIKELY: likely},
            )
        )
        return self.trials[-1]

    def importances(self) -> dict[str, float]:
        """Return how much of the losses' spread each setting explains, from 0 to 1; nothing of too few trials.

        By a functional analysis of variance of a random forest (Hutter, Hoos and Leyton-Brown 2014).
        """
        whole = optuna.create_study()
        whole.add_trials(_as_complete(self._study.get_trials(deepcopy=False)))
        if len(whole.trials) < 2 * RANDOM_TRIALS:
            return {}
        return dict(get_param_importances(whole, evaluator=FanovaImportanceEvaluator(seed=0)))

    def _likely(self, reports: Mapping[int, float]) -> float:
        """Return what a trial with these reports would have come to: the best one's loss, and by how much it was worse
        until then."""
        best = self._study.best_trial
        known = best.intermediate_values
        worse = float(np.mean([value - known[step] for step, value in reports.items() if step in known]))
        return float(best.value or 0.0) + max(0.0, worse)

    def _propose(self) -> optuna.Trial:
        """Return the next trial, with its settings, in a study that is not written anywhere."""
        finished = self._study.get_trials(deepcopy=False)
        seed = stream("tune", self._seed, len(finished)) % 2**32
        with _quiet():
            sampler = GPSampler(seed=seed, n_startup_trials=RANDOM_TRIALS, deterministic_objective=False)
            draft = optuna.create_study(sampler=sampler, pruner=WilcoxonPruner(p_threshold=PRUNING_P))
        draft.add_trials(_as_complete(finished))
        if finished:
            return draft.ask(self._space)
        draft.enqueue_trial(dict(self._preset))
        return draft.ask({key: self._space[key] for key in self._preset})


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep Optuna's warnings off the screen: that its pruner is new, and that trials may differ in their epochs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def _opened(path: Path) -> optuna.Study:
    """Return the study in the journal, which is made where it is missing; what a kill left half-written is cut off."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = JournalFileOpenLock(str(path))
    Path(f"{path}.lock").unlink(missing_ok=True)  # of a killed line: the tuning folder's own lock keeps others out
    if path.exists():
        content = path.read_bytes()
        if (whole := content.rfind(b"\n") + 1) < len(content):
            os.truncate(path, whole)
    try:
        storage = JournalStorage(JournalFileBackend(str(path), lock_obj=lock))
        make = optuna.load_study if optuna.get_all_study_names(storage) else optuna.create_study
        return make(storage=storage, study_name=STUDY)
    except (ValueError, LookupError, TypeError, AttributeError, AssertionError) as error:
        raise damaged(path, "it is not the journal that was written") from error


def _as_complete(trials: Sequence[FrozenTrial]) -> list[FrozenTrial]:
    """Return the trials with a loss for those that were ended early, of which the sampler would not know otherwise:
    what each would likely have come to, or the worst of all where it could not be trained."""
    losses = [one.user_attrs[LIKELY] if one.value is None else one.value for one in trials]
    worst = max((loss for loss in losses if loss is not None), default=0.0)
    return [
        create_trial(
            value=worst if loss is None else loss,
            params=one.params,
            distributions=one.distributions,
            intermediate_values=one.intermediate_values,
        )
        for one, loss in zip(trials, losses, strict=True)
    ]


def _distribution(one: Dimension) -> BaseDistribution:
    if one.choices:
        return CategoricalDistribution(one.choices)
    if one.whole:
        return IntDistribution(int(one.least), int(one.most), log=one.log)
    return FloatDistribution(one.least, one.most, log=one.log)
