"""How a run's costs grow with its images: seconds and peak memory of each stage, and the exponent of their growth.

For each size a data set of 32 x 32 JPEGs, all different, with a test set of a tenth of it, goes through the main job
(one tiny network, two folds, one epoch) and the full audit, each in a process of its own; the product's own functions
are timed. A stage's memory is the most anonymous memory (RssAnon: not the page cache) that the process held meanwhile
beyond what it held before, looked at every 20 ms. `./run.sh bench scale` measures 1,000, 10,000 and 100,000 images in
some minutes on two cores; `images=1000000` adds a million, which takes some 12 GB of disk, and most of an hour.
"""

import functools
import importlib
import json
import math
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from tqdm import tqdm

from tests.running import ROOT

SIZES = (1_000, 10_000, 100_000, 1_000_000)
SIDE = 32
# What is timed: the stage's name, and the function as the module that calls it knows it.
STAGES = (
    ("tables", "competition.commands.run", "read_tables"),
    ("cache", "competition.data.assemble", "_open_stores"),
    ("folds", "competition.data.assemble", "_open_folds"),
    ("quick audit", "competition.commands.run", "quick_audit"),
    ("training", "competition.training.job", "_train"),
    ("predictions", "competition.training.job", "predict_job"),
    ("joins and scores", "competition.commands.run", "score_run"),
    ("report and submission", "competition.commands.run", "finish_run"),
    ("full audit", "competition.commands.audit", "audit"),
)
RECIPE = (
    "preset=small",
    "members=null",
    "name=scale",
    "store_size=32",
    "folds=2",
    "epochs=1",
    "batch_size=256",
    "image_size=32",
    "fit=resize",
    "augment=flips",
    "jobs=1",
    "device=cpu",
    "backbone=resnet18",
    "backbone_args={layers: [1, 1, 1, 1], channels: [4, 8, 8, 8]}",
    "threshold=argmax",
    "blend=equal",
)
INTERVAL = 0.02  # seconds between two looks at the memory
MIN_SECONDS = 0.5  # below which growth tells nothing
MAX_EXPONENT = 1.15
TABLES, TABLES_SECONDS, TABLES_GB = ("tables", "folds", "joins and scores", "report and submission"), 180, 4.0
AUDIT_SECONDS = 600


def write_images(folder: Path, count: int) -> None:
    """Write a data set of ``count`` training images in Kaggle's layout, and a tenth as many test images."""
    rng = np.random.default_rng(0)
    for side, rows in (("train", count), ("test", count // 10)):
        (folder / side).mkdir(parents=True)
        names = [f"{side}/{number:07}.jpg" for number in range(rows)]
        for name in tqdm(names, desc=f"{rows:,} {side} images", disable=None):
            small = rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)
            picture = cv2.resize(small, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC)
            (folder / name).write_bytes(cv2.imencode(".jpg", picture)[1].tobytes())
        header, tail = (
            ("file_name,label\n", [f",{number % 2}\n" for number in range(rows)])
            if side == "train"
            else (
                "id\n",
                ["\n"] * rows,
            )
        )
        lines = [name + end for name, end in zip(names, tail, strict=True)]
        (folder / f"{side}.csv").write_text(header + "".join(lines))


def timed(words: Sequence[str]) -> dict[str, tuple[float, float]]:
    """Run the command line here; return for each stage that it went through its seconds and its bytes."""
    from competition.__main__ import main

    found: dict[str, tuple[float, float]] = {}
    for stage, module, name in STAGES:
        owner = importlib.import_module(module)
        setattr(owner, name, _watched(getattr(owner, name), functools.partial(_note, found, stage)))
    if main(list(words)):
        raise RuntimeError(f"the run of {' '.join(words)} failed")
    return found


def _note(found: dict[str, tuple[float, float]], stage: str, seconds: float, held: float) -> None:
    before = found.get(stage, (0.0, 0.0))
    found[stage] = before[0] + seconds, max(before[1], held)


def _watched(function: Callable[..., Any], note: Callable[[float, float], None]) -> Callable[..., Any]:
    @functools.wraps(function)
    def watched(*values: Any, **named: Any) -> Any:
        before, start, peak, ended = _held(), time.perf_counter(), [0.0], threading.Event()

        def look() -> None:
            while not ended.wait(INTERVAL):
                peak[0] = max(peak[0], _held())

        watcher = threading.Thread(target=look)
        watcher.start()
        try:
            result = function(*values, **named)
        finally:
            ended.set()
            watcher.join()
        note(time.perf_counter() - start, max(0.0, peak[0] - before))
        return result

    return watched


def _held() -> float:
    """Return this process's anonymous memory, in bytes."""
    return 1024.0 * int(Path("/proc/self/status").read_text().partition("RssAnon:")[2].split()[0])


def measure(size: int, folder: Path) -> dict[str, tuple[float, float]]:
    """Return each stage's seconds and bytes for a data set of this size."""
    write_images(folder / "data", size)
    found = {}
    for command in ([], ["audit"]):
        words = [*command, f"data={folder / 'data'}", *RECIPE]
        line = [sys.executable, "-m", "tests.benchmarks.bench_scale", *words]
        env = {**os.environ, "TELLTALE_HOME": str(folder / "home"), "PYTHONPATH": str(ROOT)}
        done = subprocess.run(line, env=env, cwd=folder, stdout=subprocess.PIPE, text=True, check=True)
        found |= json.loads(done.stdout.splitlines()[-1])
    return found


def main(images: int = 100_000) -> bool:
    """Print the table and return whether nothing grows faster than is promised."""
    sizes, found = [size for size in SIZES if size <= images], []
    for size in sizes:
        with tempfile.TemporaryDirectory(prefix="scale-") as folder:
            found.append(measure(size, Path(folder)))
        print(f"{size:>9,}  " + ", ".join(f"{stage} {one[0]:.1f} s" for stage, one in found[-1].items()), flush=True)
    print(f"\n{'stage':<22}" + "".join(f"{size:>20,}" for size in sizes) + f"{'exponent':>10}")
    kept = True
    for stage, _, _ in STAGES:
        cells = "".join(f"{one[stage][0]:>11.1f} s {one[stage][1] / 1e9:>4.1f} GB" for one in found)
        last = [one[stage][0] for one in found[-2:]]
        tells = len(last) == 2 and last[0] >= MIN_SECONDS
        exponent = math.log(last[1] / last[0]) / math.log(sizes[-1] / sizes[-2]) if tells else math.nan
        kept &= not exponent > MAX_EXPONENT
        print(f"{stage:<22}{cells}{exponent:>10.2f}" if tells else f"{stage:<22}{cells}{'-':>10}")
    tables = [found[-1][stage] for stage in TABLES]
    seconds, held = sum(one[0] for one in tables), max(one[1] for one in tables) / 1e9
    print(f"{' + '.join(TABLES)}: {seconds:.0f} s, {held:.1f} GB; full audit {found[-1]['full audit'][0]:.0f} s")
    within = seconds <= TABLES_SECONDS and held <= TABLES_GB and found[-1]["full audit"][0] <= AUDIT_SECONDS
    return kept and within


if __name__ == "__main__":
    print(json.dumps(timed(sys.argv[1:])))
