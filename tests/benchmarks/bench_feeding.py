"""How much of its speed training keeps when it must be fed: the product's loop over a cache against one constant batch.

The product's `fit` reads real JPEG files from its pixel cache and augments them; the bare loop trains the same model
with the same optimizer on one batch in memory; the usual loop decodes every file in every epoch, in a plain DataLoader
with the same augmentation. One torch thread, on the CPU; epochs count from the second on; the sides take turns, and
ratios are medians of ratios within a round. `./run.sh bench feeding` takes about ten minutes on two idle cores.
"""

import dataclasses
import random
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import torch
from torch.utils.data import DataLoader, Dataset

from competition.core.config import load_config
from competition.core.settings import Recipe
from competition.data.augment import TrainTransform, train_transform
from competition.data.demo.draw import DemoPlan, draw_demo
from competition.models.device import Placement
from tests.benchmarks.workload import (
    alternate,
    bare_rate,
    bare_step,
    fit_rate,
    median_ratio,
    open_store,
    threads,
    write_jpegs,
)

TARGET = 0.95  # of the bare loop, where augmentation is none or flips, or images have 96 pixels or more
ROUNDS = 3
EPOCHS = 3
WORKERS = (0, 1)
DEMO_SCENES = 384  # two images each, 64 pixels
LARGE_IMAGES, LARGE_SIDE = 128, 256


@dataclass(frozen=True)
class Case:
    """What is trained on which files."""

    recipe: Recipe
    paths: Sequence[str]

    @property
    def placement(self) -> Placement:
        """In fp32 on the CPU, in the layout that the recipe names."""
        return Placement("cpu", "fp32", self.recipe.memory_format, self.recipe.batch_size)

    @property
    def has_target(self) -> bool:
        """Whether feeding must not be felt: elsewhere augmentation costs a good part of such a small network's time."""
        return self.recipe.augment in ("none", "flips") or self.recipe.image_size >= 96


class DecodedEachTime(Dataset):
    """The usual data set: every access reads and decodes its file."""

    def __init__(self, paths: Sequence[str], transform: TrainTransform):
        self.paths, self.transform = paths, transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, row: int) -> tuple[torch.Tensor, float]:
        image = cv2.cvtColor(cv2.imread(self.paths[row]), cv2.COLOR_BGR2RGB)
        variant = self.transform(image, (random.getrandbits(32), row))
        return torch.from_numpy(variant).movedim(-1, 0).contiguous(), float(row % 2)


def usual_rate(case: Case, workers: int) -> float:
    """Return images/s of the usual loop: the median epoch from the second on."""
    recipe = case.recipe
    transform = train_transform(recipe.augment, recipe.image_size, recipe.fit)
    loader = DataLoader(
        DecodedEachTime(case.paths, transform),
        recipe.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )
    step, rates = bare_step(recipe, case.placement), []
    for _ in range(EPOCHS):
        start = time.perf_counter()
        for pixels, target in loader:
            step(case.placement.move(pixels), target.float())
        rates.append(len(loader) * recipe.batch_size / (time.perf_counter() - start))
    return statistics.median(rates[1:])


def augment_seconds(case: Case, store) -> float:
    """Return the seconds that one image's augmentation takes, the median of a few passes."""
    transform = train_transform(case.recipe.augment, case.recipe.image_size, case.recipe.fit)
    times = []
    for epoch in range(4):
        start = time.perf_counter()
        for row in range(len(store)):
            transform(store[row], (0, epoch, row))
        times.append((time.perf_counter() - start) / len(store))
    return statistics.median(times)


def measure(case: Case, store, workers: int) -> None:
    """Print the line of one case."""
    recipe = case.recipe
    steps = (EPOCHS - 1) * (len(store) // recipe.batch_size)
    found = alternate(
        {
            "bare": lambda: bare_rate(recipe, case.placement, steps),
            "product": lambda: fit_rate(recipe, case.placement, store, workers),
            "usual": lambda: usual_rate(case, workers),
        },
        ROUNDS,
    )
    bare, product, usual = (statistics.median(rates) for rates in found.values())
    ratio = median_ratio(found["product"], found["bare"])
    share = f"{augment_seconds(case, store) * product:.1%}" if not workers else "beside"
    verdict = ("met" if ratio >= TARGET else "MISSED") if case.has_target else "none set"
    print(
        f"{recipe.backbone:<15}{recipe.image_size:>5}  {recipe.augment:<9}{workers:>7}{bare:>9.0f}{product:>9.0f}"
        f"{ratio:>8.3f}  {verdict:<9}{share:>8}{usual:>9.0f}{median_ratio(found['product'], found['usual']):>8.2f}",
        flush=True,
    )


def cases(folder: Path) -> list[Case]:
    """Draw the files and return what to measure: the demo's ConvNeXt as its preset has it, and a plain ResNet."""
    draw_demo(folder / "demo", DemoPlan(scenes=(DEMO_SCENES, 1)))
    small = sorted(str(path) for path in (folder / "demo" / "train_data").iterdir())
    large = write_jpegs(folder / "large", LARGE_IMAGES, LARGE_SIDE)
    convnext = load_config(["preset=demo"]).members["convnext"]
    resnet = Recipe(backbone="resnet18", image_size=96, batch_size=32, memory_format="contiguous")
    return [
        Case(dataclasses.replace(recipe, augment=augment, epochs=EPOCHS), paths)
        for recipe, paths in ((convnext, small), (resnet, large))
        for augment in ("none", "flips", "classic", "forensic", "web")
    ]


def main() -> None:
    """Print a line for every model, augmentation and number of workers."""
    print(
        f"{'backbone':<15}{'px':>5}  {'augment':<9}{'workers':>7}{'bare/s':>9}{'fit/s':>9}{'ratio':>8}  "
        f"{f'>= {TARGET}':<9}{'augment':>8}{'usual/s':>9}{'gain':>8}",
        flush=True,
    )
    with tempfile.TemporaryDirectory() as folder, threads(1):
        for case in cases(Path(folder)):
            store = open_store(case.paths, case.recipe, Path(folder) / "cache")
            for workers in WORKERS:
                measure(case, store, workers)


if __name__ == "__main__":
    main()
