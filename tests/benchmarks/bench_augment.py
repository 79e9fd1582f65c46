"""What one image's augmentation costs at 224 pixels, on one core: the mean over 256 images, the best of three passes.

Images are stored as a member of that size keeps them: whole ones (fit=resize) at 224 pixels, native ones (fit=crop) at
512. `./run.sh bench augment` takes half a minute.
"""

import dataclasses
import tempfile
import time
from pathlib import Path

from competition.core.settings import CHOICES, Recipe
from competition.data.augment import train_transform
from tests.benchmarks.workload import open_store, write_jpegs

TARGET_MS = 2.0  # of augment=web: a core that feeds a GPU still makes 500 images/s
IMAGES, SIDE, SIZE, PASSES = 256, 512, 224, 3


def milliseconds(recipe: Recipe, store) -> float:
    """Return the mean time of one image's augmentation in the quickest pass; each pass draws its own variants."""
    transform = train_transform(recipe.augment, recipe.image_size, recipe.fit)
    times = []
    for epoch in range(PASSES):
        start = time.process_time()
        for row in range(len(store)):
            transform(store[row], (0, epoch, row))
        times.append(time.process_time() - start)
    return 1000 * min(times) / len(store)


def main() -> None:
    """Print a line for every augmentation, with either fit."""
    print(f"{'augment':<12}" + "".join(f"{'fit=' + fit + ', ms':>18}" for fit in CHOICES["fit"]))
    with tempfile.TemporaryDirectory() as folder:
        paths = write_jpegs(Path(folder) / "files", IMAGES, SIDE)
        base = Recipe(image_size=SIZE)
        stores = {
            fit: open_store(paths, dataclasses.replace(base, fit=fit), Path(folder) / fit) for fit in CHOICES["fit"]
        }
        for name in CHOICES["augment"]:
            found = [
                milliseconds(dataclasses.replace(base, augment=name, fit=fit), store) for fit, store in stores.items()
            ]
            verdict = f"  <= {TARGET_MS} {'met' if max(found) <= TARGET_MS else 'MISSED'}" if name == "web" else ""
            print(f"{name:<12}" + "".join(f"{value:>18.3f}" for value in found) + verdict, flush=True)


if __name__ == "__main__":
    main()
