"""A trained run's verdict on single pictures: the run's own preprocessing, test-time views, models and threshold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
import yaml

from competition.config import Recipe
from competition.data.assemble import store_spec
from competition.data.augment import TTA
from competition.data.decode import fit_store
from competition.data.stores import ImageStore
from competition.errors import UserError
from competition.inference.predict import predict_logits
from competition.inference.record import Record, read_record
from competition.models.zoo import Detector, build_model
from competition.scoring.blend import mean_logit, mean_prob
from competition.scoring.metrics import sigmoid
from competition.settings import RECIPE_KEYS
from competition.training.checkpoint import load_weights
from competition.training.placement import Placement, choose_device


@dataclass(frozen=True)
class Verdict:
    """``prob``: of class 1, AI-made; ``positive``: whether it reaches the run's threshold.

    ``members``: each member's probability; ``views``: for each member, that of each of its test-time views alone.
    """

    prob: float
    positive: bool
    members: dict[str, float]
    views: dict[str, dict[str, float]]


class Eye(Protocol):
    """One member: pictures in, logits out."""

    def view_logits(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """Return float64 (views, n) logits, the mean of the member's models, of n uint8 (H, W, 3) pictures."""


class Judge:
    """Answers for a run; ``eyes`` holds its members in the run's order."""

    def __init__(self, record: Record, eyes: Mapping[str, Eye]):
        self.record, self.eyes = record, dict(eyes)

    def judge(self, images: Sequence[np.ndarray]) -> list[Verdict]:
        """Return a verdict on each of n uint8 (H, W, 3) RGB pictures of any sizes (see data/decode.py)."""
        if not images:
            return []
        logits = {name: eye.view_logits(images) for name, eye in self.eyes.items()}
        probs = {name: sigmoid(mean_logit(found)) for name, found in logits.items()}
        blended = mean_prob(np.stack(list(probs.values())))
        names = [view.name for view in TTA[self.record.tta]]
        return [
            Verdict(
                prob=float(blended[row]),
                positive=bool(blended[row] >= self.record.threshold),
                members={member: float(prob[row]) for member, prob in probs.items()},
                views={member: dict(zip(names, sigmoid(found[:, row]).tolist(), strict=True))
                       for member, found in logits.items()},
            )
            for row in range(len(images))
        ]  # fmt: skip


class TorchEye:
    """A member by its trained weights: one model for each fold and seed."""

    def __init__(self, folders: Sequence[Path], tta: str, device: str):
        self.folders, self.tta = list(folders), tta
        self.settings = job_settings(self.folders[0])
        self.recipe = job_recipe(self.settings)
        precision = self.settings["precision"]
        if device == "cpu" and precision == "fp16":  # trained on an older GPU; a CPU has the bits to spare
            precision = "fp32"
        self.placement = Placement(device, precision, self.settings["memory_format"], self.recipe.batch_size)

    @cached_property
    def models(self) -> list[Detector]:
        """The member's models, in evaluation mode on their device."""
        return [self.placement.place(load_model(folder)).eval() for folder in self.folders]

    def view_logits(self, images: Sequence[np.ndarray]) -> np.ndarray:
        """See Eye."""
        store = stored_images(images, self.recipe)
        found = [predict_logits(model, store, range(len(images)), self.recipe, self.placement, self.tta, 0)
                 for model in self.models]  # fmt: skip
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


def open_judge(name: str, device: str = "auto") -> Judge:
    """Return the judge of the run ``name``; models are read from disk when first needed.

    Raises UserError where there is no such run, or one that was not trained on pictures.
    """
    record = read_record(name)
    if record.kind == "pixels":
        raise UserError(
            f"The run '{name}' was trained on a table of standardised pixels, which pictures cannot be turned into "
            "without the table's means: name a run trained on images."
        )
    chosen = choose_device(device)
    return Judge(record, {
        member: TorchEye([record.folder / part for part in parts], record.tta, chosen)
        for member, parts in record.members.items()
    })  # fmt: skip
