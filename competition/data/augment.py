"""What a network sees of an image: random variants in training, named fixed views in testing.

The one file that imports albumentations. Promises: a training variant depends on nothing but the image and its seed
(run, epoch, row), so neither the number of workers nor a restart changes a pixel; test-time views are exact.
"""

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np

from competition.core.errors import UserError, did_you_mean
from competition.core.settings import CHOICES
from competition.data.images.decode import fit_store
from competition.data.images.degrade import degrade
from competition.data.tta import checked_fit, padded, window

WEB_MARGIN = 16  # pixels around a crop that is degraded: two blocks of a JPEG, and more than a blur reaches
MIRRORED = {"none": (), "flips": (-1,), "flips_both": (-1, -2)}  # what only mirrors a fitted image, along which axes
COLOURED = ("forensic", "classic", "jitter", "web")  # made for 0..255 pixels


@dataclass(frozen=True)
class TrainTransform:
    """One of the training augmentations, made by :func:`train_transform`; cheap to pickle."""

    name: str
    size: int
    fit: str
    pipeline: Any = field(repr=False, compare=False)  # what is random: albumentations' Compose, or None

    def __call__(self, image: np.ndarray, seed: Sequence[int]) -> np.ndarray:
        """Return a (size, size, C) variant of ``image`` (H, W, C), same dtype; ``seed`` is (run seed, epoch, row).

        The input is never changed; where there is nothing to do, the result may be the input itself or a view of it.
        """
        mixed = mix_seed(seed)
        image = self._fitted(self._degraded(image, mixed) if self.name == "web" else image)
        if self.pipeline is None:
            return image
        # Both of albumentations' generators, before every sample: left alone, each DataLoader worker would repeat
        # the others' stream, and each epoch the last one's.
        self.pipeline.set_random_state(np.random.default_rng(mixed), random.Random(mixed))
        return self.pipeline(image=image)["image"]

    def mirrored(self, seed: Sequence[int]) -> list[bool]:
        """Return along which axes of ``MIRRORED`` an image of ``fit="resize"`` is mirrored, as albumentations draws it:
        a number for all of it, then one for each step."""
        draws = random.Random(mix_seed(seed))
        draws.random()
        return [draws.random() < 0.5 for _ in MIRRORED[self.name]]

    def _degraded(self, image: np.ndarray, seed: int) -> np.ndarray:
        """Put the image through a chain of degradations, before the fit, as they reach a test image.

        Of a native image that is to be cropped, only a window somewhat larger than the crop goes through: a whole
        photograph would take a hundred times as long. The crop within that window then lies anywhere on the grid of
        JPEG's 8 x 8 blocks, as a window of a whole compressed image does.
        """
        rng = np.random.default_rng(seed)
        if self.fit == "crop":
            height, width = (min(side, self.size + WEB_MARGIN) for side in image.shape[:2])
            top, left = (int(rng.integers(0, free + 1)) for free in (image.shape[0] - height, image.shape[1] - width))
            image = image[top : top + height, left : left + width]
        return degrade(image, rng)

    def _fitted(self, image: np.ndarray) -> np.ndarray:
        """Do what is not random: to ``size``, or large enough for the random window that follows."""
        if self.fit == "crop":
            image = padded(image, self.size)
            return window(image, self.size, self.size, "centre") if self.name == "none" else image
        # ``classic`` resizes a random part of the image itself, from native resolution.
        return image if self.name == "classic" else fit_store(image, self.size)

    def __reduce__(self):
        return train_transform, (self.name, self.size, self.fit)


def train_transform(name: str, size: int, fit: str, floating: bool = False) -> TrainTransform:
    """Make the training augmentation ``name`` to ``size`` x ``size`` pixels.

    - ``none``: only the fit.
    - ``flips``: the fit, and half of the images mirrored left to right.
    - ``flips_both``: as ``flips``, and half of them upside down as well.
    - ``forensic``: the fit, one of the 8 symmetries of the square, and now and then a JPEG compression, a slight blur
      or slight noise; nothing else that would wipe out the traces of a generator.
    - ``web``: a chain of 0 to 5 degradations (compressions, rescaling, blur, noise, cropping, colour; see
      images/degrade.py), the fit, and half of the images mirrored.
    - ``classic``: part of the image (60 to 100 % of its area; with ``fit="crop"`` a crop), mirrored, mild colours.
    - ``jitter``: the fit, mirrored, turned by up to 10 degrees, and brightness, contrast and saturation up to 20 % off.

    ``fit="crop"`` takes crops at native resolution (at random; ``none``: the centre), with a mirrored border around
    images that are too small; ``fit="resize"`` resizes the image. ``floating`` says that images are standardised floats
    and not 0..255, on which the names in ``COLOURED`` mean nothing. Raises :class:`UserError`.
    """
    if name not in CHOICES["augment"]:
        raise UserError(f"augment={name} is not known{did_you_mean(name, CHOICES['augment'])}")
    if floating and name in COLOURED:
        raise UserError(
            f"augment={name} is made for 0..255 pixels, but this data's pixels are standardised floats: "
            "use augment=flips, flips_both or none"
        )
    return TrainTransform(name, size, fit, _pipeline(name, size, checked_fit(fit) == "crop"))


def _pipeline(name: str, size: int, crops: bool) -> Any:
    """Return the albumentations pipeline, or ``None`` where there is nothing random."""
    if name == "none":
        return None
    os.environ["NO_ALBUMENTATIONS_UPDATE"] = "1"  # or its import asks the network for a newer version
    import albumentations as A  # slow to import, and not needed for prediction

    steps = [A.RandomCrop(size, size)] if crops else []
    if name in ("flips", "flips_both", "web"):
        steps += [A.HorizontalFlip(p=0.5)] + [A.VerticalFlip(p=0.5)] * (name == "flips_both")
    elif name == "forensic":
        steps += [
            A.D4(p=1),
            A.ImageCompression(quality_range=(50, 95), p=0.25),
            A.GaussianBlur(blur_limit=0, sigma_limit=(0.2, 1.2), p=0.1),
            A.GaussNoise(std_range=(0.005, 0.02), p=0.1),
        ]
    elif name == "jitter":
        steps += [
            A.HorizontalFlip(p=0.5),
            A.Rotate(limit=10, border_mode=cv2.BORDER_REFLECT_101, p=1),
            A.ColorJitter(brightness=(0.8, 1.2), contrast=(0.8, 1.2), saturation=(0.8, 1.2), hue=(0.0, 0.0), p=1),
        ]
    else:
        if not crops:
            steps += [A.RandomResizedCrop((size, size), scale=(0.6, 1.0), area_for_downscale="image")]
        # One step for brightness and contrast and one for colour: a hue shift would cost three times as much.
        steps += [
            A.HorizontalFlip(p=0.5),
            A.ColorJitter(brightness=(0.9, 1.1), contrast=(0.9, 1.1), saturation=(0.9, 1.1), hue=(0.0, 0.0), p=0.5),
        ]
    return A.Compose(steps, strict=True)


def mix_seed(seed: Sequence[int]) -> int:
    """Return 64 bits that change entirely with any number in ``seed`` (SplitMix64, Steele et al. 2014, chained)."""
    mask = 0xFFFFFFFFFFFFFFFF
    state = len(seed)
    for number in seed:
        state = (state + int(number) + 0x9E3779B97F4A7C15) & mask
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & mask
        state ^= state >> 31
    return state
