"""The members of a trained run by their weights: the run's own preprocessing, test-time views and models."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from competition.core.errors import UserError
from competition.core.settings import RECIPE_KEYS, Recipe
from competition.data.images.stores import ImageStore
from competition.data.run_data import store_spec
from competition.inference.classify import Classifier, Network, Seen
from competition.inference.diagnostics import FILE as EVIDENCE_FILE
from competition.inference.diagnostics import logits_and_features, read_diagnostics
from competition.inference.job_files import SETTINGS_FILE, begun_settings, check_intact
from competition.inference.predict import Predictor
from competition.inference.run_record import Record, read_record
from competition.models.build import Detector, build_model
from competition.models.checkpoint import load_weights
from competition.models.device import Placement, choose_device, memory_errors
from competition.models.views import find_view
from competition.scoring.blend.average import mean_logit
from competition.scoring.unlikeness import MIN_REFERENCES, KnownFeatures

CPU_BATCH, GPU_BATCH = 16, 64


class TorchMember:
    """A member by its trained weights, one model for each fold and seed; see TrainedMember."""

    def __init__(self, folders: Sequence[Path], tta: str, device: str, workers: int = 0):
        self.folders = list(folders)
        self.settings = job_settings(self.folders[0])
        recipe = job_recipe(self.settings)
        precision = self.settings["precision"]
        if device == "mps" or (device, precision) == ("cpu", "fp16"):  # trained elsewhere; there are bits to spare here
            precision = "fp32"
        elif device == "cuda" and precision == "bf16" and torch.cuda.get_device_capability()[0] < 8:
            precision = "fp16"  # what such a GPU trains in; it would only emulate the other
        placement = Placement(device, precision, self.settings["memory_format"], recipe.batch_size)
        self.predictor = Predictor(recipe, placement, tta, workers)
        self.batch = CPU_BATCH if device == "cpu" else GPU_BATCH

    @property
    def recipe(self) -> Recipe:
        return self.predictor.recipe

    @property
    def network(self) -> Network:
        return network_of(self.recipe)

    @cached_property
    def models(self) -> list[Detector]:
        """The member's models, in evaluation mode on their device."""
        return [self.predictor.placement.place(load_model(folder)).eval() for folder in self.folders]

    @cached_property
    def known(self) -> list[KnownFeatures | None]:
        """What each model knows of images that it did not train on; None for one that kept too few of them."""
        return [known_features(folder) for folder in self.folders]

    def see(self, images: Sequence[np.ndarray]) -> Seen:
        """Return what the models make of n uint8 (H, W, 3) pictures; MemoryError where they do not fit."""
        with memory_errors():
            return self._see(images)

    def _see(self, images: Sequence[np.ndarray]) -> Seen:
        spec, logits, unlike = store_spec(self.recipe), [], []  # the pictures as a run's cache would hold them
        store = ImageStore([spec.stored(image) for image in images])
        for model, known in zip(self.models, self.known, strict=True):
            found, features = logits_and_features(model, store, range(len(images)), self.predictor)
            logits.append(found)
            if known is not None and len(features) == len(images):
                unlike.append(known.percentile(features))
        mean = np.stack([mean_logit(one_view) for one_view in np.stack(logits, axis=1)])
        return Seen(mean, np.mean(unlike, axis=0) if unlike else None)


def network_of(recipe: Recipe) -> Network:
    """Return what a member of this recipe is, for people."""
    return Network(recipe.backbone, find_view(recipe.view).caption, recipe.image_size)


def known_features(folder: Path) -> KnownFeatures | None:
    """Return what a job kept of images that its model did not train on, None where that is too little."""
    if not (folder / EVIDENCE_FILE).exists():
        return None
    validation = read_diagnostics(folder).validation
    return KnownFeatures(validation) if len(validation) >= MIN_REFERENCES else None


def job_settings(folder: Path) -> dict:
    """Return a finished job's config.yaml; UserError where it is not there."""
    check_intact(folder / SETTINGS_FILE)
    if (found := begun_settings(folder)) is None:
        raise UserError(f"{folder} holds no trained model any more: run the line that trained it again.")
    return found


def job_recipe(settings: dict) -> Recipe:
    """Return the recipe in a job's settings, its weights to come from the job and its speed left as it comes."""
    known = {key: settings[key] for key in RECIPE_KEYS if key in settings}
    return Recipe(**known | {"pretrained": "false", "compile": "false", "checkpointing": False})


def load_model(folder: Path) -> Detector:
    """Return a finished job's model, on the CPU."""
    settings = job_settings(folder)
    model = build_model(job_recipe(settings), settings["channels"], settings["floating"], load=False)
    check_intact(folder / "model.safetensors")
    load_weights(folder / "model.safetensors", model)
    return model


def open_classifier(name: str, device: str = "auto") -> Classifier[TorchMember]:
    """Return the classifier of the run ``name``; models are read from disk when first needed.

    Raises UserError where there is no such run, or one that was not trained on pictures.
    """
    record = read_record(name)
    if record.kind == "pixels":
        raise UserError(
            f"The run '{name}' was trained on a table of standardised pixels, which pictures cannot be turned into "
            "without the table's means: name a run trained on images."
        )
    return Classifier(record, open_members(record, choose_device(device)))


def open_members(record: Record, device: str, workers: int = 0) -> dict[str, TorchMember]:
    """Return a run's members on ``device`` (cpu, cuda or mps), fed by ``workers`` processes."""
    return {
        member: TorchMember([record.folder / part for part in parts], record.tta, device, workers)
        for member, parts in record.members.items()
    }
