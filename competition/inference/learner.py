"""What a job trains and predicts with: the whole model on pixels, or a frozen one's head on features computed once."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from competition.core.paths import cache_folder
from competition.core.seeds import stream
from competition.core.settings import Config
from competition.data.augment import train_transform
from competition.data.images.joined import JoinedStore
from competition.data.images.stores import DataStore, Store
from competition.data.loader import FeatureSet, TrainSet
from competition.data.run_data import RunData
from competition.inference.features import (
    FeaturePass,
    Variant,
    compute_features,
    features_path,
    load_features,
    weights_origin,
)
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
    ``variants``: the same rows augmented, which a frozen member's head learns from as well.
    """

    module: Detector
    predictor: Predictor
    stores: tuple[Sequence[Store], Sequence[Store]]
    learnt: Store
    variants: Sequence[Store] = ()

    def training_set(self, seed: int, floating: bool, alike: Mapping[int, int]) -> TrainSet | FeatureSet:
        """Return what is fed in training, as ``seed``, epoch and row draw it; see :class:`TrainSet` for ``alike``."""
        if self.variants:
            return FeatureSet([self.learnt, *self.variants], seed)
        recipe = self.predictor.recipe
        transform = train_transform(recipe.augment, recipe.image_size, recipe.fit, floating)
        return TrainSet(self.learnt, transform, seed, alike)

    def logits(self, side: int, rows: Sequence[int]) -> np.ndarray:
        """Return float64 (views, n) logits of rows of the train (0) or test (1) set."""
        return np.concatenate([predict_logits(self.module, store, rows, self.predictor) for store in self.stores[side]])


def fresh_model(config: Config, data: RunData, member: str, seed: int) -> Detector:
    """Return a member's model before training, with what it trains left trainable; a frozen trunk is the same for every
    fold, as its features must be."""
    recipe = config.members[member]
    torch.manual_seed(stream("weights", stream(config.seed, member) if recipe.frozen else seed))
    model = build_model(recipe, data.dataset.channels, data.dataset.floating)
    if recipe.frozen:
        torch.manual_seed(stream("head", seed))
        for layer in model.with_head.head:
            if isinstance(layer, nn.Linear | nn.BatchNorm1d):
                layer.reset_parameters()
    return adapt(model, recipe)


def feature_passes(
    config: Config, data: RunData, member: str, weights: str, predictor: Predictor
) -> tuple[list[FeaturePass], list[list[FeaturePass]]]:
    """Return the passes that a frozen member needs: over the images as they are, and for each variant over those that
    it learns from.

    The first are of the train set, the test set and the stores of train-only rows, of which the central view is
    enough; where these are test rows, theirs are there for all views anyway. A variant's are of the train set and of
    train-only rows. ``weights`` is the fingerprint of the pretrained weights, or ``false``.
    """
    (train, test), tta = data.of(predictor.recipe), predictor.tta
    origin = weights_origin(weights, config.seed, member)

    def of(store: DataStore, tta: str, name: str, variant: Variant | None = None) -> FeaturePass:
        under = dataclasses.replace(predictor, tta=tta)
        return FeaturePass(
            features_path(cache_folder(config), under, origin, store, variant), store, under, name, variant
        )

    added = data.added_of(predictor.recipe)
    clean = [of(train, tta, "train"), of(test, tta, "test")]
    clean += [of(store, tta if store is test else "none", "extra") for store in added]
    numbers = range(1, predictor.recipe.variants + 1)
    variants = [
        [
            of(store, "none", f"{name} variant {number} of {len(numbers)}", Variant(config.seed, number))
            for store, name in [(train, "train"), *((store, "extra") for store in added)]
        ]
        for number in numbers
    ]
    return clean, variants


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
    clean, augmented = feature_passes(config, data, member, weights, predictor)
    compute_features([*clean, *itertools.chain.from_iterable(augmented)], model, member)
    train, test, *added = (load_features(one.path) for one in clean)
    learnt = _joined([views[0] for views in (train, *added)])
    variants = [_joined([load_features(one.path)[0] for one in passes]) for passes in augmented]
    return Learner(*on_features(model, predictor), (train, test), learnt, variants)


def on_features(model: Detector, predictor: Predictor) -> tuple[Detector, Predictor]:
    """Return a frozen member's head as a model that reads its features, with the predictor for that.

    It reports no progress: the features took all the time before.
    """
    head = Detector(View(), WithHead(nn.Identity(), model.with_head.head, frozen=False), floating=True)
    recipe = dataclasses.replace(
        predictor.recipe,
        image_size=1,
        fit="resize",
        augment="none",
        variants=0,
        checkpointing=False,
        frozen=False,
    )
    placement = dataclasses.replace(predictor.placement, precision="fp32", memory_format="contiguous", compiled=False)
    return head, Predictor(recipe, placement, workers=predictor.workers)


def _joined(stores: Sequence[DataStore]) -> DataStore:
    return stores[0] if len(stores) == 1 else JoinedStore(stores)
