"""What the benchmarks share: JPEG files to read, the product's training loop over a store, and a bare loop beside it.

Stores, feeds, models, optimizers and the measured loop are the product's own; what is written here is what they are
measured against.
"""

import contextlib
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from competition.core.settings import Recipe
from competition.data.augment import train_transform
from competition.data.device_feed import training_feed
from competition.data.images.cache import open_stores
from competition.data.loader import EpochSampler, TrainSet
from competition.data.run_data import store_spec
from competition.models.adapt import adapt
from competition.models.build import build_model
from competition.models.device import Placement
from competition.training.fit import Task, fit
from competition.training.optim import make_optimizer

DISTINCT = 256  # different pictures among a folder's files: enough that decoding has no favourites
WARM_STEPS = 3


def write_jpegs(folder: Path, count: int, side: int) -> list[str]:
    """Write ``count`` JPEG files of ``side`` x ``side`` pixels and return their paths.

    Soft shapes under a camera's grain compress like photographs. Beyond ``DISTINCT``, files are links to earlier ones.
    """
    folder.mkdir(parents=True)
    rng = np.random.default_rng(0)
    paths = [str(folder / f"{number:06}.jpg") for number in range(count)]
    for number, path in enumerate(paths):
        if number < DISTINCT:
            shapes = cv2.resize(rng.uniform(0, 255, (max(2, side // 16),) * 2 + (3,)), (side, side), interpolation=2)
            picture = np.clip(shapes + rng.normal(0, 5, shapes.shape), 0, 255).astype(np.uint8)
            cv2.imwrite(path, picture, [cv2.IMWRITE_JPEG_QUALITY, 90])
        else:
            os.link(paths[number % DISTINCT], path)
    return paths


def open_store(paths: Sequence[str], recipe: Recipe, folder: Path, budget_gb: float = 100):
    """Return the product's store of the files, as the recipe reads them; ``budget_gb=0``: decoded at every access."""
    spec = store_spec(recipe)
    return open_stores(paths, [spec], folder, budget_gb, "benchmark")[spec]


def fit_rate(recipe: Recipe, placement: Placement, store, workers: int, wish: str = "host") -> float:
    """Return images/s of the product's training loop over the whole store: the median epoch from the second on.

    ``wish``: the setting ``store``.
    """
    torch.manual_seed(0)
    transform = train_transform(recipe.augment, recipe.image_size, recipe.fit)
    order = EpochSampler(range(len(store)), recipe.batch_size * recipe.accumulate, 0)
    with tempfile.TemporaryDirectory() as folder:
        task = Task(
            title="benchmark",
            recipe=recipe,
            placement=placement,
            feed=training_feed(TrainSet(store, transform, 0), order, wish, placement.device, workers),
            label=torch.arange(len(store)).remainder(2).float(),
            class_weight=(1.0, 1.0),
            seed=0,
            folder=Path(folder),
            checkpoint_seconds=1e9,
            validate=lambda model: {},
            on_progress=lambda images, note: None,
        )
        _, history = fit(task, adapt(build_model(recipe, load=False), recipe), "benchmark")
    return statistics.median(line["images_per_second"] for line in history[1:])


def constant_pixels(recipe: Recipe) -> Tensor:
    """Return one batch of noise, (n, 3, size, size) uint8 in the layout in which a feed gives it."""
    rows, size = recipe.batch_size * recipe.accumulate, recipe.image_size
    return torch.randint(0, 256, (rows, size, size, 3), dtype=torch.uint8).movedim(-1, 1)


def bare_step(recipe: Recipe, placement: Placement) -> Callable[[Tensor, Tensor], None]:
    """Return the least that trains the recipe on (pixels, target): no schedule, no checks, no smoothing."""
    torch.manual_seed(0)
    model = placement.place(adapt(build_model(recipe, load=False), recipe)).train()
    optimizer = make_optimizer(model, recipe)
    scaler = torch.amp.GradScaler(placement.device, enabled=placement.precision == "fp16")
    forward = torch.compile(model) if placement.compiled else model

    def step(pixels: Tensor, target: Tensor) -> None:
        with placement.autocast():
            logit = forward(pixels)
        scaler.scale(F.binary_cross_entropy_with_logits(logit, target)).backward()
        if recipe.clip_grad:
            scaler.unscale_(optimizer)
            nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_grad)
        scaler.step(optimizer)
        scaler.update()
        optimizer.zero_grad(set_to_none=True)

    return step


def bare_rate(recipe: Recipe, placement: Placement, steps: int) -> float:
    """Return images/s of ``steps`` bare steps on one batch that stays on the device: training without feeding."""
    step = bare_step(recipe, placement)
    pixels = placement.move(constant_pixels(recipe))
    target = torch.arange(len(pixels), device=placement.device).remainder(2).float()
    for _ in range(WARM_STEPS):
        step(pixels, target)
    wait(placement.device)
    start = time.perf_counter()
    for _ in range(steps):
        step(pixels, target)
    wait(placement.device)
    return steps * len(pixels) / (time.perf_counter() - start)


def wait(device: str) -> None:
    """Return when the device has done all that it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def alternate(sides: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Measure every side once a round, one after the other, so that a slow minute of the machine hits them alike."""
    found: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, side in sides.items():
            found[name].append(side())
    return found


def median_ratio(over: Sequence[float], under: Sequence[float]) -> float:
    """Return the median of the ratios of measurements made in the same round."""
    return statistics.median(a / b for a, b in zip(over, under, strict=True))


@contextlib.contextmanager
def threads(count: int) -> Iterator[None]:
    """Let torch use this many threads meanwhile."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
