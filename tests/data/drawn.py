"""Pictures for tests that compare pictures: they have structure at every scale, as photographs do."""

from pathlib import Path

import cv2
import numpy as np


def photo(seed: int, side: int = 96) -> np.ndarray:
    """Return a picture, uint8 (side, side, 3): the same for the same seed."""
    random = np.random.default_rng(seed)
    layers = (random.normal(0, 200 / scale, (scale, scale, 3)) for scale in (2, 4, 8, 16, 32))
    picture = sum(cv2.resize(layer, (side, side), interpolation=cv2.INTER_CUBIC) for layer in layers)
    return np.clip(picture + 128, 0, 255).astype(np.uint8)


def jpeg(path: Path, picture: np.ndarray, quality: int = 95) -> Path:
    """Write a picture (BGR) as JPEG and return where."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes())
    return path
