"""One job: train one (member, fold), predict its held-out fold and the test set, and leave the files that say so."""

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml

from competition.core.config import Config, Recipe
from competition.core.errors import UserError
from competition.core.files import atomic_write, read_json, write_json, write_text
from competition.core.seeds import stream
from competition.data.augment import train_transform
from competition.data.loader import TrainFeed
from competition.data.run_data import RunData
from competition.data.tta import TTA
from competition.inference.diagnostics import (
    CLEAN,
    SWEPT_ROWS,
    Diagnostics,
    penultimate,
    sample,
    sweep_logits,
    write_diagnostics,
)
from competition.inference.learner import TEST, TRAIN, Learner, features_paths, fresh_model, make_learner
from competition.inference.predict import predict_logits
from competition.models.build import Detector, build_model, count_parameters
from competition.models.checkpoint import load_weights, save_weights
from competition.models.device import store, stored
from competition.scoring.blend.average import mean_logit
from competition.scoring.metrics import sigmoid, summary
from competition.training.fit import Task, fit
from competition.training.plan import PLACEMENT_FILE, Plan

FEATURES_FILE = "features.json"  # beside a frozen member's folds: what its features took
Progress = Callable[[int, str], None]


def run_job(config: Config, data: RunData, plan: Plan, workers: int, progress: Progress) -> dict[str, Any]:
    """Do what is left of a job and return its ``done.json``; ``progress(images, note)`` hears of training work."""
    start = time.monotonic()
    if config.members[plan.job.member].compile:
        torch.compiler.reset()  # or other members' compilations count against this one's limit
    done = read_json(plan.folder / "done.json") or {}
    if not plan.is_trained():
        plan = _with_stored_micro_batch(config, plan)
        write_text(plan.folder / "config.yaml", yaml.safe_dump(plan.settings, sort_keys=False, width=120))
        model, history, plan = _train(config, data, plan, workers, progress)
        save_weights(plan.folder / "model.safetensors", model)
        done = {"key": plan.key, "epochs": len(history)}
        done["seconds"] = max(0.0, history[-1]["elapsed"] - (time.monotonic() - start))  # before a kill
        done["parameters"], done["trained_parameters"] = count_parameters(model)
    else:
        model = trained_model(config, data, plan)
    done.pop("prediction_key", None)  # until all of them are written, there are no predictions
    write_json(plan.folder / "done.json", done)  # from here on, a kill costs the predictions alone
    done["oof"] = _write_predictions(config, data, plan, model, workers, progress)
    done["prediction_key"] = plan.prediction_key
    done["seconds"] = round(done.get("seconds", 0) + time.monotonic() - start, 1)
    done["torch"] = torch.__version__
    write_json(plan.folder / "done.json", done)
    (plan.folder / "resume.pt").unlink(missing_ok=True)
    return done


def trained_model(config: Config, data: RunData, plan: Plan) -> Detector:
    """Return a finished job's model."""
    model = build_model(config.members[plan.job.member], data.channels, data.floating, load=False)
    load_weights(plan.folder / "model.safetensors", model)
    return model


def prepare_features(config: Config, data: RunData, plans: Sequence[Plan], workers: int) -> None:
    """Compute the features of frozen members before their jobs start, each member's once."""
    for member in dict.fromkeys(plan.job.member for plan in plans if config.members[plan.job.member].frozen):
        plan = next(plan for plan in plans if plan.job.member == member)
        paths = features_paths(config, data, member, plan.placement, plan.settings["pretrained"])
        if all(path.exists() for path in paths):
            continue
        start = time.monotonic()
        model = trained_model(config, data, plan) if plan.is_trained() else fresh_model(config, data, member, 0)
        _learner(config, data, plan, model, workers)
        write_json(plan.folder.parent / FEATURES_FILE, {"seconds": round(time.monotonic() - start, 1)})


def _learner(config: Config, data: RunData, plan: Plan, model: Detector, workers: int) -> Learner:
    return make_learner(config, data, plan.job.member, plan.placement, plan.settings["pretrained"], model, workers)


def _with_stored_micro_batch(config: Config, plan: Plan) -> Plan:
    """Take over the micro-batch that an earlier job of the member came down to; store it for the later ones."""
    path, recipe = plan.folder.parent / PLACEMENT_FILE, config.members[plan.job.member]
    if earlier := stored(recipe, plan.placement.device, path):
        smaller = min(earlier.micro_batch, plan.placement.micro_batch)
        plan = dataclasses.replace(plan, placement=dataclasses.replace(plan.placement, micro_batch=smaller))
    store(path, plan.placement, recipe)
    return plan


def _train(config: Config, data: RunData, plan: Plan, workers: int, progress: Progress):
    """Fit the job's model; when the GPU's memory runs out, halve the micro-batch for it and all later jobs."""
    job, recipe = plan.job, config.members[plan.job.member]
    while True:
        try:
            seed = stream(config.seed, job.member, -1 if job.fold is None else job.fold, job.index)
            model = fresh_model(config, data, job.member, seed)
            learner = _learner(config, data, plan, model, workers)
            kept, history = fit(_task(config, data, plan, learner, seed, workers, progress), learner.module, plan.key)
            if not recipe.frozen:
                return kept, history, plan
            model.backbone.head.load_state_dict(kept.backbone.head.state_dict())
            return model, history, plan
        except torch.OutOfMemoryError:
            half = plan.placement.micro_batch // 2
            if not half or (half == 1 and "batchnorm" in recipe.head):
                raise UserError(
                    f"Training {job} runs out of GPU memory even one image at a time: choose a smaller backbone or "
                    "image_size, or checkpointing=true."
                ) from None
        torch.cuda.empty_cache()
        progress(0, f"{job}: out of memory, going on with {half} images a pass")
        plan = dataclasses.replace(plan, placement=dataclasses.replace(plan.placement, micro_batch=half))
        store(plan.folder.parent / PLACEMENT_FILE, plan.placement, recipe)


def _task(
    config: Config, data: RunData, plan: Plan, learner: Learner, seed: int, workers: int, progress: Progress
) -> Task:
    job, recipe, placement, pixels = plan.job, learner.recipe, learner.placement, learner.stores[TRAIN][0]
    rows = data.learnt(job.fold)
    transform = train_transform(recipe.augment, recipe.image_size, recipe.fit, data.floating)
    feed = TrainFeed(
        learner.learnt,
        rows["row"].to_numpy(),
        transform,
        recipe.batch_size * recipe.accumulate,
        seed,
        workers,
        pin=placement.device == "cuda",
    )
    label = torch.zeros(len(learner.learnt))
    label[torch.tensor(rows["row"].tolist())] = torch.tensor(rows["label"].tolist(), dtype=torch.float32)
    held = data.train[data.held(job.fold)]

    def validate(model) -> dict[str, float]:
        if held.empty:
            return {}
        logit = predict_logits(model, pixels, held["row"], recipe, placement, "none", workers)[0]
        figures = summary(held["label"].to_numpy(), sigmoid(logit), logit >= 0)
        figures = {"val_loss": figures["log_loss"], "val_f1": figures["f1"], "val_auc": figures["auc"]}
        return {key: value for key, value in figures.items() if value == value}  # one class alone has no AUC

    return Task(
        str(job),
        recipe,
        placement,
        feed,
        label,
        _class_weight(recipe, rows["label"]),
        seed,
        plan.folder,
        config.checkpoint_seconds,
        validate,
        _heard(config, plan, progress),
    )


def _heard(config: Config, plan: Plan, progress: Progress) -> Progress:
    """Return who hears of images: nobody for a frozen member, whose features took all the time before."""
    return (lambda images, note: None) if config.members[plan.job.member].frozen else progress


def _class_weight(recipe: Recipe, label: pd.Series) -> tuple[float, float]:
    """Return each class's weight in the loss: n / (2 n_c) for balanced classes (King and Zeng 2001)."""
    if not recipe.balance:
        return 1.0, 1.0
    ones = int(label.sum())
    return len(label) / (2 * (len(label) - ones)), len(label) / (2 * ones)


def _write_predictions(
    config: Config, data: RunData, plan: Plan, model: Detector, workers: int, progress: Progress
) -> dict[str, float]:
    """Write oof.csv, test.csv and evidence.npz; returns the fold's figures at threshold .5.

    A model on all rows has no held-out rows, hence neither oof.csv nor evidence.npz nor figures.
    """
    learner = _learner(config, data, plan, model, workers)
    hear = functools.partial(_heard(config, plan, progress), note=f"{plan.job} predicting")
    seen = _seen(config, data, plan)
    logit = np.full(len(data.test), np.nan)
    logit[seen] = mean_logit(learner.logits(TEST, data.test["row"][seen], workers, hear))
    write_table(plan.folder / "test.csv", data.test[["id"]].assign(logit=logit, prob=sigmoid(logit)))
    if plan.job.fold is None:
        return {}
    held = data.train[data.predicted(plan.job.fold)]
    views = learner.logits(TRAIN, held["row"], workers, hear)
    logit = mean_logit(views)
    table = held[["id", "label", "fold"]].assign(logit=logit, prob=sigmoid(logit))
    write_table(plan.folder / "oof.csv", table)
    write_diagnostics(plan.folder, _diagnostics(config, data, plan, model, learner, views, workers, progress))
    figures = summary(held["label"].to_numpy(), table["prob"].to_numpy(), logit >= 0)
    return {key: round(value, 6) for key, value in figures.items() if value == value}


def _seen(config: Config, data: RunData, plan: Plan) -> np.ndarray:
    """Return which rows of the test table have an image that can be read, (m,) bool."""
    return ~data.test["row"].isin(list(data.of(config.members[plan.job.member])[TEST].bad)).to_numpy()


def _diagnostics(
    config: Config,
    data: RunData,
    plan: Plan,
    model: Detector,
    learner: Learner,
    views: np.ndarray,
    workers: int,
    progress: Progress,
) -> Diagnostics:
    """Return what later questions need; ``views``: the held-out rows' logits (V, n).

    The sample is the same for all members and seeds of a fold, so that ensembles can be judged on it too.
    """
    recipe, held = config.members[plan.job.member], data.train[data.predicted(plan.job.fold)]
    note, seed = f"{plan.job} evidence", (config.seed, plan.job.fold)
    hear = functools.partial(_heard(config, plan, progress), note=note)
    tables = (held, data.test[_seen(config, data, plan)])
    chosen = [table.iloc[sample(table["id"], config.evidence_rows, *seed)] for table in tables]
    features = [
        penultimate(
            learner.module, learner.stores[side][0], table["row"], learner.recipe, learner.placement, workers, hear
        )
        for side, table in enumerate(chosen)
    ]
    swept = sample(held["id"], min(config.evidence_rows, SWEPT_ROWS), *seed)
    sweep = {}
    if len(swept):  # a frozen member's too costs what its whole model costs
        sweep = {CLEAN: views[0, swept]} | sweep_logits(
            model,
            data.of(recipe)[TRAIN],
            held["row"].iloc[swept],
            recipe,
            plan.placement,
            workers,
            functools.partial(progress, note=note),
        )
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
