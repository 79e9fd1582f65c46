"""One job: train one (member, fold), predict its held-out fold and the test set, and leave the files that say so.

A job is known by its settings. What is finished under the same settings is not done again; what stands under other
settings is never reused.
"""

import dataclasses
import functools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
import yaml

from competition.config import Config, Recipe, as_dict
from competition.data.assemble import RunData, run_folder
from competition.data.augment import train_transform
from competition.data.decode import DECODER
from competition.data.loader import TrainFeed, stream
from competition.errors import UserError
from competition.files import atomic_write, fingerprint, read_json, write_json, write_text
from competition.inference.predict import predict_logits
from competition.models.zoo import Detector, build_model, count_parameters, normalisation, weights_digest
from competition.scoring.blend import mean_logit
from competition.scoring.metrics import sigmoid, summary
from competition.training.checkpoint import load_weights, save_weights
from competition.training.fit import Task, fit
from competition.training.placement import Placement, settle, store, stored

PLACEMENT_FILE = "placement.json"  # beside a member's folds
Progress = Callable[[int, str], None]


@dataclass(frozen=True)
class Job:
    """``fold``: the one held out, or None for a model on all rows; ``index``: which of the run's seeds."""

    member: str
    fold: int | None
    index: int = 0

    def __str__(self) -> str:
        part = "all rows" if self.fold is None else f"fold {self.fold}"
        return f"{self.member} {part}" + (f" seed {self.index}" if self.index else "")

    def folder(self, config: Config) -> Path:
        """Return folds/<name>/<member>/fold<k>."""
        part = "full" if self.fold is None else f"fold{self.fold}"
        return run_folder(config) / self.member / (part + (f"-seed{self.index}" if self.index else ""))


@dataclass(frozen=True)
class Plan:
    """A job with the settings that name it: ``settings`` decide its weights, ``views`` its predictions."""

    job: Job
    folder: Path
    placement: Placement
    settings: dict[str, Any]
    views: dict[str, Any]

    @property
    def key(self) -> str:
        """The fingerprint of what decides the weights."""
        return fingerprint(self.settings)

    @property
    def prediction_key(self) -> str:
        """The fingerprint of what decides the predictions."""
        return fingerprint(self.key, self.views)

    def is_trained(self) -> bool:
        """Whether the weights stand under these settings."""
        done = read_json(self.folder / "done.json") or {}
        return done.get("key") == self.key and (self.folder / "model.safetensors").exists()

    def is_done(self) -> bool:
        """Whether weights and predictions stand under these settings."""
        done = read_json(self.folder / "done.json") or {}
        files = ["test.csv"] if self.job.fold is None else ["oof.csv", "test.csv"]
        there = all((self.folder / name).exists() for name in files)
        return there and self.is_trained() and done.get("prediction_key") == self.prediction_key

    def conflict(self) -> str | None:
        """Return what differs from the settings under which this folder was begun, or None."""
        try:
            begun = yaml.safe_load((self.folder / "config.yaml").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        differing = [key for key in {**begun, **self.settings} if begun.get(key) != self.settings.get(key)]
        words = {"training_data": "the training data changed", "held_out": "the folds changed"}
        told = [words.get(key, f"{key} was {begun.get(key)} and is now {self.settings.get(key)}") for key in differing]
        return ", ".join(dict.fromkeys(told)) or None


def make_plans(config: Config, data: RunData, jobs: Sequence[Job], device: str) -> list[Plan]:
    """Settle every job's settings; precision and memory layout are settled once for each member."""
    places = {member: _place(config, data, member, device) for member in dict.fromkeys(job.member for job in jobs)}
    weights = {member: weights_digest(config.members[member]) for member in places}  # files of gigabytes: read once
    return [_make_plan(config, data, job, places[job.member], weights[job.member]) for job in jobs]


def _place(config: Config, data: RunData, member: str, device: str) -> Placement:
    recipe, path = config.members[member], run_folder(config) / member / PLACEMENT_FILE
    return stored(recipe, device, path) or settle(recipe, device, *probe_of(data, recipe))


def probe_of(data: RunData, recipe: Recipe) -> tuple[Callable[[], Detector], torch.Tensor]:
    """Return what a measured step needs: a function that builds the model, and one batch (n, c, h, w)."""
    dtype = torch.float32 if data.floating else torch.uint8
    shape = (min(recipe.batch_size, len(data.train)), data.channels, recipe.image_size, recipe.image_size)
    return lambda: build_model(recipe, data.channels, data.floating, load=False), torch.ones(shape, dtype=dtype)


def _make_plan(config: Config, data: RunData, job: Job, placement: Placement, weights: str) -> Plan:
    recipe = config.members[job.member]
    held = data.train["id"][data.train["fold"] == job.fold].tolist() if job.fold is not None else []
    train_store, test_store = data.of(recipe)
    mean, std = normalisation(recipe, data.channels, data.floating)
    settings = as_dict(recipe) | {
        "pretrained": weights,
        "precision": placement.precision,
        "memory_format": placement.memory_format,
        "member": job.member,
        "fold": job.fold,
        "seed": config.seed,
        "seed_index": job.index,
        "mean": list(mean),
        "std": list(std),
        "channels": data.channels,
        "floating": data.floating,
        "decoder": "none" if data.floating else DECODER,
        "classes": list(data.dataset.classes),
        "training_data": fingerprint(data.table_key, train_store.digest),
        "held_out": fingerprint(sorted(held)),
    }
    views = {"tta": config.tta, "test_data": fingerprint(data.test["id"].tolist(), test_store.digest)}
    return Plan(job, job.folder(config), placement, settings, views)


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
        done = {"key": plan.key, "epochs": len(history), "parameters": count_parameters(model)[0]}
    else:
        model = build_model(config.members[plan.job.member], data.channels, data.floating, load=False)
        load_weights(plan.folder / "model.safetensors", model)
    done.pop("prediction_key", None)  # until both tables are written, there are no predictions
    write_json(plan.folder / "done.json", done)  # from here on, a kill costs the predictions alone
    done["oof"] = _write_predictions(config, data, plan, model, workers, progress)
    done["prediction_key"] = plan.prediction_key
    done["seconds"] = round(done.get("seconds", 0) + time.monotonic() - start, 1)
    done["torch"] = torch.__version__
    write_json(plan.folder / "done.json", done)
    (plan.folder / "resume.pt").unlink(missing_ok=True)
    return done


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
            task = _task(config, data, plan, workers, progress)
            torch.manual_seed(stream("weights", task.seed))
            model = build_model(recipe, data.channels, data.floating)
            kept, history = fit(task, model, plan.key)
            return kept, history, plan
        except torch.OutOfMemoryError:
            half = plan.placement.micro_batch // 2
            if not half:
                raise UserError(
                    f"Training {job} runs out of GPU memory even one image at a time: choose a smaller backbone or "
                    "image_size, or checkpointing=true."
                ) from None
        torch.cuda.empty_cache()
        progress(0, f"{job}: out of memory, going on with {half} images a pass")
        plan = dataclasses.replace(plan, placement=dataclasses.replace(plan.placement, micro_batch=half))
        store(plan.folder.parent / PLACEMENT_FILE, plan.placement, recipe)


def _task(config: Config, data: RunData, plan: Plan, workers: int, progress: Progress) -> Task:
    job, recipe, placement = plan.job, config.members[plan.job.member], plan.placement
    train_store, _ = data.of(recipe)
    part = data.train["fold"] == job.fold
    seed = stream(config.seed, job.member, -1 if job.fold is None else job.fold, job.index)
    transform = train_transform(recipe.augment, recipe.image_size, recipe.fit, data.floating)
    feed = TrainFeed(train_store, data.train["row"][~part].to_numpy(), transform, recipe.batch_size * recipe.accumulate,
                     seed, workers, pin=placement.device == "cuda")  # fmt: skip
    label = torch.zeros(len(train_store))
    label[torch.tensor(data.train["row"].tolist())] = torch.tensor(data.train["label"].tolist(), dtype=torch.float32)
    held = data.train[part]

    def validate(model) -> dict[str, float]:
        if held.empty:
            return {}
        logit = predict_logits(model, train_store, held["row"], recipe, placement, "none", workers)[0]
        figures = summary(held["label"].to_numpy(), sigmoid(logit), logit >= 0)
        figures = {"val_loss": figures["log_loss"], "val_f1": figures["f1"], "val_auc": figures["auc"]}
        return {key: value for key, value in figures.items() if value == value}  # one class alone has no AUC

    return Task(str(job), recipe, placement, feed, label, seed, plan.folder, config.checkpoint_seconds, validate,
                progress)  # fmt: skip


def _write_predictions(
    config: Config, data: RunData, plan: Plan, model: Detector, workers: int, progress: Progress
) -> dict[str, float]:
    """Write oof.csv and test.csv; returns the fold's figures at threshold .5 (empty for a model on all rows)."""
    recipe = config.members[plan.job.member]
    train_store, test_store = data.of(recipe)

    def logits(store, rows) -> np.ndarray:
        hear = functools.partial(progress, note=f"{plan.job} predicting")
        return mean_logit(predict_logits(model, store, rows, recipe, plan.placement, config.tta, workers, hear))

    figures = {}
    if plan.job.fold is not None:
        held = data.train[data.train["fold"] == plan.job.fold]
        logit = logits(train_store, held["row"])
        table = held[["id", "label", "fold"]].assign(logit=logit, prob=sigmoid(logit))
        write_table(plan.folder / "oof.csv", table)
        figures = summary(held["label"].to_numpy(), table["prob"].to_numpy(), logit >= 0)
    seen = ~data.test["row"].isin(list(test_store.bad))
    logit = np.full(len(data.test), np.nan)
    logit[seen] = logits(test_store, data.test["row"][seen])
    write_table(plan.folder / "test.csv", data.test[["id"]].assign(logit=logit, prob=sigmoid(logit)))
    return {key: round(value, 6) for key, value in figures.items() if value == value}


def write_table(path: Path, table: pd.DataFrame) -> None:
    """Write a table as CSV, atomically, numbers with all their digits; a missing number is an empty cell."""
    with atomic_write(path) as file:
        table.to_csv(file, index=False, lineterminator="\n")
