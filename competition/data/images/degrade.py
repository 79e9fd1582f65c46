"""What the web does to an image, one function each, and chains of them drawn at random.

Training with ``augment=web`` draws chains; the robustness suite (perturb.py) applies fixed degradations. Every function
takes uint8 RGB (H, W, 3) and returns another such array of the same shape; the input is never changed. All chance comes
from the generator that is handed over.
"""

import io
from collections.abc import Callable
from statistics import NormalDist

import cv2
import numpy as np
from PIL import Image

MAX_STEPS = 5  # degradations in one chain
MAX_JPEG_SIDE = 65_500  # pixels: libjpeg holds no longer side
MAX_WEBP_SIDE = 16_383  # pixels, by the format
QUALITY = (30, 100)  # of JPEG and WebP
WEBP_SHARE = 1 / 6  # of the compressions: the slowest degradation, about four times as slow as JPEG
FACTOR = (0.25, 1.0)  # of the sides, when an image is made smaller
SIGMA = (0.3, 2.0)  # of the blur, pixels
NOISE = (1.0, 12.0)  # standard deviation, grey levels of 255
CROP = (0.6, 1.0)  # of the sides, when part of an image is cut out and enlarged
COLOUR = 0.15  # brightness, contrast and saturation change by at most this share
INTERPOLATIONS = (cv2.INTER_NEAREST, cv2.INTER_LINEAR, cv2.INTER_CUBIC, cv2.INTER_AREA)

_GREY = np.array([0.299, 0.587, 0.114], np.float32)  # the weights of red, green and blue in brightness (BT.601)
# The standard normal distribution as 256 equally likely values: looking random bytes up takes a fifth of the time.
_NORMAL = np.array([NormalDist().inv_cdf((byte + 0.5) / 256) for byte in range(256)], np.float32)


def encode_jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """Return the bytes of a JPEG file with halved colour (4:2:0), (n,) uint8; no side is longer than the format's."""
    return cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, quality])[1]


def jpeg(image: np.ndarray, quality: int) -> np.ndarray:
    """Compress and decode as JPEG (see :func:`encode_jpeg`); an image too long for the format stays as it is."""
    if max(image.shape[:2]) > MAX_JPEG_SIDE:
        return image
    return np.asarray(cv2.imdecode(encode_jpeg(image, quality), cv2.IMREAD_COLOR_RGB))


def webp(image: np.ndarray, quality: int) -> np.ndarray:
    """Compress and decode as lossy WebP; an image too long for the format stays as it is."""
    if max(image.shape[:2]) > MAX_WEBP_SIDE:
        return image
    file = io.BytesIO()
    Image.fromarray(image).save(file, "WEBP", quality=quality, method=0)  # OpenCV's own effort takes twice as long
    return np.asarray(cv2.imdecode(np.frombuffer(file.getvalue(), np.uint8), cv2.IMREAD_COLOR_RGB))


def rescale(image: np.ndarray, factor: float, down: int = cv2.INTER_AREA, up: int = cv2.INTER_LINEAR) -> np.ndarray:
    """Make both sides smaller by ``factor`` and bring them back, by these interpolations of OpenCV's; any dtype."""
    height, width = image.shape[:2]
    smaller = (max(1, int(width * factor)), max(1, int(height * factor)))
    out = cv2.resize(cv2.resize(image, smaller, interpolation=down), (width, height), interpolation=up)
    return out.reshape(image.shape)  # OpenCV drops a single channel's axis


def blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Blur by a Gaussian of ``sigma`` pixels; any dtype."""
    return cv2.GaussianBlur(image, (0, 0), sigma).reshape(image.shape)


def noise(image: np.ndarray, deviation: float, rng: np.random.Generator) -> np.ndarray:
    """Add Gaussian noise of this standard deviation, in grey levels, to every channel on its own."""
    drawn = np.frombuffer(rng.bytes(image.size), np.uint8).reshape(image.shape)
    return cv2.add(image, cv2.LUT(drawn, _NORMAL * np.float32(deviation)), dtype=cv2.CV_8U)


def crop(image: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Cut out a part of ``share`` of both sides, anywhere, and enlarge it to the image's size."""
    height, width = image.shape[:2]
    rows, columns = max(1, int(height * share)), max(1, int(width * share))
    top, left = rng.integers(0, height - rows + 1), rng.integers(0, width - columns + 1)
    part = image[top : top + rows, left : left + columns]
    return cv2.resize(part, (width, height), interpolation=cv2.INTER_LINEAR)


def colour(image: np.ndarray, brightness: float, contrast: float, saturation: float) -> np.ndarray:
    """Multiply brightness, the contrast about mid-grey and the saturation by these factors."""
    mix = contrast * (saturation * np.eye(3, dtype=np.float32) + (1 - saturation) * _GREY)
    shift = np.full((3, 1), 127.5 * (1 - contrast), np.float32)
    return cv2.transform(image, np.hstack([brightness * mix, shift]))


def _random_compression(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    compress = webp if rng.random() < WEBP_SHARE else jpeg
    return compress(image, int(rng.integers(QUALITY[0], QUALITY[1] + 1)))


def _random_rescale(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    down, up = rng.choice(INTERPOLATIONS, 2)
    return rescale(image, rng.uniform(*FACTOR), int(down), int(up))


def _random_blur(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return blur(image, rng.uniform(*SIGMA))


def _random_noise(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return noise(image, rng.uniform(*NOISE), rng)


def _random_crop(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return crop(image, rng.uniform(*CROP), rng)


def _random_colour(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return colour(image, *rng.uniform(1 - COLOUR, 1 + COLOUR, 3))


# Images are compressed again wherever they are passed on: up to three times in one chain.
_POOL: tuple[Callable[[np.ndarray, np.random.Generator], np.ndarray], ...] = (
    *[_random_compression] * 3,
    _random_rescale,
    _random_blur,
    _random_noise,
    _random_crop,
    _random_colour,
)


def degrade(image: np.ndarray, rng: np.random.Generator, steps: int | None = None) -> np.ndarray:
    """Apply ``steps`` different degradations of random strength in random order; None: 0 to ``MAX_STEPS`` of them."""
    if steps is None:
        steps = int(rng.integers(0, MAX_STEPS + 1))
    for number in rng.permutation(len(_POOL))[:steps]:
        image = _POOL[number](image, rng)
    return image
