"""What a large GPU makes of this: training and test-time-augmented images/s of ConvNeXt-T and Swin-T at 224 pixels.

Random weights, the precision and layout that the product chooses. Training through `fit` from a cache of 256-pixel
images, from files decoded in every epoch, and from one batch that stays on the GPU; prediction through
`predict_logits` beside a bare forward pass; eager and compiled. A ratio near 1 to what is not fed says that the GPU is
the limit. Between them, of the first network: each augmentation, fp16 (what a T4 trains in), a low-rank addition beside
full training, and the features of a frozen ViT-L; at the end a whole small run by the command line.
`./run.sh bench gpu` was made to take less than ten minutes on an H200 with 16 cores; without a GPU it says so.
"""

import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch

from competition.core.config import load_config
from competition.core.settings import Recipe
from competition.data.images.stores import DecodingStore, PixelStore
from competition.data.tta import TTA
from competition.inference.predict import Predictor, predict_logits
from competition.models.build import build_model
from competition.models.device import Placement, choose_placement
from competition.training.process import prepare_process
from tests.benchmarks.workload import WARM_STEPS, bare_rate, constant_pixels, fit_rate, open_store, wait, write_jpegs

PATIENCE = 400.0  # seconds, after which nothing that must be compiled is begun
FED = 0.95  # of the rate without feeding: above it, the GPU is the limit

# Images/s at 224 pixels on an H200 (790 TFLOP/s of bf16 and 4.3 TB/s, measured). Compute: at 2 x 4.5 GFLOP a forward
# pass, three times that a training step; ConvNeXt-T and Swin-T are alike. Memory: the traffic of the compiled ConvNeXt.
COMPUTE_ROOF = {"inference": 88_000, "training": 29_000}
MEMORY_CEILING = {"inference": 32_000, "training": 10_800}
BACKBONES = ("convnext_tiny", "swin_tiny_patch4_window7_224")
AUGMENTATIONS = ("none", "flips", "forensic", "web")
CEILING_OF = "convnext_tiny"  # the memory ceilings above are this network's


@dataclass(frozen=True)
class Scale:
    """How much of everything is measured; the defaults are the benchmark's."""

    size: int = 224
    side: int = 256  # of the image files
    batch: int = 256
    test_batch: int = 512
    images: int = 16_384
    decoded: int = 8_192  # of these, decoded in every epoch
    epochs: int = 4
    bare_steps: int = 40
    workers: int = 8
    frozen: str = "vit_large_patch16_224"
    run: tuple[str, ...] = ("preset=demo", "fold=0..4")


@dataclass(frozen=True)
class Bench:
    """Stores, scale and the moment of the start: what every measurement needs. ``resized``: the images of ``cached`` as
    the network takes them."""

    device: str
    scale: Scale
    cached: PixelStore
    resized: PixelStore
    decoding: DecodingStore
    start: float

    def say(self, text: str) -> None:
        """Print a line with the time it is."""
        print(f"[{time.perf_counter() - self.start:4.0f} s] {text}", flush=True)

    def report(self, recipe: Recipe, what: str, kind: str, rate: float, unfed: float | None = None) -> None:
        """Print a rate beside the roofs of its kind and, if given, beside what the device does unfed."""
        roof = f"{rate / COMPUTE_ROOF[kind]:.1%} of the compute roof"
        if recipe.backbone == CEILING_OF:
            roof += f", {rate / MEMORY_CEILING[kind]:.1%} of the memory ceiling"
        if unfed is not None:
            roof += f"; {rate / unfed:.2f} of unfed: {'the device' if rate >= FED * unfed else 'feeding'} limits"
        self.say(f"  {what:<38}{rate:>8,.0f} /s  {roof}")


def training(bench: Bench, recipe: Recipe, placement: Placement) -> None:
    """Print the training rates of a recipe."""
    bare = bare_rate(recipe, placement, bench.scale.bare_steps)
    bench.report(recipe, "training, images, one batch, unfed", "training", bare)
    rate = fit_rate(recipe, placement, bench.cached, bench.scale.workers)
    bench.report(recipe, "training, images, cache", "training", rate, bare)
    if not placement.compiled:
        short = dataclasses.replace(recipe, epochs=2)
        rate = fit_rate(short, placement, bench.decoding, bench.scale.workers)
        bench.report(recipe, "training, images, decoding each", "training", rate, bare)


def prediction(bench: Bench, recipe: Recipe, placement: Placement) -> None:
    """Print the rates of test-time augmentation, in views and in images of four views.

    There is no set of four views: their time is read off the line between those of two (flip) and of eight (d4).
    """
    recipe = dataclasses.replace(recipe, batch_size=bench.scale.test_batch)
    placement = dataclasses.replace(placement, micro_batch=recipe.batch_size)
    model = placement.place(build_model(recipe, load=False)).eval()
    bare = forward_rate(model, recipe, placement, bench.scale.bare_steps)
    bench.report(recipe, "prediction, views, one batch, unfed", "inference", bare)
    rows = range(len(bench.cached) // recipe.batch_size * recipe.batch_size)
    seconds = {}
    for tta in ("flip", "d4"):

        def predict(some, tta=tta):
            return predict_logits(model, bench.cached, some, Predictor(recipe, placement, tta, bench.scale.workers))

        predict(rows[: recipe.batch_size])  # warms up, and compiles where the views' layouts differ
        seconds[len(TTA[tta])] = timed(lambda predict=predict: predict(rows), bench.device)
        views = len(rows) * len(TTA[tta]) / seconds[len(TTA[tta])]
        bench.report(recipe, f"prediction, views, tta={tta}", "inference", views, bare)
    two, eight = seconds[2], seconds[8]
    bench.say(f"  {'prediction, images of 4 views':<38}{len(rows) / (two + (eight - two) / 3):>8,.0f} /s")


def augmentations(bench: Bench, recipe: Recipe, placement: Placement) -> None:
    """Print how much of the unfed rate is left when images are augmented in each way."""
    bare = bare_rate(recipe, placement, bench.scale.bare_steps)
    for name in AUGMENTATIONS:
        one = dataclasses.replace(recipe, augment=name, epochs=2)
        rate = fit_rate(one, placement, bench.cached, bench.scale.workers)
        bench.report(recipe, f"training, images, augment={name}", "training", rate, bare)
    for wish in ("host", "device"):
        one = dataclasses.replace(recipe, fit="resize", epochs=2)
        rate = fit_rate(one, placement, bench.resized, bench.scale.workers, wish)
        bench.report(recipe, f"training, images, store={wish}", "training", rate, bare)


def other_ways(bench: Bench, recipe: Recipe, placement: Placement) -> None:
    """Print the unfed rates of full training, in fp16, with low-rank additions, and of a large network's features."""
    steps = bench.scale.bare_steps
    half = dataclasses.replace(placement, precision="fp16" if bench.device == "cuda" else placement.precision)
    ways = {
        "full": (recipe, placement),
        half.precision: (recipe, half),
        "adapt=lora": (dataclasses.replace(recipe, adapt="lora"), placement),
    }
    for title, (one, place) in ways.items():
        bench.report(recipe, f"training, one batch, {title}", "training", bare_rate(one, place, steps))
    frozen = dataclasses.replace(recipe, backbone=bench.scale.frozen, batch_size=bench.scale.test_batch)
    model = placement.place(build_model(frozen, load=False)).eval()
    bench.say(f"  {'features of ' + frozen.backbone:<38}{forward_rate(model, frozen, placement, steps):>8,.0f} /s")


def whole_run(bench: Bench, words: tuple[str, ...]) -> None:
    """Print how long the command line takes for a whole run, from nothing to its submission."""
    with tempfile.TemporaryDirectory() as home:
        start = time.perf_counter()
        line = [sys.executable, "-m", "competition", *words, f"device={bench.device}", "report=false"]
        subprocess.run(line, env={**os.environ, "TELLTALE_HOME": home}, stdout=subprocess.DEVNULL, check=True)
        bench.say(f"  a whole run ({' '.join(words)}): {time.perf_counter() - start:.0f} s")


@torch.inference_mode()
def forward_rate(model: torch.nn.Module, recipe: Recipe, placement: Placement, steps: int) -> float:
    """Return images/s of forward passes over one batch that stays on the device."""
    forward = torch.compile(model) if placement.compiled else model
    pixels = placement.move(constant_pixels(recipe))

    def passes(count: int) -> None:
        for _ in range(count):
            with placement.autocast():
                forward(pixels)

    passes(WARM_STEPS)
    wait(placement.device)
    return steps * len(pixels) / timed(lambda: passes(steps), placement.device)


def timed(work: Callable[[], object], device: str) -> float:
    """Return the seconds until the device has done the work."""
    start = time.perf_counter()
    work()
    wait(device)
    return time.perf_counter() - start


def measure(device: str, scale: Scale = Scale(), backbones: tuple[str, ...] = BACKBONES) -> None:
    """Print all rates: first every eager one, then the compiled ones as far as the time goes."""
    start = time.perf_counter()
    prepare_process(load_config([]), device, 1)
    recipes = [
        Recipe(
            backbone=backbone,
            image_size=scale.size,
            fit="crop",
            augment="flips",
            epochs=scale.epochs,
            batch_size=scale.batch,
            memory_format="auto",
        )
        for backbone in backbones
    ]
    with tempfile.TemporaryDirectory() as folder:
        paths = write_jpegs(Path(folder) / "images", scale.images, scale.side)
        cached = open_store(paths, recipes[0], Path(folder) / "cache")
        decoding = open_store(paths[: scale.decoded], recipes[0], Path(folder) / "none", budget_gb=0)
        resized = open_store(paths, dataclasses.replace(recipes[0], fit="resize"), Path(folder) / "cache")
        bench = Bench(device, scale, cached, resized, decoding, start)
        bench.say(f"{scale.images:,} images of {scale.side} pixels are cached")
        for compiled in (False, True):
            word = str(compiled).lower()
            for number, recipe in enumerate(dataclasses.replace(recipe, compile=word) for recipe in recipes):
                if compiled and time.perf_counter() - start > PATIENCE:
                    bench.say(f"{recipe.backbone}, compiled: left out, for want of time")
                    continue
                torch.compiler.reset()  # compiled code of other networks counts against this one's limit
                placement = choose_placement(
                    recipe, device, partial(build_model, recipe, load=False), constant_pixels(recipe)
                )
                bench.say(
                    f"{recipe.backbone}, {'compiled' if compiled else 'eager'}, {placement.precision}, "
                    f"{placement.memory_format}, batch {scale.batch}, {scale.workers} workers"
                )
                training(bench, recipe, placement)
                prediction(bench, recipe, placement)
                if not compiled and not number:
                    augmentations(bench, recipe, placement)
                    other_ways(bench, recipe, placement)
        whole_run(bench, scale.run)


def main(device: str = "cuda") -> None:
    """Print all rates on a GPU."""
    if device == "cuda" and not torch.cuda.is_available():
        print("There is no GPU here: this benchmark measures one.")
        return
    if device == "cuda":
        print(f"{torch.cuda.get_device_name()}; the roofs are an H200's", flush=True)
    measure(device)


if __name__ == "__main__":
    main()
