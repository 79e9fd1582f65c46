"""Stored images under named conditions: what a robustness sweep shows a model.

The stored pixels change, before any crop. What is random depends on an image's own pixels, never on its position.
"""

from collections.abc import Callable, Mapping

import numpy as np

from competition.core.errors import UserError, did_you_mean
from competition.core.seeds import stream
from competition.data.images import degrade as web
from competition.data.images.stores import Store, bytes_digest

Degradation = Callable[[np.ndarray, np.random.Generator], np.ndarray]

# What smooths an image, of any dtype and number of channels.
SMOOTH: Mapping[str, Degradation] = {
    "half": lambda image, _: web.rescale(image, 1 / 2),
    "quarter": lambda image, _: web.rescale(image, 1 / 4),
    "blur": lambda image, _: web.blur(image, 1.0),
    "blur2": lambda image, _: web.blur(image, 2.0),
}
CONDITIONS: Mapping[str, Degradation] = {
    "jpeg95": lambda image, _: web.jpeg(image, 95),
    "jpeg75": lambda image, _: web.jpeg(image, 75),
    "jpeg50": lambda image, _: web.jpeg(image, 50),
    "jpeg30": lambda image, _: web.jpeg(image, 30),
    "webp80": lambda image, _: web.webp(image, 80),
    **SMOOTH,
    "noise": lambda image, rng: web.noise(image, 6.0, rng),
    "crop": lambda image, rng: web.crop(image, 0.8, rng),
    "colour": lambda image, rng: web.colour(image, *rng.choice([0.9, 1.1], 3)),
    "chain": lambda image, rng: web.degrade(image, rng, steps=3),
}


def conditions(floating: bool) -> tuple[str, ...]:
    """Return the names of the conditions; standardised floats (``floating``) have only those that smooth."""
    return tuple(SMOOTH if floating else CONDITIONS)


def perturb(image: np.ndarray, condition: str) -> np.ndarray:
    """Return an image (H, W, C) under a condition, same shape and dtype.

    ``jpegQ`` and ``webpQ``: compressed at this quality and decoded; ``half``, ``quarter``: shrunk by averaging areas
    and back bilinearly; ``blur``, ``blur2``: Gaussian, 1 and 2 pixels; ``noise``: standard deviation 6 of 255;
    ``crop``: .8 of both sides, enlarged; ``colour``: brightness, contrast and saturation by 10 % each, up or down;
    ``chain``: three degradations as ``augment=web`` draws them. All but half, quarter and blur are for uint8 RGB alone.
    Raises UserError for another name.
    """
    if condition not in CONDITIONS:
        raise UserError(f"'{condition}' is not a condition of images{did_you_mean(condition, CONDITIONS)}")
    content = bytes_digest(np.ascontiguousarray(image).data.cast("B")).hex()
    return CONDITIONS[condition](image, np.random.default_rng(stream("condition", condition, content)))


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
