"""What a job leaves for later: test.csv, oof.csv and evidence.npz."""

import math
from pathlib import Path

import numpy as np
import pandas as pd

from competition.core.files import atomic_write
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
from competition.inference.learner import TEST, TRAIN
from competition.models.build import Detector
from competition.scoring.blend.average import mean_logit
from competition.scoring.metrics import sigmoid, summary
from competition.training.job_run import JobRun


def write_predictions(run: JobRun, model: Detector) -> dict[str, float]:
    """Write oof.csv, test.csv and evidence.npz; returns the fold's figures at threshold .5.

    A model on all rows has no held-out rows, hence neither oof.csv nor evidence.npz nor figures.
    """
    data, plan, learner = run.data, run.plan, run.learner(model, "predicting")
    seen = _seen(run)
    logit = np.full(len(data.test), np.nan)
    logit[seen] = mean_logit(learner.logits(TEST, data.test["row"][seen]))
    write_table(plan.folder / "test.csv", data.test[["id"]].assign(logit=logit, prob=sigmoid(logit)))
    if plan.job.fold is None:
        return {}
    held = data.train[data.predicted(plan.job.fold)]
    views = learner.logits(TRAIN, held["row"])
    logit = mean_logit(views)
    table = held[["id", "label", "fold"]].assign(logit=logit, prob=sigmoid(logit))
    write_table(plan.folder / "oof.csv", table)
    write_diagnostics(plan.folder, _diagnostics(run, model, views))
    figures = summary(held["label"].to_numpy(), table["prob"].to_numpy(), logit >= 0)
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


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV, atomically, numbers with all their digits; a missing number is an empty cell."""
    with atomic_write(path) as file:
        table.to_csv(file, index=False, lineterminator="\n")
