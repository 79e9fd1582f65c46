"""Who makes the demo's pictures: a simulated camera, and a simulated image generator."""

from dataclasses import dataclass

import cv2
import numpy as np

from competition.data.demo.develop import BAYER, demosaic, sharpen, tone_curve
from competition.data.demo.scenes import SIZE, log_uniform


@dataclass(frozen=True)
class Camera:
    """A sensor behind a lens: Bayer mosaic, shot and read noise, demosaicing, tone curve, sharpening."""

    blur: tuple[float, float] = (0.55, 1.0)  # lens blur, sigma in output pixels, drawn per scene
    noise: tuple[float, float] = (0.006, 0.016)  # noise of a mid-grey photosite, full scale = 1, drawn per scene
    sharpening: tuple[float, float] = (0.2, 0.8)  # amount of the unsharp mask, drawn per scene

    def render(self, scene: np.ndarray, rng: np.random.Generator, grain: float = 1.0) -> np.ndarray:
        """Return the photograph of a linear (2S, 2S, 3) float32 scene: (S, S, 3) float32 in [0, 1], sRGB.

        ``grain`` multiplies the noise that is drawn.
        """
        seen = cv2.GaussianBlur(scene, (0, 0), 2 * rng.uniform(*self.blur))
        seen = cv2.resize(seen, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        bayer = np.roll(BAYER, rng.integers(0, 2, 2), axis=(0, 1))  # a cropped photo starts anywhere on the mosaic
        raw = (seen * bayer).sum(axis=2)
        noise = log_uniform(rng, *self.noise) * np.float32(grain)
        raw += noise * np.sqrt(0.2 + 4 * raw) * rng.standard_normal(raw.shape, dtype=np.float32)
        return sharpen(tone_curve(demosaic(raw, bayer)), rng.uniform(*self.sharpening))


@dataclass(frozen=True)
class Generator:
    """A decoder: the picture at half resolution, learned-looking transposed convolutions, hallucinated grain."""

    checkerboard: float = 0.03  # unevenness of the up-sampling kernels (0: none), relative
    grid: float = 0.02  # what a coarser stage of the decoder leaves in the picture (0: nothing), full scale = 1
    period: int = 8  # of that grid, pixels
    latent_noise: tuple[float, float] = (0.006, 0.02)  # grain laid down before up-sampling, drawn per scene
    pixel_noise: tuple[float, float] = (0.004, 0.012)  # grain laid down after it, drawn per scene
    sharpening: tuple[float, float] = (0.2, 0.8)  # decoders are trained to look sharp; drawn per scene
    taps: tuple[int, ...] = (1, 3, 3, 1)  # the even kernels' profile before the weights bend it; this one is bilinear
    weights: int = 8  # the seed of the kernels and the grid: another number is another generator

    def kernels(self) -> np.ndarray:
        """Return one T x T kernel per channel, (3, T, T) float32: the taps, bent by fixed pseudo-random weights."""
        taps = np.array(self.taps, dtype=np.float32) * (2 / sum(self.taps))
        bend = np.random.default_rng(self.weights).standard_normal((3, taps.size, taps.size), dtype=np.float32)
        kernels = np.outer(taps, taps) * (1 + self.checkerboard * bend)
        return kernels * (4 / kernels.sum(axis=(1, 2), keepdims=True))

    def coarse_grid(self) -> np.ndarray:
        """Return what the coarser stage adds to every picture, (S, S, 3) float32: waves across and down."""
        phase, share = np.random.default_rng([self.weights, 1]).uniform(size=(2, 2, 3)).astype(np.float32)
        wave = np.cos(2 * np.pi * (np.arange(SIZE, dtype=np.float32)[:, None, None] / self.period + phase)) * (
            0.5 + share
        )
        return self.grid * (wave[:, None, 0] + wave[None, :, 1])

    def render(self, scene: np.ndarray, rng: np.random.Generator, grain: float = 1.0) -> np.ndarray:
        """Return the generator's picture of a linear (2S, 2S, 3) float32 scene: (S, S, 3) float32 in [0, 1], sRGB.

        ``grain`` multiplies both kinds of grain that are drawn.
        """
        latent: np.ndarray = cv2.resize(tone_curve(scene), (SIZE // 2, SIZE // 2), interpolation=cv2.INTER_AREA)
        noise = log_uniform(rng, *self.latent_noise) * np.float32(grain)
        latent += noise * rng.standard_normal(latent.shape, dtype=np.float32)
        sparse = np.zeros((SIZE, SIZE, 3), dtype=np.float32)
        sparse[::2, ::2] = latent
        channels = [cv2.filter2D(sparse[..., c], -1, k) for c, k in enumerate(self.kernels())]
        picture: np.ndarray = np.stack(channels, axis=2) + self.coarse_grid()
        noise = log_uniform(rng, *self.pixel_noise) * np.float32(grain)
        picture += noise * rng.standard_normal(picture.shape, dtype=np.float32)
        return sharpen(picture, rng.uniform(*self.sharpening))
