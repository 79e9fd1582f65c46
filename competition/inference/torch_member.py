"""The members of a trained run by their weights: the run's own preprocessing, test-time views and models."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
import yaml

from competition.core.config import Recipe
from competition.core.errors import UserError
from competition.core.settings import RECIPE_KEYS
from competition.data.images.decode import fit_store
from competition.data.images.stores import ImageStore
from competition.data.run_data import store_spec
from competition.inference.classify import Classifier
from competition.inference.predict import predict_logits
from competition.inference.run_record import read_record
from competition.models.build import Detector, build_model
from competition.models.checkpoint import load_weights
from competition.models.device import Placement, choose_device


class TorchMember:
    """A member by its trained weights: one model for each fold and seed."""

    def __init__(self, folders: Sequence[Path], tta: str, device: str):
        self.folders, self.tta = list(folders), tta
        self.settings = job_settings(self.folders[0])
        self.recipe = job_recipe(self.settings)
        precision = self.settings["precision"]
        if device == "cpu" and precision == "fp16":  # trained on an older GPU; a CPU has the bits to spare
            precision = "fp32"
        elif device == "cuda" and precision == "bf16" and torch.cuda.get_device_capability()[0] < 8:
            precision = "fp16"  # what such a GPU trains in; it would only emulate the other
        self.placement = Placement(device, precision, self.settings["memory_format"], self.recipe.batch_size)

    @cached_property
    def models(self) -> list[Detector]:
        """The member's models, in evaluation mode on their device."""
        return [self.placement.place(load_model(folder)).eval() for folder in self.folders]

    def view_logits(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Return float64 (views, n) logits, the mean of the models, of n uint8 (H, W, 3) pictures."""
        store = stored_images(images, self.recipe)
        found = [
            predict_logits(model, store, range(len(images)), self.recipe, self.placement, self.tta, 0)
            for model in self.models
        ]
        return np.mean(found, axis=0)


def stored_images(images: Sequence[np.ndarray], recipe: Recipe) -> ImageStore:
    """Return the pictures as a run's cache would hold them for this recipe."""
    spec = store_spec(recipe)
    return ImageStore([fit_store(image, spec.size, spec.cap) for image in images])


def job_settings(folder: Path) -> dict:
    """Return a finished job's config.yaml; UserError where it is not there."""
    try:
        return yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{folder} holds no trained model any more: run the line that trained it again.") from None


def job_recipe(settings: dict) -> Recipe:
    """Return the recipe in a job's settings, its weights to come from the job and its speed left as it comes."""
    known = {key: settings[key] for key in RECIPE_KEYS if key in settings}
    return Recipe(**known | {"pretrained": "false", "compile": False, "checkpointing": False})


def load_model(folder: Path) -> Detector:
    """Return a finished job's model, on the CPU."""
    settings = job_settings(folder)
    model = build_model(job_recipe(settings), settings["channels"], settings["floating"], load=False)
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
    chosen = choose_device(device)
    return Classifier(
        record,
        {
            member: TorchMember([record.folder / part for part in parts], record.tta, chosen)
            for member, parts in record.members.items()
        },
    )
