"""A trial: the ordinary jobs of a run of its own, whose settings are the preset's but for what is searched."""

import dataclasses
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from competition.core.errors import Untrainable, UserError
from competition.core.paths import FOLDS_FILE, run_folder
from competition.core.search_space import Dimension, Settings
from competition.core.settings import Config, Recipe
from competition.data.folds import keep_folds
from competition.data.images.stores import StoreSpec
from competition.data.layouts.dataset import Dataset
from competition.data.run_data import RunData, split_table, store_spec
from competition.inference.diagnostics import collect_sweep
from competition.inference.job_files import read_history
from competition.inference.oof import collect_member
from competition.models.cost import model_cost
from competition.scoring.arrays import sigmoid
from competition.scoring.objective import ConditionRows, row_losses
from competition.training.engines.protocol import Engine
from competition.training.open_data import check_inputs, open_data
from competition.training.plan import Job, Plan, make_plans, refuse_conflicts, unfinished
from competition.training.tuning.study import Report

LOOK_SECONDS = 0.5  # between two looks at what jobs have reached
MAX_EPOCHS = 10_000  # of a job, so that each epoch of each job is a step of its own


@dataclass(frozen=True)
class Goal:
    """What is better: the ``objective`` (see scoring/objective.py), ``on`` images as they are (clean), or on average as
    they are and as the web leaves them (web)."""

    objective: str
    on: str

    def step_loss(self, line: dict[str, float]) -> float | None:
        """Return an epoch's loss from its line of history, log-loss unless AUC is the objective; None where the epoch
        was not validated."""
        if self.objective == "auc":
            return None if "val_auc" not in line else 1 - line["val_auc"]
        return line.get("val_loss")


@dataclass
class TrialRuns:
    """The runs of a search's trials. ``config``: the preset's settings, with the members that are searched alone."""

    config: Config
    dataset: Dataset
    engine: Engine
    goal: Goal
    _open: dict[frozenset[StoreSpec], RunData] = field(default_factory=dict)

    def config_of(self, number: int, settings: Settings, folds: Sequence[int]) -> Config:
        """Return the settings of a trial's run, for these folds."""
        members = {name: dataclasses.replace(recipe, **settings) for name, recipe in self.config.members.items()}
        frozen = all(recipe.frozen for recipe in members.values())
        return dataclasses.replace(
            self.config,
            name=trial_name(self.config.name, number),
            members=members,
            fold=",".join(map(str, self._held_out(folds))),
            seeds=1,
            evidence_rows=self.config.evidence_rows if self.goal.on == "web" else 0,
            jobs="1" if frozen else self.config.jobs,  # heads alone train in less time than a process takes to begin
        )

    def plans(self, number: int, settings: Settings, folds: Sequence[int]) -> tuple[Config, RunData, list[Plan]]:
        """Return a trial's settings, its data, and its jobs on these folds, those first that take longest, in which
        order engines begin them; nothing is written.

        Raises Untrainable for settings that no model takes.
        """
        config = self.config_of(number, settings, folds)
        self.engine.config = config
        try:
            check_inputs(config, self.dataset)
        except UserError as error:
            raise Untrainable(str(error)) from error
        data = self._data(config)
        members = sorted(config.members, key=lambda member: -self._cost(self.config.members[member]))
        jobs = [Job(member, fold) for member in members for fold in self._held_out(folds)]
        return config, data, make_plans(config, data, jobs, self.engine.device, self.engine.place)

    def train(
        self, number: int, settings: Settings, folds: Sequence[int], report: Report
    ) -> tuple[ConditionRows, np.ndarray]:
        """Finish a trial's jobs on these folds, and return the folds' rows and each one's loss (n,).

        ``report`` is called for each epoch that was validated, in the order of jobs and epochs; what it raises ends the
        trial.
        """
        config, data, plans = self.plans(number, settings, folds)
        if refuse_conflicts(config, plans, discard=True):  # what an earlier search left
            config, data, plans = self.plans(number, settings, folds)
        keep_folds(run_folder(config.name) / FOLDS_FILE, split_table(config, data.train))
        watch = _Watch(plans, self.goal, report)
        self.engine.watch = watch.look
        if unfinished(config, plans):
            self.engine.finish(data, plans)
        watch.look(to_the_end=True)
        rows = self._rows(data, plans, folds)
        return rows, row_losses(self.goal.objective, rows)

    def remove(self, number: int) -> None:
        """Remove a trial's run, whose weights may take gigabytes."""
        shutil.rmtree(run_folder(trial_name(self.config.name, number)), ignore_errors=True)

    def _cost(self, recipe: Recipe) -> float:
        """Return what a job of a member takes, in operations; of a frozen one next to nothing."""
        cost = model_cost(recipe, self.dataset.channels, self.dataset.floating)
        return 0.0 if recipe.frozen else cost.flops * recipe.epochs

    def _held_out(self, folds: Sequence[int]) -> list[int]:
        """Return the folds whose jobs predict the rows of these: of a hold-out the one job predicts both its parts."""
        return sorted(folds) if self.config.shares is None else [0]

    def _data(self, config: Config) -> RunData:
        """Return the data as trials of these ways of storing images read it, in the folds of the run itself."""
        floating = self.dataset.floating
        specs = frozenset(store_spec(recipe, floating) for recipe in config.members.values())
        if specs not in self._open:
            self._open[specs] = open_data(dataclasses.replace(config, name=self.config.name), self.dataset)
        return self._open[specs]

    def _rows(self, data: RunData, plans: Sequence[Plan], folds: Sequence[int]) -> ConditionRows:
        """Return the rows of these folds, with the mean of all members' probabilities."""
        ids, probs = data.train["id"], list[np.ndarray]()
        for member in dict.fromkeys(plan.job.member for plan in plans):
            folders = [[plan.folder] for plan in plans if plan.job.member == member]
            if self.goal.on == "web":
                probs.append(sigmoid(np.stack(list(collect_sweep(folders, ids).values()))))
            else:
                probs.append(collect_member(folders, [], ids, data.test["id"]).oof[None])
        mean = np.mean(probs, axis=0)
        known = ~np.isnan(mean).any(axis=0) & data.train["fold"].isin(folds).to_numpy()
        rows = data.train[known]
        return ConditionRows(rows["label"], mean[:, known], rows["fold"], rows["group"])


class _Watch:
    """Reports the epochs of jobs under way, each once and in one order, whatever order they end in."""

    def __init__(self, plans: Sequence[Plan], goal: Goal, report: Report) -> None:
        self._epochs = [_Epochs(plan.folder / "history.jsonl", number) for number, plan in enumerate(plans)]
        self._plans, self._goal, self._report, self._looked = list(plans), goal, report, 0.0

    def look(self, to_the_end: bool = False) -> None:
        """Report what is new. A job's epochs are reported when all of those before it in the order have ended."""
        if not to_the_end and time.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        while self._epochs:
            ended = to_the_end or self._plans[0].is_trained()
            for step, line in self._epochs[0].new():
                if (loss := self._goal.step_loss(line)) is not None:
                    self._report(loss, step)
            if not ended:
                return
            del self._epochs[0], self._plans[0]


@dataclass
class _Epochs:
    """The lines of a job's history, and how many of them were seen."""

    path: Path
    number: int
    seen: int = 0

    def new(self) -> Iterator[tuple[int, dict[str, float]]]:
        for line in read_history(self.path)[self.seen :]:
            self.seen += 1
            yield self.number * MAX_EPOCHS + line["epoch"], line


def trial_name(name: str, number: int) -> str:
    """Return the name of a trial's run."""
    return f"{name}.trial-{number:03d}"


def preset_settings(config: Config, dimensions: Sequence[Dimension]) -> Settings:
    """Return what a preset's members agree on, of the settings that are searched, where it lies in the space."""
    found = {}
    for one in dimensions:
        values = {getattr(recipe, one.key) for recipe in config.members.values()}
        if len(values) == 1 and (value := values.pop()) in one:
            found[one.key] = value
    return found
