"""Stored images after one more journey through the web: compressed again, blurred, or made half as large and back.

What a robustness sweep shows a model. The stored pixels change, before any crop; nothing is random.
"""

import cv2
import numpy as np

from competition.core.errors import UserError, did_you_mean
from competition.data.images.stores import Store

JPEG = {"jpeg95": 95, "jpeg85": 85, "jpeg75": 75}  # OpenCV's quality, with its usual halved colour (4:2:0)
SMOOTH = ("blur", "half")
BLUR_SIGMA = 1.0  # pixels
MAX_JPEG_SIDE = 65_500  # pixels: libjpeg holds no longer side


def conditions(floating: bool) -> tuple[str, ...]:
    """Return the names of the perturbations; standardised floats (``floating``) have no JPEG."""
    return SMOOTH if floating else (*JPEG, *SMOOTH)


def perturb(image: np.ndarray, condition: str) -> np.ndarray:
    """Return an image (H, W, C) under a condition, same shape and dtype.

    ``jpeg95``, ``jpeg85``, ``jpeg75`` (uint8 RGB alone): compressed at this quality and decoded; ``blur``: Gaussian,
    ``BLUR_SIGMA`` pixels; ``half``: both sides halved by averaging areas, and back bilinearly. An image too long for a
    JPEG stays as it is. Raises UserError for another name.
    """
    if condition in JPEG:
        return image if max(image.shape[:2]) > MAX_JPEG_SIDE else _jpeg(image, JPEG[condition])
    if condition == "blur":
        out = cv2.GaussianBlur(image, (0, 0), BLUR_SIGMA)
    elif condition == "half":
        height, width = image.shape[:2]
        small = cv2.resize(image, (max(1, width // 2), max(1, height // 2)), interpolation=cv2.INTER_AREA)
        out = cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)
    else:
        raise UserError(f"'{condition}' is not a perturbation of an image{did_you_mean(condition, conditions(False))}")
    return out.reshape(image.shape)  # OpenCV drops a single channel's axis


def _jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, encoded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR_RGB))


class PerturbedStore(Store):
    """Another store's images, each under one condition at every access; shapes and bad rows stay what they are."""

    def __init__(self, store: Store, condition: str):
        self._store, self._condition = store, condition
        self.dtype, self.bad, self.common_shape = store.dtype, store.bad, store.common_shape

    def __len__(self) -> int:
        return len(self._store)

    def __getitem__(self, row: int) -> np.ndarray:
        return perturb(self._store[row], self._condition)

    def shape(self, row: int) -> tuple[int, ...]:
        return self._store.shape(row)
