"""What a job trains and predicts with: the whole model on pixels, or a frozen one's head on features computed once."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from competition.config import Config, Recipe
from competition.data.assemble import RunData, cache_folder
from competition.data.loader import stream
from competition.inference.features import open_features
from competition.inference.predict import predict_logits
from competition.models.heads import WithHead
from competition.models.zoo import Detector, build_model
from competition.training.placement import Placement

TRAIN, TEST = 0, 1


@dataclass(frozen=True)
class Learner:
    """``stores``: what ``module`` reads of the train and of the test set, seen through the ``tta`` views.

    A frozen member has a store for each view, and no views beyond: its module is the head alone.
    """

    module: Detector
    recipe: Recipe
    placement: Placement
    stores: tuple[Sequence, Sequence]
    tta: str

    def logits(self, side: int, rows: Sequence[int], workers: int, progress: Callable[[int], None]) -> np.ndarray:
        """Return float64 (views, n) logits of rows of the train (0) or test (1) set."""
        return np.concatenate([
            predict_logits(self.module, store, rows, self.recipe, self.placement, self.tta, workers, progress)
            for store in self.stores[side]
        ])  # fmt: skip


def fresh_model(config: Config, data: RunData, member: str, seed: int) -> Detector:
    """Return a member's model before training; a frozen one is the same for every fold, as its features must be."""
    recipe = config.members[member]
    torch.manual_seed(stream("weights", stream(config.seed, member) if recipe.frozen else seed))
    return build_model(recipe, data.channels, data.floating)


def make_learner(config: Config, data: RunData, member: str, placement: Placement, weights: str, model: Detector,
                 workers: int) -> Learner:  # fmt: skip
    """Return what trains and predicts with ``model``, computing a frozen one's features where they are not there yet.

    ``weights`` is the fingerprint of the pretrained weights, or ``false``.
    """
    recipe = config.members[member]
    stores = data.of(recipe)
    if not recipe.frozen:
        return Learner(model, recipe, placement, tuple([store] for store in stores), config.tta)
    origin = weights if weights != "false" else f"random {config.seed} {member}"
    features = tuple(
        open_features(cache_folder(config), recipe, origin, placement, config.tta, store, lambda: model, workers,
                      f"{member} {side}")
        for side, store in zip(("train", "test"), stores, strict=True)
    )  # fmt: skip
    head = Detector(nn.Identity(), WithHead(nn.Identity(), model.backbone.head, frozen=False), floating=True)
    seen = dataclasses.replace(recipe, image_size=1, fit="resize", compile=False, checkpointing=False, frozen=False)
    exact = dataclasses.replace(placement, precision="fp32", memory_format="contiguous")
    return Learner(head, seen, exact, features, "none")
