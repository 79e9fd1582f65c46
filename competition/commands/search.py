"""A search from its first trial to the page that shows it."""

import dataclasses
import math
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.table import Table

from competition.commands.finish import lasting_settings
from competition.commands.run import Ready
from competition.commands.tune import TuneOptions
from competition.core.config_forms import as_yaml
from competition.core.console import console
from competition.core.deadline import line_seconds
from competition.core.errors import UserError
from competition.core.files import fingerprint, write_changed
from competition.core.paths import shown
from competition.core.search_space import SearchSpace, Trial
from competition.core.settings import Config
from competition.data.folds import JUDGED, VALIDATION
from competition.data.layouts.dataset import Dataset
from competition.report.terminal import show
from competition.report.tuning.write import TuningFacts, write_tuning
from competition.training.tuning.search import Judgement, judge, search
from competition.training.tuning.study import JOURNAL, Study
from competition.training.tuning.trial_run import Goal, TrialRuns, preset_settings

BEST = "best.yaml"
KEEP = "Keep the preset's settings: "
LOSSES = {"log_loss": "log-loss", "auc": "1 - AUC", "brier": "Brier score"}


@dataclass(frozen=True)
class Tuning:
    """A search under way. ``config``: the whole run's settings; ``ready`` and ``dataset``: the searched members' run;
    ``seen`` and ``others``: the folds of the search and of its judgement."""

    options: TuneOptions
    config: Config
    ready: Ready
    dataset: Dataset
    space: SearchSpace
    seen: list[int]
    others: list[int]

    def run(self, folder: Path, words: Sequence[str]) -> None:
        """Search, judge, write, and say what came of it; ``words`` are those of the whole run."""
        goal = Goal(self.options.objective, self.options.on)
        runs = TrialRuns(self.ready.config, self.dataset, self.ready.engine, goal)
        study = self._open(folder, runs)
        many = f"{self.options.trials} trials" if self.options.trials else f"{self.options.hours:g} hours"
        searched = ", ".join(one.key for one in self.space.dimensions)
        print(f"Searching {searched} in {many} on {self._words(self.seen)} ...", flush=True)
        search(study, runs, self.seen, self._is_over, lambda trial: self._tell(study, trial))
        self._close(folder, study, runs, shlex.join(["./run.sh", *words]))

    def _open(self, folder: Path, runs: TrialRuns) -> Study:
        """Return the search that has begun, or a new one. UserError where another one stands in its place."""
        preset = preset_settings(runs.config, self.space.dimensions)
        plans = runs.plans(0, preset, self.seen)[2]
        key = fingerprint(
            [[plan.key, plan.prediction_key] for plan in plans],
            [dataclasses.asdict(one) for one in self.space.dimensions],
            [self.options.objective, self.options.on],
        )
        study = Study(folder, key, self.space.dimensions, preset, self.config.seed)
        if study.matches:
            return study
        if not self.config.overwrite:
            raise UserError(
                f"{folder} holds another search, of other settings or data: give the run another name=, or discard the "
                "search with overwrite=true."
            )
        for trial in study.trials:
            runs.remove(trial.number)
        (folder / JOURNAL).unlink()
        return Study(folder, key, self.space.dimensions, preset, self.config.seed)

    def _is_over(self, trials: Sequence[Trial]) -> bool:
        if self.options.trials and len(trials) >= self.options.trials:
            return True
        return bool(self.options.hours) and self._left(trials) < _typical(trials)

    def _left(self, trials: Sequence[Trial]) -> float:
        """Return the seconds that are left to search, when the judgement has had its own."""
        return 3600 * self.options.hours - line_seconds() - self._judging(trials)

    def _judging(self, trials: Sequence[Trial]) -> float:
        """Return the seconds that the judgement takes: two trials on the other folds; of a hold-out nothing."""
        return 0.0 if self.config.shares is not None else 2 * _typical(trials) * len(self.others) / len(self.seen)

    def _tell(self, study: Study, trial: Trial) -> None:
        """Print what a trial came to, and how long the search may yet take."""
        trials, best = study.trials, study.best()
        came = f"{self._loss} {trial.loss:.4f}" if trial.loss is not None else f"ended early ({trial.why})"
        left = math.inf if not self.options.hours else max(0.0, self._left(trials))
        if self.options.trials:
            left = min(left, (self.options.trials - len(trials)) * _typical(trials))
        settings = ", ".join(f"{key} {_short(value)}" for key, value in trial.settings.items()) or "the preset"
        print(
            f"  Trial {trial.number}: {came}; {settings}; {trial.seconds:.0f} s. Best: {best.loss:.4f}, trial "
            f"{best.number}; about {(left + self._judging(trials)) / 60:.0f} min to go.",
            flush=True,
        )

    def _close(self, folder: Path, study: Study, runs: TrialRuns, line: str) -> None:
        """Let the other folds judge, write best.yaml and the page, and print the verdict and the line to type next."""
        best = study.best()
        verdict = [KEEP + "no trial was better on the search's own folds."]
        if not best.number:
            (folder / BEST).unlink(missing_ok=True)
        else:
            seen, others = (judge(study, runs, folds) for folds in (self.seen, self.others))
            table = Table("mean loss on", "preset", f"trial {best.number}", "gain", box=None)
            for what, folds, one in (("the search's", self.seen, seen), ("the others", self.others, others)):
                table.add_row(f"{what}: {self._words(folds)}", f"{one.preset:.4f}", f"{one.best:.4f}", str(one.gain))
            console().print(table)
            verdict = self._verdict(best, others)
            write_changed(folder / BEST, as_yaml(self._best_settings(best, len(study.trials), others)))
            if others.gain.is_clear:
                line = f"./run.sh config={shlex.quote(shown(folder / BEST))} fold=all"
        for sentence in verdict:
            console().print(sentence)
        trials, dimensions = study.trials, self.space.dimensions
        facts = TuningFacts(self.config.name, self._loss, trials, dimensions, study.importances(), verdict, line)
        show("Page", shown(write_tuning(folder, facts)))
        if best.number:
            show("Settings", shown(folder / BEST))
        show("Next", line)

    def _verdict(self, best: Trial, others: Judgement) -> list[str]:
        """Return sentences that say whether the best trial's settings are to be taken."""
        values = ", ".join(f"{key} {_short(value)}" for key, value in best.settings.items())
        judged = f"on the folds that the search did not see, {self._loss} is lower by {others.gain}"
        if others.gain.is_clear:
            return [f"Take the settings of trial {best.number} ({values}).", f"Judged {judged}."]
        return [KEEP + f"{judged}, which is not above one standard error.", f"Trial {best.number} had {values}."]

    def _best_settings(self, best: Trial, trials: int, others: Judgement) -> Config:
        """Return the whole run's settings with the best trial's, under a name of their own."""
        told = (
            f"{trials} trials of {self.config.name} on {self._words(self.seen)}, whose score now flatters; gain in "
            f"{self._loss} on {self._words(self.others)}: {others.gain}"
        )
        config, searched = self.config, self.ready.config.members
        members = {
            name: dataclasses.replace(recipe, **best.settings) if name in searched else recipe
            for name, recipe in config.members.items()
        }
        config = dataclasses.replace(config, name=f"{config.name}-tuned", extra=self.ready.config.extra)
        return lasting_settings(dataclasses.replace(config, members=members, tuned=told))

    def _words(self, folds: Sequence[int]) -> str:
        """Return folds in words."""
        parts = {VALIDATION: "the validation part", JUDGED: "the test part"}
        return f"folds {','.join(map(str, folds))}" if self.config.shares is None else parts[folds[0]]

    @property
    def _loss(self) -> str:
        """What is minimised, in words."""
        named = LOSSES[self.options.objective]
        return named if self.options.on == "clean" else f"{named} under web conditions"


def _typical(trials: Sequence[Trial]) -> float:
    """Return the seconds that a trial takes which is not ended early, on average."""
    return float(np.mean([one.seconds for one in trials if one.loss is not None]))


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
