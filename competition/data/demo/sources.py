"""The demo's sources, a camera and a generator each, as the demo's seed draws them from one range.

All are of one kind, so that what a detector loses on sources that it has not seen is what it will lose on the next.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from competition.data.demo.draw import World

MAX_SOURCES = 4  # that the training set is drawn from
UNSEEN = MAX_SOURCES  # the number of the source that it never is
BICUBIC = (-3, -9, 29, 111, 111, 29, -9, -3)  # half-pixel cubic convolution with a = -.5 (Keys 1981), times 128
# Up-sampling kernels, one for each source: a sharp one, bilinear, cubic, and two binomial ones.
_TAPS = ((-1, 9, 9, -1), (1, 3, 3, 1), BICUBIC, (1, 5, 10, 10, 5, 1), (1, 7, 21, 35, 35, 21, 7, 1))


def draw_source(usual: "World", seed: int, number: int) -> "World":
    """Return ``usual`` with the camera and the generator of source ``number``, the same whichever others are drawn.

    Much of what tells one source's twins apart is otherwise in the next source: which of them is sharper, what its
    grain is like, and the grid that the generator's own kernel leaves, which is stronger than usual.
    """
    rng = np.random.default_rng([seed, 4, number])

    def scaled(span: tuple[float, float], factor: float) -> tuple[float, float]:
        return factor * span[0], factor * span[1]

    def factor(most: float) -> float:
        return float(most ** rng.uniform(-1, 1))

    camera, generator, grain = usual.camera, usual.generator, factor(1.3)
    return replace(
        usual,
        camera=replace(
            camera,
            blur=scaled(camera.blur, factor(1.2)),
            noise=scaled(camera.noise, grain),
            sharpening=scaled(camera.sharpening, factor(1.8)),
        ),
        generator=replace(
            generator,
            checkerboard=generator.checkerboard * 3 * factor(1.2),
            latent_noise=scaled(generator.latent_noise, grain * factor(1.4)),
            pixel_noise=scaled(generator.pixel_noise, grain * factor(1.4)),
            sharpening=scaled(generator.sharpening, factor(1.8)),
            taps=_TAPS[np.random.default_rng([seed, 5]).permutation(len(_TAPS))[number]],
            weights=int(rng.integers(2**31)),
        ),
    )


def train_worlds(usual: "World", seed: int, sources: int) -> "list[World]":
    """Return what the training scenes are from in turn: several sources, or one world as it is."""
    return [draw_source(usual, seed, number) for number in range(sources)] if sources > 1 else [usual]


def test_worlds(worlds: "Mapping[str, World]", world: str, seed: int, sources: int) -> "list[World]":
    """Return what the test scenes of ``world``, one of ``worlds``, are from in turn."""
    if world == "source":
        return [draw_source(worlds[world], seed, UNSEEN)]
    return [worlds[world]] if world == "generator" else train_worlds(worlds[world], seed, sources)
