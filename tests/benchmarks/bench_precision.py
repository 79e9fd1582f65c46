"""What the probe behind precision=auto and memory_format=auto gains: training images/s of every candidate.

A bare training loop on one constant batch runs each of (fp32 or the device's half precision) x (contiguous,
channels_last) in turn, several rounds; the probe is asked once a round. It chose well if its choice is the fastest or
within `CLOSE` of it. On a CPU with one torch thread. `./run.sh bench precision` takes some three minutes.
"""

import dataclasses
import itertools
import statistics
import time
from collections import Counter

from competition.core.config import load_config
from competition.core.settings import Recipe
from competition.models.build import build_model
from competition.models.device import Placement, choose_device, choose_placement
from tests.benchmarks.workload import bare_rate, constant_pixels, median_ratio, threads

ROUNDS = 3
STEPS = 8
CLOSE = 0.03
FORMATS = ("contiguous", "channels_last")
BASE = ("fp32", "contiguous")


def recipes() -> dict[str, Recipe]:
    """Return what is measured, by name: the demo's two members and a plain ResNet."""
    demo = load_config(["preset=demo"]).members
    resnet = Recipe(backbone="resnet18", image_size=96, batch_size=32)
    return {"demo's convnext, 32 px": demo["convnext"], "demo's swin, 32 px": demo["swin"], "resnet18, 96 px": resnet}


def probe(recipe: Recipe, device: str) -> Placement:
    """Return what the product chooses when it is left to choose."""
    asked = dataclasses.replace(recipe, precision="auto", memory_format="auto")
    return choose_placement(asked, device, lambda: build_model(asked, load=False), constant_pixels(asked))


def measure(name: str, recipe: Recipe, device: str) -> None:
    """Print a recipe's rates and the probe's choices."""
    half = half_precision(recipe, device)
    candidates = list(itertools.product(("fp32", half), FORMATS))
    choices, seconds = Counter(), []
    found: dict[tuple[str, str], list[float]] = {candidate: [] for candidate in candidates}
    for _ in range(ROUNDS):
        for candidate in candidates:
            found[candidate].append(bare_rate(recipe, Placement(device, *candidate, recipe.batch_size), STEPS))
        start = time.perf_counter()
        chosen = probe(recipe, device)
        seconds.append(time.perf_counter() - start)
        choices[chosen.precision, chosen.memory_format] += 1
    print(f"\n{name}, {device}, batch {recipe.batch_size}; the probe takes {statistics.median(seconds):.1f} s")
    ratios = {candidate: median_ratio(rates, found[BASE]) for candidate, rates in found.items()}
    best = max(ratios.values())
    for candidate, rates in found.items():
        mark = ""
        if choices[candidate]:
            behind = 1 - ratios[candidate] / best
            verdict = "well" if behind <= CLOSE else f"BADLY: {behind:.0%} slower than the best"
            mark = f"chosen {choices[candidate]} of {ROUNDS}, {verdict}"
        print(
            f"  {' '.join(candidate):<22}{statistics.median(rates):>9.0f} images/s{ratios[candidate]:>7.2f} x fp32  "
            f"{mark}".rstrip(),
            flush=True,
        )


def half_precision(recipe: Recipe, device: str) -> str:
    """Return the half precision that the product uses on the device."""
    if device == "cpu":
        return "bf16"
    usual = dataclasses.replace(recipe, precision="device", memory_format="device")
    return choose_placement(usual, device, lambda: None, constant_pixels(usual)).precision


def main() -> None:
    """Print every candidate's rate beside what the probe chooses."""
    with threads(1):
        for name, recipe in recipes().items():
            measure(name, recipe, choose_device("auto"))


if __name__ == "__main__":
    main()
