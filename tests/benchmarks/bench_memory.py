"""How much memory training takes, and that it does not grow with the number of images.

A cache of 20,000 images of 256 x 256 (3.9 GB on disk) is built and a tiny network trained over 64, 2,000 and all of
them, with two feeding processes, each in a fresh process. Every 0.2 s the RssAnon of the process and all its
descendants is added up: resident memory that is not page cache, shared pages counted in each. `./run.sh bench memory`
takes about three minutes, reads /proc (Linux) and needs 6 GB of disk.
"""

import dataclasses
import multiprocessing
import shutil
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import torch

from competition.core.errors import UserError
from competition.core.settings import Recipe
from competition.inference.predict import Predictor, predict_logits
from competition.models.build import build_model
from competition.models.device import Placement
from tests.benchmarks.workload import fit_rate, open_store, write_jpegs

IMAGES, SIDE = 20_000, 256
COUNTS = (64, 2_000, IMAGES)  # the first: what the model and the libraries take
NEEDED_GB = 6.0
LIMIT = 2 * 2**30  # bytes beyond the model's own
GROWTH = 64 * 2**20  # bytes: what is not called growth, between 2,000 and 20,000 images
INTERVAL = 0.2  # seconds
WORKERS = 2
RECIPE = Recipe(backbone="resnet18", backbone_args={"channels": [8, 8, 8, 8]}, image_size=64, store_size=SIDE)


class Part:
    """The first rows of a store."""

    def __init__(self, store, count: int):
        self.store, self.count = store, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, row: int):
        return self.store[row]


def build(paths: list[str], folder: Path) -> None:
    """Decode the files into the cache."""
    open_store(paths, RECIPE, folder)


def train(paths: list[str], folder: Path, count: int) -> None:
    """Train over the first ``count`` images, then predict them; few images are seen often, so that all runs settle."""
    torch.set_num_threads(1)
    part = Part(open_store(paths, RECIPE, folder), count)
    epochs = max(1, COUNTS[1] // count) + 1  # the first is not timed
    recipe = dataclasses.replace(RECIPE, epochs=epochs)
    placement = Placement("cpu", "fp32", "contiguous", recipe.batch_size)
    fit_rate(recipe, placement, part, WORKERS)
    predict_logits(build_model(recipe, load=False), part, range(count), Predictor(recipe, placement, "flip", WORKERS))


def peak_memory(target: Callable, *args: object) -> int:
    """Run ``target`` in a fresh process and return the most anonymous memory that it and its children held, bytes."""
    process = multiprocessing.get_context("spawn").Process(target=target, args=args)
    process.start()
    peak = 0
    while process.is_alive():
        peak = max(peak, sum(map(anonymous_bytes, family(process.pid))))
        time.sleep(INTERVAL)
    process.join()
    if process.exitcode:
        raise UserError(f"The measured process ended with exit status {process.exitcode}: see what it printed above.")
    return peak


def family(pid: int) -> list[int]:
    """Return ``pid`` and all processes that descend from it."""
    children = defaultdict(list)
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
        except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
            continue
        children[parent].append(int(path.parent.name))
    found = [pid]
    for one in found:
        found += children[one]
    return found


def anonymous_bytes(pid: int) -> int:
    """Return the resident memory of a process that no file backs; 0 once it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon:"))


def main() -> None:
    """Print the peaks, and whether the promise holds."""
    if not Path("/proc/self/status").exists():
        print("This benchmark reads /proc, which this system lacks.")
        return
    free = shutil.disk_usage(tempfile.gettempdir()).free / 1e9
    if free < NEEDED_GB:
        raise UserError(
            f"This benchmark needs {NEEDED_GB:.0f} GB in {tempfile.gettempdir()}, where {free:.1f} GB are free: make "
            "room, or set TMPDIR to another disk."
        )
    with tempfile.TemporaryDirectory() as folder:
        paths = write_jpegs(Path(folder) / "images", IMAGES, SIDE)
        cache = Path(folder) / "cache"
        print(f"building the cache of {IMAGES:,} images: peak {_mib(peak_memory(build, paths, cache))}", flush=True)
        size = sum(path.stat().st_size for path in cache.rglob("*") if path.is_file())
        print(f"the cache takes {size / 1e9:.2f} GB on disk", flush=True)
        peaks = {}
        for count in COUNTS:
            start = time.perf_counter()
            peaks[count] = peak_memory(train, paths, cache, count)
            took = time.perf_counter() - start
            print(
                f"training and predicting {count:>6,} images, {WORKERS} workers: peak {_mib(peaks[count])}, "
                f"{took:.0f} s",
                flush=True,
            )
    own, few, all_of_them = peaks.values()
    beyond, growth = all_of_them - own, all_of_them - few
    print(
        f"beyond the model's own (64 images): {_mib(beyond)}, {'within' if beyond <= LIMIT else 'OVER'} the limit of "
        f"{_mib(LIMIT)}"
    )
    print(f"from {COUNTS[1]:,} to {IMAGES:,} images: {_mib(growth)}, {'no growth' if growth <= GROWTH else 'GROWTH'}")


def _mib(size: int) -> str:
    return f"{size / 2**20:,.0f} MiB"


if __name__ == "__main__":
    main()
