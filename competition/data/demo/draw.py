"""The demo data set: a small Kaggle competition that is drawn, not downloaded.

Every scene is painted once in linear light and rendered twice, by a simulated camera (label 0) and by a simulated image
generator (label 1), so each real picture has an AI twin. The two differ in their traces alone: sizes in pixels and
in bytes, format, JPEG settings, names and row order carry no label. Equal arguments give equal bytes (same machine and
versions), and the training set does not depend on the world that the test set is from.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from competition.core.errors import UserError, did_you_mean
from competition.core.files import draft_folder, read_json, sweep_drafts, write_json, write_text
from competition.data.demo.makers import Camera, Generator
from competition.data.demo.scenes import paint_scene
from competition.data.demo.sources import BICUBIC, MAX_SOURCES, test_worlds, train_worlds

RECIPE = 2  # raise it whenever the same arguments would draw other bytes
STAMP = "demo.json"
CAMERA, GENERATOR = Camera(), Generator()  # the usual ones
FOLDERS = ("train_data", "test_data_v2")  # of the images of each part
BYTES_SPREAD = 0.1  # of the logarithm: were twins alike to the byte, each would be known by the other
MAX_GRAIN = 16.0  # how many times as much grain may even out the bytes of twins
SPARE_BYTES, GRAIN_STEPS = 3, 11  # how finely it does, of about 3,000 bytes, and after how many trials it is enough


@dataclass(frozen=True)
class World:
    """Where images come from."""

    camera: Camera = CAMERA
    generator: Generator = GENERATOR
    jpeg_quality: tuple[int, int] = (85, 98)  # drawn per scene, the same for both twins
    ai_share: float = 0.5  # of the test images

    def twins(self, seed: int, part: int, number: int) -> tuple[bytes, bytes]:
        """Return scene ``number`` as two JPEG files: the camera's (label 0) and the generator's (label 1).

        Which of them takes more bytes, and by how much, is chance: or the size of a file alone would tell many of them
        apart. One that is too small is made again with more grain, as if by a noisier camera or generator.
        """
        rng = np.random.default_rng([seed, part, number])
        scene = paint_scene(rng)
        quality = int(rng.integers(self.jpeg_quality[0], self.jpeg_quality[1] + 1))
        streams = rng.integers(0, 2**63, 2)

        def encoded(label: int, grain: float) -> bytes:
            maker = self.generator if label else self.camera
            return _encode(maker.render(scene, np.random.default_rng(streams[label]), grain), quality)

        ratio = np.exp(rng.normal(0, BYTES_SPREAD))  # of the generator's bytes to the camera's
        real, fake = encoded(0, 1.0), encoded(1, 1.0)
        if len(fake) < ratio * len(real):
            return real, _as_large(lambda grain: encoded(1, grain), round(ratio * len(real)))
        return _as_large(lambda grain: encoded(0, grain), round(len(fake) / ratio)), fake


def _as_large(encoded: Callable[[float], bytes], size: int) -> bytes:
    """Return a file of ``size`` bytes, or nearly as many, by bisection of how much more grain it has."""
    low, high = 1.0, MAX_GRAIN
    tried: list[bytes] = []
    while len(tried) < GRAIN_STEPS and not (tried and abs(len(tried[-1]) - size) <= SPARE_BYTES):
        grain = (low * high) ** 0.5
        tried.append(encoded(grain))
        low, high = (grain, high) if len(tried[-1]) < size else (low, grain)
    return min(tried, key=lambda file: abs(len(file) - size))


# Given a world, a part (0 train, 1 test), a scene's number and labels: the names of its images of these labels.
Images = Callable[[World, int, int, Sequence[int]], list[str]]

WORLDS = {
    "same": World(),  # where the training set is from, always
    "prior": World(ai_share=0.25),
    "generator": World(
        generator=Generator(
            checkerboard=0.01,
            period=6,
            latent_noise=(0.001, 0.003),
            pixel_noise=(0.006, 0.016),
            sharpening=(0.4, 1.0),
            taps=BICUBIC,
            weights=21,
        ),
        jpeg_quality=(70, 90),
    ),
    "source": World(),  # with a camera and a generator that are drawn by the seed, and are not the training set's
}


@dataclass(frozen=True)
class DemoPlan:
    """Which demo data set: everything that decides its bytes.

    ``scenes`` sizes train and test: two images a scene. ``world`` is what the test set is drawn from, one of WORLDS;
    the training set and the size of the test set are the same in all. With several ``sources`` (1 to ``MAX_SOURCES``)
    scenes are from each in turn, and ``train.csv`` says which. Raises UserError for what cannot be drawn.
    """

    seed: int = 0
    scenes: tuple[int, int] = (500, 200)
    world: str = "same"
    sources: int = 1

    def __post_init__(self) -> None:
        if self.world not in WORLDS:
            raise UserError(f"The demo has no world '{self.world}'{did_you_mean(self.world, WORLDS)}")
        if not 1 <= self.sources <= MAX_SOURCES:
            raise UserError(f"demo.sources={self.sources} cannot be drawn: give 1 to {MAX_SOURCES}.")
        if self.seed < 0 or min(self.scenes) < 1:
            raise UserError(f"no demo has seed {self.seed} and {self.scenes} scenes: give seed >= 0 and scenes >= 1.")

    @property
    def stamp(self) -> dict[str, Any]:
        """What says in the folder which data set it is."""
        stamp = {"recipe": RECIPE, "seed": self.seed, "scenes": list(self.scenes)}
        unusual = (("world", self.world, "same"), ("sources", self.sources, 1))
        return stamp | {key: value for key, value, usual in unusual if value != usual}


def draw_demo(folder: Path, plan: DemoPlan) -> None:
    """Draw the demo data set into ``folder``, in the layout of Kaggle's "Detect AI vs. Human-Generated Images".

    Written are ``train.csv``, ``train_data/``, ``test.csv``, ``test_data_v2/``, the withheld ``test_labels.csv`` and a
    stamp. The folder appears complete or not at all; one that already holds the same data set is left untouched, and
    any other is refused with a UserError. What killed processes had drawn of it is swept.
    """
    sweep_drafts(folder)
    if is_drawn(folder, plan):
        return

    def drawn(world: World, part: int, number: int, labels: Sequence[int]) -> list[str]:
        twins = world.twins(plan.seed, part, number)
        return [_write_image(draft / FOLDERS[part], twins[label]) for label in labels]

    with draft_folder(folder) as draft:
        _write_tables(draft, plan, drawn)
        write_json(draft / STAMP, plan.stamp)
        try:
            os.replace(draft, folder)
        except OSError:  # another process may have put the same data set there meanwhile
            if not is_drawn(folder, plan):
                raise


def foresee_demo(folder: Path, plan: DemoPlan) -> None:
    """Write the tables alone into ``folder``: those of :func:`draw_demo`, but for the images' names."""
    _write_tables(
        folder, plan, lambda _, part, number, labels: [f"{FOLDERS[part]}/{number}-{label}.jpg" for label in labels]
    )


def is_drawn(folder: Path, plan: DemoPlan) -> bool:
    """Whether ``folder`` holds this data set; False where nothing is yet, a UserError for anything else."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    found, stamp = read_json(folder / STAMP) if folder.is_dir() else None, plan.stamp
    if found == stamp:
        return True
    if found is not None and found | {"recipe": RECIPE} == stamp:
        raise UserError(
            f"{folder} holds the demo as another version of Telltale drew it: draw today's beside it with "
            "data=FOLDER name=NAME, or remove it."
        )
    raise UserError(f"{folder} exists and is not the demo data set {stamp}; remove it or give another folder.")


def _write_tables(folder: Path, plan: DemoPlan, images: Images) -> None:
    train = train_worlds(WORLDS["same"], plan.seed, plan.sources)
    test = test_worlds(WORLDS, plan.world, plan.seed, plan.sources)
    _write_train(folder, train, plan, images)
    _write_test(folder, test, plan, images)


def _write_train(folder: Path, worlds: Sequence[World], plan: DemoPlan, images: Images) -> None:
    """Write ``train.csv``; rows 2k and 2k+1 are twins, which of them comes first is chance."""
    order = np.random.default_rng([plan.seed, 2])
    rows = []
    for number in range(plan.scenes[0]):
        source, labels = number % len(worlds), order.permutation(2).tolist()
        names = images(worlds[source], 0, number, labels)
        rows += [(name, label, source) for name, label in zip(names, labels, strict=True)]
    several = len(worlds) > 1
    table = [
        f"{index},{name},{label}" + (f",{('camera', 'generator')[label]}-{source + 1}" if several else "") + "\n"
        for index, (name, label, source) in enumerate(rows)
    ]
    write_text(folder / "train.csv", ",file_name,label" + ",source" * several + "\n" + "".join(table))


def _write_test(folder: Path, worlds: Sequence[World], plan: DemoPlan, images: Images) -> None:
    """Write ``test.csv`` and ``test_labels.csv``: twice as many shuffled rows as there are scenes.

    Where the classes are not balanced, the first scenes give both twins and the others the commoner class alone.
    """
    scenes = plan.scenes[1]
    ai = round(2 * scenes * worlds[0].ai_share)
    wanted = (2 * scenes - ai, ai)  # of each label
    found: list[tuple[str, int]] = []
    for number in range(max(wanted)):
        labels = [label for label in (0, 1) if number < wanted[label]]
        found += zip(images(worlds[number % len(worlds)], 1, number, labels), labels, strict=True)
    rows = [found[place] for place in np.random.default_rng([plan.seed, 3]).permutation(len(found))]
    write_text(folder / "test.csv", "id\n" + "".join(f"{name}\n" for name, _ in rows))
    write_text(folder / "test_labels.csv", "id,label\n" + "".join(f"{name},{label}\n" for name, label in rows))


def _write_image(folder: Path, jpeg: bytes) -> str:
    """Write one image under a name that says nothing, the hash of its bytes; return ``folder/name``."""
    folder.mkdir(exist_ok=True)
    name = hashlib.blake2b(jpeg, digest_size=16).hexdigest() + ".jpg"
    (folder / name).write_bytes(jpeg)
    return f"{folder.name}/{name}"


def _encode(picture: np.ndarray, quality: int) -> bytes:
    """Return an sRGB picture in [0, 1] as a JPEG file with full colour resolution (4:4:4)."""
    pixels = np.rint(255 * picture[..., ::-1]).astype(np.uint8)
    sampling = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality, *sampling])[1].tobytes()
