"""The demo's scenes: skies, ridges and shapes, painted in linear light before any camera or generator sees them."""

import numpy as np

SIZE = 64  # side of every image of the demo, pixels
FINE = 2 * SIZE  # scenes are painted at twice the images' resolution

_Y, _X = np.meshgrid(*[np.linspace(-1, 1, FINE, dtype=np.float32)] * 2, indexing="ij")
_FREQUENCY = np.hypot(np.fft.fftfreq(FINE)[:, None], np.fft.rfftfreq(FINE)[None]).astype(np.float32)
_FREQUENCY[0, 0] = np.inf  # a fractal field has mean zero


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
    mask = np.clip(distance * (FINE / 2) + 0.5, 0, 1)[..., None]
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
    grey = log_uniform(rng, 0.08, 0.8)
    return (grey * np.exp(rng.uniform(0.1, 0.7) * rng.standard_normal(3))).astype(np.float32)


def _fractal(rng: np.random.Generator, slope: float) -> np.ndarray:
    """Return a Gaussian field with amplitude spectrum 1 / frequency ** slope, (2S, 2S) float32, mean 0, variance 1."""
    white = np.fft.rfft2(rng.standard_normal((FINE, FINE), dtype=np.float32))
    field = np.fft.irfft2(white * _FREQUENCY**-slope, s=(FINE, FINE)).astype(np.float32)
    return field / field.std()


def log_uniform(rng: np.random.Generator, low: float, high: float) -> np.float32:
    """Return a number between ``low`` and ``high`` whose logarithm is uniform."""
    return np.float32(np.exp(rng.uniform(np.log(low), np.log(high))))
