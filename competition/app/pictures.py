"""What a detector looked at, made visible: the residual, the spectrum, the image itself.

Pictures are uint8 (h, w, 3) in memory and leave as data URIs: nothing is written to disk. Residual and spectrum are
those of the models' own views (competition/models/views), here without torch.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from competition.data.images.decode import fit_store
from competition.data.tta import checked_fit, window_corner

SHOWN, WINDOW = 640, 384  # longer side of the image shown, and of the window of its residual and spectrum, pixels
TINY = 128  # pixels: smaller pictures are enlarged, each pixel to a square
KERNEL = np.array([[-1, 2, -1], [2, -4, 2], [-1, 2, -1]], np.float32) / 4
LIMIT = 8 / 255  # of the residual

Box = tuple[int, int, int, int]  # top, left, height, width, in pixels


@dataclass(frozen=True)
class Picture:
    """``uri`` is a data URI; ``caption`` says in one sentence how to read it; ``tiny``: shown pixel by pixel."""

    title: str
    uri: str
    caption: str
    tiny: bool


def plain_picture(image: NDArray[np.uint8]) -> Picture:
    """Return the image (h, w, 3) as it is, for pages that have no map of its evidence."""
    shown = data_uri(enlarged(fit_store(image, 0, SHOWN)))
    return Picture("The image", shown, "What was judged, upright and without its metadata.", is_tiny(image))


def residual_picture(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the noise residual of an image (h, w, 3), grey where it is nothing, enlarged if tiny.

    The contrast is such that 99 % of the values can be seen.
    """
    high = cv2.filter2D(image.astype(np.float32) / 255, -1, KERNEL, borderType=cv2.BORDER_REFLECT_101)
    residual = np.clip(high, -LIMIT, LIMIT)
    strongest = float(np.quantile(np.abs(residual), 0.99))
    return enlarged(_bytes(0.5 + residual / (2 * strongest or 1)))


def spectrum_picture(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the log-magnitude spectrum of an image (h, w, 3), zero frequency in the centre, enlarged if tiny.

    Black and white are the 1 % faintest and strongest frequencies.
    """
    pixels = image.astype(np.float32) / 255
    centred = pixels - pixels.mean(axis=(0, 1), dtype=np.float64)
    magnitude = np.abs(np.fft.fftshift(np.fft.fft2(centred, axes=(0, 1), norm="ortho"), axes=(0, 1)))
    spectrum = np.log(magnitude + 1e-3)
    faint, strong = np.quantile(spectrum, [0.01, 0.99])
    return enlarged(_bytes((spectrum - faint) / ((strong - faint) or 1)))


def data_uri(image: NDArray[np.uint8], max_side: int = SHOWN) -> str:
    """Return the image (h, w, 3) as a PNG in a data URI, shrunk until its longer side is at most ``max_side``."""
    png = cv2.imencode(".png", cv2.cvtColor(fit_store(image, 0, max_side), cv2.COLOR_RGB2BGR))[1].tobytes()
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")


def seen_box(shape: Sequence[int], size: int, fit: str) -> Box:
    """Return the (top, left, height, width) of an image of this shape (h, w, ...) that the central view covers.

    ``shape`` is that of the stored image: one larger than the recipe's ``store_cap`` was shrunk first. ``resize`` sees
    all of it, ``crop`` a window of ``size`` x ``size``, and all of a side that is shorter (the rest is its mirror).
    """
    height, width = shape[:2]
    if checked_fit(fit) == "resize":
        return 0, 0, height, width
    rows, columns = min(height, size), min(width, size)
    return *window_corner(shape, rows, columns, "centre"), rows, columns


def is_tiny(image: NDArray[np.uint8]) -> bool:
    """Whether an image (h, w, 3) is so small that its pixels are shown as squares."""
    return max(image.shape[:2]) < WINDOW / 2


def enlarged(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Repeat the pixels of a tiny picture (h, w, 3) until its longer side has ``TINY``."""
    times = -(-TINY // max(picture.shape[:2]))
    return np.ascontiguousarray(picture.repeat(times, axis=0).repeat(times, axis=1))


def _bytes(values: NDArray) -> NDArray[np.uint8]:
    return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
