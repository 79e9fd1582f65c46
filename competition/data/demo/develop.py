"""From a sensor's values to a picture: colours from a mosaic, the tone curve, sharpening."""

import cv2
import numpy as np

from competition.data.demo.scenes import SIZE

BAYER = np.zeros((SIZE, SIZE, 3), dtype=np.float32)  # red, green / green, blue
BAYER[::2, ::2, 0] = BAYER[::2, 1::2, 1] = BAYER[1::2, ::2, 1] = BAYER[1::2, 1::2, 2] = 1
_BILINEAR = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]], dtype=np.float32) / 4


def tone_curve(linear: np.ndarray) -> np.ndarray:
    """Return sRGB values of linear light, both in [0, 1] (IEC 61966-2-1)."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-6) ** (1 / 2.4) - 0.055)


def demosaic(raw: np.ndarray, bayer: np.ndarray) -> np.ndarray:
    """Return linear RGB in [0, 1] of a mosaic: green is interpolated, red and blue follow it by their difference."""
    weight = cv2.filter2D(bayer, -1, _BILINEAR)
    green = cv2.filter2D(raw * bayer[..., 1], -1, _BILINEAR) / weight[..., 1]
    green = np.where(bayer[..., 1] > 0, raw, green)
    difference = (raw - green)[..., None] * bayer
    return np.clip(green[..., None] + cv2.filter2D(difference, -1, _BILINEAR) / weight, 0, 1)


def sharpen(picture: np.ndarray, amount: float) -> np.ndarray:
    """Return the picture with an unsharp mask of sigma 1 pixel, clipped to [0, 1]."""
    return np.clip(picture + np.float32(amount) * (picture - cv2.GaussianBlur(picture, (0, 0), 1)), 0, 1)
