"""How fast a member trains and predicts on this machine, by a few steps of the real loops over a few of its images."""

import dataclasses
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from competition.core.errors import UserError
from competition.core.files import fingerprint, temporary_folder
from competition.core.settings import Config, Recipe
from competition.data.augment import train_transform
from competition.data.images.cache import open_stores
from competition.data.images.stores import ArrayStore, DataStore, StoreSpec
from competition.data.layouts.dataset import Dataset, limit_rows
from competition.data.loader import Batch, EpochSampler, TrainFeed, TrainSet
from competition.data.run_data import RunData, store_spec
from competition.inference.predict import Predictor, predict_logits
from competition.models.build import Detector
from competition.models.device import Placement, choose_placement, in_memory
from competition.training.fit import Task, fit
from competition.training.plan import probe_of
from competition.training.process import feed_workers, prepare_process

SAMPLE = 64  # images that are looked at
CPU_ROWS = 16  # in a pass on a CPU, where more of them take no less time each
STEPS = 3  # that are timed, after as many that are not
HEAD_SECONDS = 2e-4  # of an image in an epoch of a frozen member's head


@dataclass(frozen=True)
class Speed:
    """Seconds that one image takes of a member: ``train`` in a training step with its augmentation, ``predict`` under
    one test-time view, ``decode`` before all that, once for all members, to be read, decoded and stored."""

    train: float
    predict: float
    decode: float = 0.0


def measure_speeds(config: Config, dataset: Dataset, device: str, beside: int) -> dict[str, Speed]:
    """Measure all members' speeds on a few of the training images, with threads and workers as of a job ``beside``
    whom, itself included, so many run on the ``device``."""
    with _sampled(config, dataset) as (data, decode):
        try:
            prepare_process(config, device, beside)
            workers = feed_workers(config, device, beside)
            found = {}
            for name, recipe in config.members.items():
                eager = dataclasses.replace(recipe, compile="false")  # or it would be compiled to see what that gains
                placement = choose_placement(eager, device, *probe_of(data, eager))
                speed = measure_speed(config, data, name, placement, workers)
                found[name] = dataclasses.replace(speed, decode=decode)
            return found
        finally:
            prepare_process(config, device)


@contextmanager
def _sampled(config: Config, dataset: Dataset) -> Iterator[tuple[RunData, float]]:
    """Yield a few of the training images, in one fold, and the seconds that one of them took to be read and stored.

    Their pixels are kept in a folder that goes with the block.
    """
    few = limit_rows(dataset, SAMPLE, config.seed)
    specs = dict.fromkeys(store_spec(recipe, dataset.floating) for recipe in config.members.values())
    with temporary_folder() as folder:
        start = time.perf_counter()
        stores: dict[StoreSpec, DataStore]
        if few.pixels is not None:
            stores = dict.fromkeys(specs, ArrayStore(few.pixels[0], fingerprint(few.pixels[0])))
        else:
            stores = open_stores(list(few.train["path"]), specs, folder, math.inf, "some training images")
        seconds = (time.perf_counter() - start) / len(few.train)
        train = few.train.assign(row=np.arange(len(few.train)), fold=0)
        train = train.drop(index=sorted(next(iter(stores.values())).bad)).reset_index(drop=True)
        if len(train) < 2:
            raise UserError(f"Of {len(few.train)} training images none can be read, so no speed can be measured.")
        pairs = {spec: (store, store) for spec, store in stores.items()}
        yield RunData(train, few.test.iloc[:0], few, [], pairs, (len(dataset.train), len(dataset.test))), seconds


def measure_speed(config: Config, data: RunData, member: str, placement: Placement, workers: int) -> Speed:
    """Measure a member's speed where ``workers`` processes feed it, not compiled, which takes longer than all this."""
    recipe, placement = config.members[member], dataclasses.replace(placement, compiled=False)
    most = CPU_ROWS if placement.device == "cpu" else recipe.batch_size
    recipe = dataclasses.replace(recipe, batch_size=min(most, recipe.batch_size), accumulate=1, epochs=2)
    model = probe_of(data, recipe)[0]()
    store, rows = data.of(recipe)[0], np.resize(data.train["row"], STEPS * recipe.batch_size).tolist()
    train = HEAD_SECONDS
    if not recipe.frozen:
        transform = train_transform(recipe.augment, recipe.image_size, recipe.fit, data.dataset.floating)
        images, order = TrainSet(store, transform, 0), EpochSampler(rows, recipe.batch_size, 0)
        feed = TrainFeed(images, order, 0, placement.device == "cuda")
        start = time.perf_counter()
        batches = list(feed.epoch(0))
        fed = (time.perf_counter() - start) / len(rows)
        step = _step_seconds(recipe, placement, model, batches, len(store))
        train = max(step, fed / workers) if workers else step + fed
    predictor = Predictor(recipe, placement)
    predict_logits(model, store, rows[: recipe.batch_size], predictor)
    start = time.perf_counter()
    predict_logits(model, store, rows, predictor)
    return Speed(train, (time.perf_counter() - start) / len(rows))


def _step_seconds(recipe: Recipe, placement: Placement, model: Detector, batches: list[Batch], rows: int) -> float:
    """Return the seconds an image takes in the training loop, its batches made before; where they do not fit in the
    GPU's memory, in smaller pieces. ``rows``: of the store that the batches are from."""
    task = Task(
        title="a few steps",
        recipe=recipe,
        placement=placement,
        feed=_Again(batches),
        label=torch.arange(rows).remainder(2).float(),
        class_weight=(1.0, 1.0),
        seed=0,
        folder=Path(),
        checkpoint_seconds=float("inf"),
        validate=lambda model: {},
        on_progress=lambda images, note: None,
    )

    def images_per_second(micro_batch: int) -> float:
        place = dataclasses.replace(placement, micro_batch=micro_batch)
        with temporary_folder() as folder:
            _, history = fit(dataclasses.replace(task, placement=place, folder=folder), model, "")
        return float(history[-1]["images_per_second"])

    return 1 / in_memory(placement.micro_batch, images_per_second)


class _Again:
    """A feed of the same batches in every epoch."""

    def __init__(self, batches: list[Batch]):
        self._batches = batches

    def __len__(self) -> int:
        return len(self._batches)

    def epoch(self, number: int) -> Iterator[Batch]:
        return iter(self._batches)
