"""One picture in the hand and a thousand in a folder: what `predict` takes, beside what the models alone take.

The first verdict of a finished run, `name`, is timed from the command line to its end, by both engines in turn; without
one, and for the folder, a run of a ConvNeXt-Tiny with random weights is made, exported and used.
"""

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from competition.commands.export import main as export
from competition.core.settings import Recipe
from competition.data.images.decode import read_image
from competition.data.tta import TTA
from competition.inference.classify_files import classify_files
from competition.inference.onnx.session import BATCH, OnnxMember, open_onnx_classifier, run_session
from tests.running import ROOT
from tests.runs import make_run

SIDE = 512  # pixels of a drawn picture, a JPEG of some 60 kB
ROUNDS = 5  # lines of each engine that are timed for the first verdict
IMAGES, PART = 1000, 100  # in the folder, and how many of them both ways see in turn
RECIPE = Recipe(backbone="convnext_tiny", image_size=224, fit="resize")


def main(name: str) -> None:
    """Print the seconds to a first verdict, and the folder's speed as a ratio to the models' alone."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        home, pictures = Path(folder), Path(folder) / "pictures"
        make_run(home, {"net": RECIPE}, folds=1)
        patch.setenv("TELLTALE_HOME", str(home))
        export(["name=made"])
        paths = _draw(pictures)
        _print_first("made", home, paths[0])
        if (ROOT / "folds" / name / "export").exists():
            _print_first(name, ROOT, paths[0])
        _print_folder(paths)


def _draw(folder: Path) -> list[Path]:
    """Draw pictures with some structure, so that they decode as photographs do."""
    folder.mkdir()
    rng = np.random.default_rng(0)
    paths = [folder / f"{index:05}.jpg" for index in range(IMAGES)]
    for path in paths:
        coarse = rng.integers(0, 256, (SIDE // 16, SIDE // 16, 3), np.uint8)
        fine = rng.normal(0, 12, (SIDE, SIDE, 3))
        picture = np.clip(cv2.resize(coarse, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC) + fine, 0, 255)
        cv2.imwrite(str(path), picture.astype(np.uint8))
    return paths


def _print_first(name: str, home: Path, path: Path) -> None:
    """Time lines that judge one picture, the engines taking turns."""
    taken: dict[str, list[float]] = {"onnx": [], "torch": []}
    for _ in range(ROUNDS):
        for engine, seconds in taken.items():
            line = [sys.executable, "-m", "competition", "predict", f"name={name}", f"engine={engine}", "device=cpu"]
            began = time.perf_counter()
            subprocess.run(
                [*line, str(path)], check=True, capture_output=True, env={"TELLTALE_HOME": str(home)}, cwd=ROOT
            )
            seconds.append(time.perf_counter() - began)
    found = ", ".join(f"{engine} {statistics.median(seconds):.2f} s" for engine, seconds in taken.items())
    print(f"first verdict of '{name}': {found} (medians of {ROUNDS})", flush=True)


def _print_folder(paths: list[Path]) -> None:
    """Judge the pictures part by part, as `predict` does and by the graph alone on pixels that lie ready."""
    classifier = open_onnx_classifier("made")
    (member,) = classifier.members.values()
    list(classify_files(classifier, paths[:BATCH]))  # the first pass prepares
    whole = alone = 0.0
    for start in range(0, len(paths), PART):
        part = paths[start : start + PART]
        ready = [read_image(path) for path in part]
        alone += _bare_seconds(member, classifier.record.tta, ready)
        began = time.perf_counter()
        for _ in classify_files(classifier, part):
            pass
        whole += time.perf_counter() - began
    print(
        f"{len(paths):,} pictures of {SIDE} pixels by ONNX: {len(paths) / whole:.1f} images/s, the models alone "
        f"{len(paths) / alone:.1f}: ratio {alone / whole:.3f}"
    )


def _bare_seconds(member: OnnxMember, tta: str, images: list[np.ndarray]) -> float:
    """Return the seconds in which the graph answers for all views of images that are cut already."""
    size = member.member.image_size
    seen = np.stack([cv2.resize(image, (size, size)) for image in images]).transpose(0, 3, 1, 2)
    began = time.perf_counter()
    for start in range(0, len(seen), BATCH):
        for _ in TTA[tta]:
            run_session(member.session, seen[start : start + BATCH])
    return time.perf_counter() - began
