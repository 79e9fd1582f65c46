"""A job under way, and what it leaves for later: test.csv, oof.csv and evidence.npz."""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from competition.core.settings import Config, Recipe
from competition.data.run_data import RunData
from competition.data.tta import TTA
from competition.inference.diagnostics import (
    CLEAN,
    MAX_SWEEP_ROWS,
    Diagnostics,
    penultimate,
    sample,
    sweep_logits,
    write_diagnostics,
)
from competition.inference.learner import TEST, TRAIN, Learner, make_learner
from competition.inference.oof import write_predictions
from competition.inference.predict import Predictor
from competition.models.build import Detector
from competition.models.device import write_placement
from competition.scoring.arrays import sigmoid
from competition.scoring.blend.average import mean_logit
from competition.scoring.metrics import summary
from competition.training.plan import PLACEMENT_FILE, Plan

Progress = Callable[[int, str], None]


@dataclass(frozen=True)
class JobRun:
    """A job under way: what it is made of, how many processes feed it, and ``on_progress(images, note)``."""

    config: Config
    data: RunData
    plan: Plan
    workers: int
    on_progress: Progress

    @property
    def recipe(self) -> Recipe:
        return self.config.members[self.plan.job.member]

    def predictor(self, doing: str = "") -> Predictor:
        """Return how the whole model predicts; it reports its images as what the job is ``doing``."""
        note = f"{self.plan.job} {doing}"
        return Predictor(
            recipe=self.recipe,
            placement=self.plan.placement,
            tta=self.config.tta,
            workers=self.workers,
            on_progress=lambda images: self.on_progress(images, note),
        )

    def learner(self, model: Detector, doing: str = "") -> Learner:
        weights = self.plan.settings["pretrained"]
        return make_learner(self.config, self.data, self.plan.job.member, weights, model, self.predictor(doing))

    def with_micro_batch(self, rows: int) -> "JobRun":
        """Return the same with so many rows in a forward pass, stored for the member's later jobs."""
        plan = dataclasses.replace(self.plan, placement=dataclasses.replace(self.plan.placement, micro_batch=rows))
        write_placement(plan.folder.parent / PLACEMENT_FILE, plan.placement, self.recipe)
        return dataclasses.replace(self, plan=plan)


def predict_job(run: JobRun, model: Detector) -> dict[str, float]:
    """Write oof.csv, test.csv and evidence.npz; returns the fold's figures at threshold .5.

    A model on all rows has no held-out rows, hence neither oof.csv nor evidence.npz nor figures.
    """
    data, plan, learner = run.data, run.plan, run.learner(model, "predicting")
    seen = _seen(run)
    logit = np.full(len(data.test), np.nan)
    logit[seen] = mean_logit(learner.logits(TEST, data.test["row"][seen]))
    write_predictions(plan.folder / "test.csv", data.test[["id"]], logit)
    if plan.job.fold is None:
        return {}
    held = data.train[data.predicted(plan.job.fold)]
    views = learner.logits(TRAIN, held["row"])
    logit = mean_logit(views)
    write_predictions(plan.folder / "oof.csv", held[["id", "label", "fold"]], logit)
    write_diagnostics(plan.folder, _diagnostics(run, model, views))
    figures = summary(held["label"].to_numpy(), sigmoid(logit), logit >= 0)
    return {key: round(value, 6) for key, value in figures.items() if not math.isnan(value)}


def _seen(run: JobRun) -> np.ndarray:
    """Return which rows of the test table have an image that can be read, (m,) bool."""
    return ~run.data.test["row"].isin(list(run.data.of(run.recipe)[TEST].bad)).to_numpy()


def _diagnostics(run: JobRun, model: Detector, views: np.ndarray) -> Diagnostics:
    """Return what later questions need; ``views``: the held-out rows' logits (V, n).

    The sample is the same for all members and seeds of a fold, so that ensembles can be judged on it too.
    """
    config, data, learner = run.config, run.data, run.learner(model, "evidence")
    held, seed = data.train[data.predicted(run.plan.job.fold)], (config.seed, run.plan.job.fold)
    tables = (held, data.test[_seen(run)])
    chosen = [table.iloc[sample(table["id"], config.evidence_rows, *seed)] for table in tables]
    features = [
        penultimate(learner.module, learner.stores[side][0], table["row"], learner.predictor)
        for side, table in enumerate(chosen)
    ]
    swept = sample(held["id"], min(config.evidence_rows, MAX_SWEEP_ROWS), *seed)
    sweep = {}
    if len(swept):  # a frozen member's too costs what its whole model costs
        images, rows = data.of(run.recipe)[TRAIN], held["row"].iloc[swept]
        sweep = {CLEAN: views[0, swept]} | sweep_logits(model, images, rows, run.predictor("evidence"))
    return Diagnostics(
        views=tuple(view.name for view in TTA[config.tta]),
        ids=held["id"].to_numpy(dtype=str),
        logits=views.astype(np.float32),
        validation_ids=chosen[TRAIN]["id"].to_numpy(dtype=str),
        validation=features[TRAIN],
        test_ids=chosen[TEST]["id"].to_numpy(dtype=str),
        test=features[TEST],
        conditions=tuple(sweep),
        sweep_ids=held["id"].iloc[swept].to_numpy(dtype=str),
        sweep=np.array(list(sweep.values()), np.float32).reshape(len(sweep), len(swept)),
    )
