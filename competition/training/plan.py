"""What there is to do: one job for each (member, fold), known by its settings.

What is finished under the same settings is not done again; what stands under other settings is never reused.
"""

import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from competition.core.config_forms import as_dict, recipe_key
from competition.core.errors import UserError
from competition.core.files import fingerprint
from competition.core.intact import has_content
from competition.core.paths import run_folder
from competition.core.settings import Config, Recipe
from competition.core.splits import chosen_folds
from competition.data.images.decode import DECODER
from competition.data.run_data import RunData
from competition.inference.diagnostics import FILE as EVIDENCE_FILE
from competition.inference.job_files import begun_settings, read_done
from competition.inference.oof import prediction_settings
from competition.inference.run_record import FILE as RECORD
from competition.models.adapt import adapt
from competition.models.build import Detector, build_model, normalisation
from competition.models.device import Placement, choose_placement, read_placement
from competition.models.pretrained import digest_of

PLACEMENT_FILE = "placement.json"  # beside a member's folds
NODES_FILE = "nodes.json"  # in a run's folder while a cluster trains it: each job's node, and what it does there
LOOKS = 10  # at the held-out fold, for the learning curve
LOCK_PATIENCE = 15  # seconds: the processes that fed a killed run may outlive it a little


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
        return run_folder(config.name) / self.member / (part + (f"-seed{self.index}" if self.index else ""))


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
        done = read_done(self.folder)
        return done.get("key") == self.key and (self.folder / "model.safetensors").exists()

    def is_done(self) -> bool:
        """Whether weights and predictions stand under these settings."""
        done = read_done(self.folder)
        files = ["test.csv"] if self.job.fold is None else ["oof.csv", "test.csv", EVIDENCE_FILE]
        there = all(has_content(self.folder / name, done.get("files", {}).get(name)) for name in files)
        return there and self.is_trained() and done.get("prediction_key") == self.prediction_key

    def conflict(self) -> str | None:
        """Return what differs from the settings under which this folder was begun, or None."""
        if (begun := begun_settings(self.folder)) is None:
            return None
        unset = as_dict(Recipe())
        begun, now = unset | begun, unset | self.settings
        differing = [key for key in {**begun, **now} if begun.get(key) != now.get(key)]
        words = {"training_data": "the training data changed", "held_out": "the folds changed"}
        differences = [words.get(key, f"{key} was {begun.get(key)} and is now {now.get(key)}") for key in differing]
        return ", ".join(dict.fromkeys(differences)) or None


def make_plans(
    config: Config,
    data: RunData,
    jobs: Sequence[Job],
    device: str,
    place: Callable[[RunData, Recipe], Placement] | None = None,
) -> list[Plan]:
    """Settle every job's settings; precision and memory layout are settled once for each member.

    ``place`` returns the placement of a member of which no job has begun; without it, it is chosen here.
    """
    members = dict.fromkeys(job.member for job in jobs)
    places = {}
    for member in members:
        recipe, path = config.members[member], run_folder(config.name) / member / PLACEMENT_FILE
        if (kept := read_placement(recipe, device, path)) is None:
            kept = place(data, recipe) if place else choose_placement(recipe, device, *probe_of(data, recipe))
        places[member] = kept
    weights = {member: digest_of(config, member) for member in members}  # files of gigabytes: read once
    return [_make_plan(config, data, job, places[job.member], weights[job.member]) for job in jobs]


def probe_of(data: RunData, recipe: Recipe) -> tuple[Callable[[], Detector], torch.Tensor, int]:
    """Return what a measured step needs: a function that builds the model, one batch (n, c, h, w), and how many such
    steps all folds' trainings take together."""
    channels, floating, size = data.dataset.channels, data.dataset.floating, recipe.image_size
    shape = (min(recipe.batch_size, len(data.train)), channels, size, size)
    pixels = torch.ones(shape, dtype=torch.float32 if floating else torch.uint8)
    learnt = len(data.train) * max(1, data.train["fold"].nunique() - 1)  # in an epoch of each fold
    steps = 0 if recipe.frozen else learnt * recipe.epochs // len(pixels)
    return lambda: adapt(build_model(recipe, channels, floating, load=False), recipe), pixels, steps


def _make_plan(config: Config, data: RunData, job: Job, placement: Placement, weights: str) -> Plan:
    recipe = config.members[job.member]
    predicted, held = (sorted(data.train["id"][part]) for part in (data.predicted(job.fold), data.held(job.fold)))
    train_store, test_store = data.of(recipe)
    mean, std = normalisation(recipe, data.dataset.channels, data.dataset.floating)
    settings = recipe_key(recipe) | {
        "pretrained": weights,
        "precision": placement.precision,
        "memory_format": placement.memory_format,
        "member": job.member,
        "fold": job.fold,
        "seed": config.seed,
        "seed_index": job.index,
        "mean": list(mean),
        "std": list(std),
        "channels": data.dataset.channels,
        "floating": data.dataset.floating,
        "decoder": "none" if data.dataset.floating else DECODER,
        "classes": list(data.dataset.classes),
        "training_data": fingerprint(data.table_key, train_store.digest, *data.added_key(job.fold, recipe)),
        "held_out": fingerprint(predicted, held),
    }
    views = prediction_settings(config, data.test["id"].tolist(), test_store.digest, job.fold)
    return Plan(job, job.folder(config), placement, settings, views)


def all_jobs(config: Config) -> list[Job]:
    """Return every job of the run, fold by fold; one on all rows only where it is requested."""
    folds = [*range(config.parts), *([None] if chosen_folds(config)[1] else [])]
    return [Job(member, fold, index) for fold in folds for index in range(config.seeds) for member in config.members]


def is_requested(config: Config, job: Job) -> bool:
    """Whether a job is of the folds that the command names."""
    chosen, full = chosen_folds(config)
    return job.fold in chosen or (full and job.fold is None)


def validate_every(config: Config, recipe: Recipe) -> int:
    """Return how many epochs there are from one validation to the next; early stopping needs each of them."""
    return 1 if recipe.patience else config.validate_every or math.ceil(recipe.epochs / LOOKS)


def unfinished(config: Config, plans: Sequence[Plan]) -> list[Plan]:
    """Return the plans of the folds that the command names whose weights or predictions are missing."""
    return [plan for plan in plans if is_requested(config, plan.job) and not plan.is_done()]


def refuse_conflicts(config: Config, plans: Sequence[Plan], discard: bool) -> bool:
    """Refuse to go on over results made with other settings, or discard them; returns whether any were."""
    discarded = False
    for plan in plans:
        if (conflict := plan.conflict()) is None:
            continue
        if not discard:
            raise UserError(
                f"{plan.folder} holds results of other settings ({conflict}): keep them with another name=, or discard "
                "them with overwrite=true."
            )
        (run_folder(config.name) / RECORD).unlink(missing_ok=True)  # the models that it answers for go
        shutil.rmtree(plan.folder)
        discarded = True
    return discarded
