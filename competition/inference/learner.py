"""What a job trains and predicts with: the whole model on pixels, or a frozen one's head on features computed once."""

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from competition.core.paths import cache_folder
from competition.core.seeds import stream
from competition.core.settings import Config
from competition.data.images.joined import JoinedStore
from competition.data.images.stores import DataStore, Store
from competition.data.run_data import RunData
from competition.inference.features import compute_features, features_path, load_features
from competition.inference.predict import Predictor, predict_logits
from competition.models.adapt import adapt
from competition.models.build import Detector, build_model
from competition.models.heads import WithHead
from competition.models.views import View

TRAIN, TEST = 0, 1


@dataclass(frozen=True)
class Learner:
    """``stores``: what ``module`` reads of the train and of the test set, seen as ``predictor`` says.

    A frozen member has a store for each view, and no views beyond: its module is the head alone. ``learnt``: what it
    is trained on, the train set's rows and then any train-only ones (:meth:`RunData.learnt` numbers them).
    """

    module: Detector
    predictor: Predictor
    stores: tuple[Sequence[Store], Sequence[Store]]
    learnt: Store

    def logits(self, side: int, rows: Sequence[int]) -> np.ndarray:
        """Return float64 (views, n) logits of rows of the train (0) or test (1) set."""
        return np.concatenate([predict_logits(self.module, store, rows, self.predictor) for store in self.stores[side]])


def fresh_model(config: Config, data: RunData, member: str, seed: int) -> Detector:
    """Return a member's model before training, with what it trains left trainable; a frozen trunk is the same for every
    fold, as its features must be."""
    recipe = config.members[member]
    torch.manual_seed(stream("weights", stream(config.seed, member) if recipe.frozen else seed))
    model = build_model(recipe, data.channels, data.floating)
    if recipe.frozen:
        torch.manual_seed(stream("head", seed))
        for layer in model.with_head.head:
            if isinstance(layer, nn.Linear | nn.BatchNorm1d):
                layer.reset_parameters()
    return adapt(model, recipe)


def features_paths(config: Config, data: RunData, member: str, weights: str, predictor: Predictor) -> list[Path]:
    """Return where a frozen member's features of the train and of the test set are, or will be, and those of the
    stores of train-only rows.

    ``weights`` is the fingerprint of the pretrained weights, or ``false``.
    """
    origin = weights if weights != "false" else f"random {config.seed} {member}"
    return [
        features_path(cache_folder(config), dataclasses.replace(predictor, tta=tta), origin, store)
        for store, tta, _ in _seen(data, predictor)
    ]


def _seen(data: RunData, predictor: Predictor) -> list[tuple[DataStore, str, str]]:
    """Return each store that a frozen member needs features of, the views of it that it needs, and its name.

    Of train-only rows that is the central view; where they are test rows, theirs are there for all views anyway.
    """
    (train, test), tta = data.of(predictor.recipe), predictor.tta
    added = [(store, tta if store is test else "none", "extra") for store in data.added_of(predictor.recipe)]
    return [(train, tta, "train"), (test, tta, "test"), *added]


def make_learner(
    config: Config, data: RunData, member: str, weights: str, model: Detector, predictor: Predictor
) -> Learner:
    """Return what trains and predicts with ``model``; a frozen one's features are computed where they are missing.

    ``predictor`` is that of the whole model.
    """
    recipe = predictor.recipe
    train_store, test_store = data.of(recipe)
    if not recipe.frozen:
        learnt = _joined([train_store, *data.added_of(recipe)])
        return Learner(model, predictor, ([train_store], [test_store]), learnt)
    paths = features_paths(config, data, member, weights, predictor)
    for path, (store, tta, name) in zip(paths, _seen(data, predictor), strict=True):
        if not path.exists():
            compute_features(path, model, store, dataclasses.replace(predictor, tta=tta), f"{member} {name}")
    train, test, *added = map(load_features, paths)
    learnt = _joined([views[0] for views in (train, *added)])
    return Learner(*on_features(model, predictor), (train, test), learnt)


def on_features(model: Detector, predictor: Predictor) -> tuple[Detector, Predictor]:
    """Return a frozen member's head as a model that reads its features, with the predictor for that.

    It reports no progress: the features took all the time before.
    """
    head = Detector(View(), WithHead(nn.Identity(), model.with_head.head, frozen=False), floating=True)
    recipe = dataclasses.replace(
        predictor.recipe, image_size=1, fit="resize", compile=False, checkpointing=False, frozen=False
    )
    placement = dataclasses.replace(predictor.placement, precision="fp32", memory_format="contiguous")
    return head, Predictor(recipe, placement, workers=predictor.workers)


def _joined(stores: Sequence[DataStore]) -> DataStore:
    return stores[0] if len(stores) == 1 else JoinedStore(stores)
