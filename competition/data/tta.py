"""Test-time augmentation: the crops and turns of an image that are predicted and averaged."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from competition.core.errors import UserError, did_you_mean
from competition.core.settings import CHOICES
from competition.data.images.decode import fit_store

CORNER_SIDE = 0.875  # side of a corner crop, as a part of the image's, where the image is resized and not cropped

# Where a window lies: the parts of the free height above it and of the free width to its left.
CROPS = {"centre": (0.5, 0.5), "top_left": (0, 0), "top_right": (0, 1), "bottom_left": (1, 0), "bottom_right": (1, 1)}

# The 8 symmetries of the square: whether rows and columns are swapped, and along which axes the result is mirrored.
TURNS = {
    "identity": (False, ()),
    "hflip": (False, (-1,)),
    "vflip": (False, (-2,)),
    "rot180": (False, (-2, -1)),
    "rot90": (True, (-2,)),
    "rot270": (True, (-1,)),
    "transpose": (True, ()),
    "antitranspose": (True, (-2, -1)),
}


@dataclass(frozen=True)
class TestView:
    """One test-time view: which part of the image (one of ``CROPS``), then how it is turned (a key of ``TURNS``)."""

    __test__ = False  # not a test case, whatever pytest makes of the name

    name: str
    crop: str
    turn: str


TTA: dict[str, tuple[TestView, ...]] = {
    "none": (TestView("identity", "centre", "identity"),),
    "flip": (TestView("identity", "centre", "identity"), TestView("hflip", "centre", "hflip")),
    "d4": tuple(TestView(turn, "centre", turn) for turn in TURNS),
    "crops": tuple(TestView(crop, crop, "identity") for crop in CROPS),
}


def turn(batch: Any, name: str) -> Any:
    """Apply one of the ``TURNS`` to (n, C, H, W), an array or a torch tensor; rotations are counter-clockwise.

    Torch itself is not imported here, and whoever has arrays needs none.
    """
    if name not in TURNS:
        raise UserError(f"'{name}' is not a turn of a test-time view{did_you_mean(name, TURNS)}")
    swapped, axes = TURNS[name]
    batch = batch.swapaxes(-2, -1) if swapped else batch
    if not axes:
        return batch
    return np.flip(batch, axes) if isinstance(batch, np.ndarray) else batch.flip(axes)


def needs_padding(shape: Sequence[int], size: int) -> bool:
    """Tell whether an image of this (H, W, ...) is too small for a native-resolution crop of ``size`` x ``size``."""
    return shape[0] < size or shape[1] < size


def eval_crops(image: np.ndarray, size: int, fit: str, crops: Sequence[str]) -> np.ndarray:
    """Return the named ``crops`` of an image (H, W, C), same dtype, as (n_crops, size, size, C); nothing is random.

    ``fit="crop"``: native-resolution windows in the centre or a corner, of a mirrored border where the image is too
    small. ``fit="resize"``: ``centre`` is the whole image, a corner is ``CORNER_SIDE`` of its sides; resized.
    """
    unknown = [crop for crop in crops if crop not in CROPS]
    if unknown:
        raise UserError(f"'{unknown[0]}' is not a crop of a test-time view{did_you_mean(unknown[0], CROPS)}")
    if checked_fit(fit) == "crop":
        image = padded(image, size)
        return np.stack([window(image, size, size, crop) for crop in crops])
    height, width = (max(1, round(CORNER_SIDE * side)) for side in image.shape[:2])
    parts = [image if crop == "centre" else window(image, height, width, crop) for crop in crops]
    return np.stack([fit_store(part, size) for part in parts])


def window(image: np.ndarray, height: int, width: int, crop: str) -> np.ndarray:
    """Return a view of ``height`` x ``width`` pixels of an image (H, W, C), which lies where ``crop`` says."""
    top, left = window_corner(image.shape, height, width, crop)
    return image[top : top + height, left : left + width]


def window_corner(shape: Sequence[int], height: int, width: int, crop: str) -> tuple[int, int]:
    """Return top and left of the :func:`window` in an image of this (H, W, ...)."""
    above, before = CROPS[crop]
    return int((shape[0] - height) * above), int((shape[1] - width) * before)


def padded(image: np.ndarray, size: int) -> np.ndarray:
    """Mirror the image's border, evenly on both sides, until a ``size`` x ``size`` window fits."""
    if not needs_padding(image.shape, size):
        return image
    down, right = max(0, size - image.shape[0]), max(0, size - image.shape[1])
    # Mirrors again and again where the border is wider than the image, and repeats a side of one pixel.
    larger = cv2.copyMakeBorder(
        image, down // 2, down - down // 2, right // 2, right - right // 2, cv2.BORDER_REFLECT_101
    )
    return larger.reshape(*larger.shape[:2], image.shape[2])


def checked_fit(fit: str) -> str:
    """Return ``fit``; UserError unless it is one of the setting's values."""
    if fit not in CHOICES["fit"]:
        raise UserError(f"fit={fit} is not known{did_you_mean(fit, CHOICES['fit'])}")
    return fit
