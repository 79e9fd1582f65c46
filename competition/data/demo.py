"""The demo data set: a small Kaggle competition that is drawn, not downloaded.

Every scene is painted once in linear light and rendered twice, by a simulated camera (label 0) and by a simulated image
generator (label 1), so each real picture has an AI twin. The two differ in their traces alone: sizes, format, JPEG
settings, names and row order carry no label. Equal arguments give equal bytes (same machine and versions).
"""

import hashlib
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from competition.errors import UserError
from competition.files import read_json, write_json, write_text

RECIPE = 1  # raise it whenever the same arguments would draw other bytes
SIZE = 64  # side of every image, pixels
STAMP = "demo.json"

_FINE = 2 * SIZE  # scenes are painted at twice the output's resolution
_Y, _X = np.meshgrid(*[np.linspace(-1, 1, _FINE, dtype=np.float32)] * 2, indexing="ij")
_FREQUENCY = np.hypot(np.fft.fftfreq(_FINE)[:, None], np.fft.rfftfreq(_FINE)[None]).astype(np.float32)
_FREQUENCY[0, 0] = np.inf  # a fractal field has mean zero
_BAYER = np.zeros((SIZE, SIZE, 3), dtype=np.float32)  # red, green / green, blue
_BAYER[::2, ::2, 0] = _BAYER[::2, 1::2, 1] = _BAYER[1::2, ::2, 1] = _BAYER[1::2, 1::2, 2] = 1
_BILINEAR = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]], dtype=np.float32) / 4


@dataclass(frozen=True)
class Camera:
    """A sensor behind a lens: Bayer mosaic, shot and read noise, demosaicing, tone curve, sharpening."""

    blur: tuple[float, float] = (0.55, 1.0)  # lens blur, sigma in output pixels, drawn per scene
    noise: tuple[float, float] = (0.006, 0.016)  # noise of a mid-grey photosite, full scale = 1, drawn per scene
    sharpening: tuple[float, float] = (0.2, 0.8)  # amount of the unsharp mask, drawn per scene

    def render(self, scene: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the photograph of a linear (2S, 2S, 3) float32 scene: (S, S, 3) float32 in [0, 1], sRGB."""
        seen = cv2.GaussianBlur(scene, (0, 0), 2 * rng.uniform(*self.blur))
        seen = cv2.resize(seen, (SIZE, SIZE), interpolation=cv2.INTER_AREA)
        bayer = np.roll(_BAYER, rng.integers(0, 2, 2), axis=(0, 1))  # a cropped photo starts anywhere on the mosaic
        raw = (seen * bayer).sum(axis=2)
        noise = _log_uniform(rng, *self.noise)
        raw += noise * np.sqrt(0.2 + 4 * raw) * rng.standard_normal(raw.shape, dtype=np.float32)
        return _sharpen(_tone_curve(_demosaic(raw, bayer)), rng.uniform(*self.sharpening))


@dataclass(frozen=True)
class Generator:
    """A decoder: the picture at half resolution, learned-looking transposed convolutions, hallucinated grain."""

    checkerboard: float = 0.03  # unevenness of the up-sampling kernels (0: none), relative
    latent_noise: tuple[float, float] = (0.006, 0.02)  # grain laid down before up-sampling, drawn per scene
    pixel_noise: tuple[float, float] = (0.004, 0.012)  # grain laid down after it, drawn per scene
    sharpening: tuple[float, float] = (0.2, 0.8)  # decoders are trained to look sharp; drawn per scene
    weights: int = 8  # the seed of the kernels: another number is another generator

    def kernels(self) -> np.ndarray:
        """Return one 4 x 4 kernel per channel, (3, 4, 4) float32: bilinear, bent by fixed pseudo-random weights."""
        bend = np.random.default_rng(self.weights).standard_normal((3, 4, 4), dtype=np.float32)
        ramp = np.array([1, 3, 3, 1], dtype=np.float32) / 4
        kernels = np.outer(ramp, ramp) * (1 + self.checkerboard * bend)
        return kernels * (4 / kernels.sum(axis=(1, 2), keepdims=True))

    def render(self, scene: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the generator's picture of a linear (2S, 2S, 3) float32 scene: (S, S, 3) float32 in [0, 1], sRGB."""
        latent = cv2.resize(_tone_curve(scene), (SIZE // 2, SIZE // 2), interpolation=cv2.INTER_AREA)
        latent += _log_uniform(rng, *self.latent_noise) * rng.standard_normal(latent.shape, dtype=np.float32)
        sparse = np.zeros((SIZE, SIZE, 3), dtype=np.float32)
        sparse[::2, ::2] = latent
        picture = np.stack([cv2.filter2D(sparse[..., c], -1, k) for c, k in enumerate(self.kernels())], axis=2)
        picture += _log_uniform(rng, *self.pixel_noise) * rng.standard_normal(picture.shape, dtype=np.float32)
        return _sharpen(picture, rng.uniform(*self.sharpening))


@dataclass(frozen=True)
class World:
    """Where images come from; train and test of the demo share one."""

    camera: Camera = Camera()
    generator: Generator = Generator()
    jpeg_quality: tuple[int, int] = (85, 98)  # drawn per scene, the same for both twins

    def twins(self, seed: int, part: int, number: int) -> tuple[bytes, bytes]:
        """Return scene ``number`` as two JPEG files: the camera's (label 0) and the generator's (label 1)."""
        rng = np.random.default_rng([seed, part, number])
        scene = paint_scene(rng)
        quality = int(rng.integers(self.jpeg_quality[0], self.jpeg_quality[1] + 1))
        real, fake = self.camera.render(scene, rng), self.generator.render(scene, rng)
        return _encode(real, quality), _encode(fake, quality)


def draw_demo(folder: Path, seed: int = 0, scenes: tuple[int, int] = (500, 200)) -> None:
    """Draw the demo data set into ``folder``, in the layout of Kaggle's "Detect AI vs. Human-Generated Images".

    ``scenes`` counts the scenes of train and test; each gives two images. Written are ``train.csv``, ``train_data/``,
    ``test.csv``, ``test_data_v2/``, the withheld ``test_labels.csv`` and a stamp. The folder appears complete or not at
    all; one that already holds the same data set is left untouched, and any other is refused with a UserError.
    """
    folder = Path(folder)
    if seed < 0 or min(scenes) < 1:
        raise UserError(f"no demo has seed {seed} and {scenes} scenes: give seed >= 0 and scenes >= 1.")
    stamp = {"recipe": RECIPE, "seed": seed, "scenes": list(scenes)}
    if _is_drawn(folder, stamp):
        return
    folder.parent.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=".tmp", dir=folder.parent))
    try:
        draft.chmod(0o755)
        _draw_train(draft, World(), seed, scenes[0])
        _draw_test(draft, World(), seed, scenes[1])
        write_json(draft / STAMP, stamp)
        try:
            os.replace(draft, folder)
        except OSError:  # another process may have put the same data set there meanwhile
            if not _is_drawn(folder, stamp):
                raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _is_drawn(folder: Path, stamp: dict) -> bool:
    """Whether ``folder`` holds the data set of ``stamp``; False where nothing is yet, a UserError for anything else."""
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return False
    if folder.is_dir() and read_json(folder / STAMP) == stamp:
        return True
    raise UserError(f"{folder} exists and is not the demo data set {stamp}; remove it or give another folder.")


def _draw_train(folder: Path, world: World, seed: int, scenes: int) -> None:
    """Write ``train_data/`` and ``train.csv``; rows 2k and 2k+1 are twins, which of them comes first is chance."""
    order = np.random.default_rng([seed, 2])
    rows = []
    for number in range(scenes):
        twins = world.twins(seed, 0, number)
        rows += [(_write_image(folder / "train_data", twins[label]), label) for label in order.permutation(2)]
    table = [f"{index},{name},{label}\n" for index, (name, label) in enumerate(rows)]
    write_text(folder / "train.csv", ",file_name,label\n" + "".join(table))


def _draw_test(folder: Path, world: World, seed: int, scenes: int) -> None:
    """Write ``test_data_v2/``, ``test.csv`` and ``test_labels.csv``; the rows are shuffled."""
    images = [(jpeg, label) for number in range(scenes) for label, jpeg in enumerate(world.twins(seed, 1, number))]
    order = np.random.default_rng([seed, 3]).permutation(len(images))
    rows = [(_write_image(folder / "test_data_v2", images[i][0]), images[i][1]) for i in order]
    write_text(folder / "test.csv", "id\n" + "".join(f"{name}\n" for name, _ in rows))
    write_text(folder / "test_labels.csv", "id,label\n" + "".join(f"{name},{label}\n" for name, label in rows))


def _write_image(folder: Path, jpeg: bytes) -> str:
    """Write one image under a name that says nothing, the hash of its bytes; return ``folder/name``."""
    folder.mkdir(exist_ok=True)
    name = hashlib.blake2b(jpeg, digest_size=16).hexdigest() + ".jpg"
    (folder / name).write_bytes(jpeg)
    return f"{folder.name}/{name}"


def paint_scene(rng: np.random.Generator) -> np.ndarray:
    """Return a picture in linear light, (2S, 2S, 3) float32 in [0, 1]: a sky, ridges before it, shapes before those."""
    tilt = rng.normal(0, 0.4)
    height = np.clip(0.5 + 0.5 * (_Y + tilt * _X), 0, 1)[..., None]
    scene = (1 - height) * _colour(rng) + height * _colour(rng)
    scene *= np.exp(rng.uniform(0, 0.3) * _fractal(rng, rng.uniform(1.2, 1.8)))[..., None]
    for ground in np.sort(rng.uniform(-0.4, 0.9, rng.integers(0, 4))):
        ridge = ground + rng.uniform(0.02, 0.15) * _fractal(rng, 1.8)[:1]
        _paint(scene, _Y - ridge, _surface(rng, _X, _Y))
    for _ in range(rng.integers(1, 6)):
        angle, (x, y), (width, length) = rng.uniform(0, np.pi), rng.uniform(-0.8, 0.8, 2), rng.uniform(0.1, 0.5, 2)
        dx, dy = _X - np.float32(x), _Y - np.float32(y)
        u = (np.float32(np.cos(angle)) * dx + np.float32(np.sin(angle)) * dy) / np.float32(width)
        v = (np.float32(np.cos(angle)) * dy - np.float32(np.sin(angle)) * dx) / np.float32(length)
        distance = 1 - (np.hypot(u, v) if rng.random() < 0.6 else np.maximum(np.abs(u), np.abs(v)))
        _paint(scene, distance * np.float32(min(width, length)), _surface(rng, u, v))
    scene *= np.float32(rng.uniform(0.15, 0.4) / scene.mean())
    return np.clip(scene, 0, 1)


def _paint(scene: np.ndarray, distance: np.ndarray, surface: np.ndarray) -> None:
    """Lay a surface over the scene wherever the distance to its edge is positive, with an anti-aliased edge."""
    mask = np.clip(distance * (_FINE / 2) + 0.5, 0, 1)[..., None]
    scene += mask * (surface - scene)


def _surface(rng: np.random.Generator, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Return a lit, coloured, rough and sometimes striped surface, (2S, 2S, 3) float32, over coordinates u and v."""
    lit = np.clip(1 - rng.uniform(0, 0.5) * u - rng.uniform(0, 0.5) * v, 0.2, 2)
    lit *= np.exp(rng.uniform(0.05, 0.6) * _fractal(rng, rng.uniform(0.8, 1.8)))
    if rng.random() < 0.3:
        lit *= 1 + rng.uniform(0.2, 0.6) * np.sin(rng.uniform(4, 25) * u + rng.uniform(-6, 6) * v)
    return lit.astype(np.float32)[..., None] * _colour(rng)


def _colour(rng: np.random.Generator) -> np.ndarray:
    """Return a linear RGB colour, (3,) float32, more often muted than vivid."""
    grey = _log_uniform(rng, 0.08, 0.8)
    return (grey * np.exp(rng.uniform(0.1, 0.7) * rng.standard_normal(3))).astype(np.float32)


def _fractal(rng: np.random.Generator, slope: float) -> np.ndarray:
    """Return a Gaussian field with amplitude spectrum 1 / frequency ** slope, (2S, 2S) float32, mean 0, variance 1."""
    white = np.fft.rfft2(rng.standard_normal((_FINE, _FINE), dtype=np.float32))
    field = np.fft.irfft2(white * _FREQUENCY**-slope, s=(_FINE, _FINE)).astype(np.float32)
    return field / field.std()


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> np.float32:
    """Return a number between ``low`` and ``high`` whose logarithm is uniform."""
    return np.float32(np.exp(rng.uniform(np.log(low), np.log(high))))


def _tone_curve(linear: np.ndarray) -> np.ndarray:
    """Return sRGB values of linear light, both in [0, 1] (IEC 61966-2-1)."""
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * np.maximum(linear, 1e-6) ** (1 / 2.4) - 0.055)


def _demosaic(raw: np.ndarray, bayer: np.ndarray) -> np.ndarray:
    """Return linear RGB in [0, 1] of a mosaic: green is interpolated, red and blue follow it by their difference."""
    weight = cv2.filter2D(bayer, -1, _BILINEAR)
    green = cv2.filter2D(raw * bayer[..., 1], -1, _BILINEAR) / weight[..., 1]
    green = np.where(bayer[..., 1] > 0, raw, green)
    difference = (raw - green)[..., None] * bayer
    return np.clip(green[..., None] + cv2.filter2D(difference, -1, _BILINEAR) / weight, 0, 1)


def _sharpen(picture: np.ndarray, amount: float) -> np.ndarray:
    """Return the picture with an unsharp mask of sigma 1 pixel, clipped to [0, 1]."""
    return np.clip(picture + np.float32(amount) * (picture - cv2.GaussianBlur(picture, (0, 0), 1)), 0, 1)


def _encode(picture: np.ndarray, quality: int) -> bytes:
    """Return an sRGB picture in [0, 1] as a JPEG file with full colour resolution (4:4:4)."""
    pixels = np.rint(255 * picture[..., ::-1]).astype(np.uint8)
    sampling = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality, *sampling])[1].tobytes()
