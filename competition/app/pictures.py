"""What a detector looked at, made visible: the residual, the spectrum, the heat over the image.

Pictures are uint8 (h, w, 3) in memory and leave as data URIs: nothing is written to disk. The views are the models'
own, so that what is shown is what was seen.
"""

import base64
from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from competition.data.images.decode import fit_store
from competition.data.tta import checked_fit, window_corner
from competition.models.views import find_view

TINY = 128  # pixels: smaller pictures are enlarged, each pixel to a square
DIMMED = 0.4  # what is left of the brightness outside the box
STRONGEST = 0.7  # opacity of the heat where it is 1

Box = tuple[int, int, int, int]  # top, left, height, width, in pixels


def residual_picture(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the noise residual of an image (h, w, 3), grey where it is nothing, enlarged if tiny.

    The contrast is such that 99 % of the values can be seen.
    """
    residual = _view("residual", image)
    strongest = float(np.quantile(np.abs(residual), 0.99))
    return _enlarged(_bytes(0.5 + residual / (2 * strongest or 1)))


def spectrum_picture(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the log-magnitude spectrum of an image (h, w, 3), zero frequency in the centre, enlarged if tiny.

    Black and white are the 1 % faintest and strongest frequencies.
    """
    spectrum = _view("fourier", image)
    faint, strong = np.quantile(spectrum, [0.01, 0.99])
    return _enlarged(_bytes((spectrum - faint) / ((strong - faint) or 1)))


def overlay(image: NDArray[np.uint8], heat: NDArray[np.float32], box: Box | None = None) -> NDArray[np.uint8]:
    """Return the image (h, w, 3) with the heat over it, the more opaque the hotter, enlarged if tiny.

    ``heat`` holds 0..1 and covers ``box`` (top, left, height, width), or the whole image; it is resized to fit. What
    lies outside the box, and so was not seen, is dimmed. The colours are matplotlib's inferno, perceptually uniform.
    """
    from matplotlib import colormaps  # takes a third of a second

    height, width = image.shape[:2]
    top, left, rows, columns = box or (0, 0, height, width)
    if not (0 <= top < top + rows <= height and 0 <= left < left + columns <= width):
        raise ValueError(f"the box {box} does not lie in an image of {height} x {width} pixels")
    picture = image.astype(np.float32) * DIMMED
    place = slice(top, top + rows), slice(left, left + columns)
    fitted = np.clip(cv2.resize(heat.astype(np.float32), (columns, rows), interpolation=cv2.INTER_LINEAR), 0, 1)
    colours = colormaps["inferno"](fitted)[..., :3] * 255
    alpha = STRONGEST * fitted[..., None]
    picture[place] = (1 - alpha) * image[place] + alpha * colours
    return _enlarged(np.rint(picture).astype(np.uint8))


def data_uri(image: NDArray[np.uint8], max_side: int = 640) -> str:
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


def _view(name: str, image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return what the view ``name`` shows of an image (h, w, 3): float32 of the same shape."""
    pixels = torch.from_numpy(np.ascontiguousarray(image)).permute(2, 0, 1)[None].float() / 255
    # oneDNN keeps what it prepares for each size of image, some 20 kB for each of the last thousand.
    with torch.inference_mode(), torch.backends.mkldnn.flags(enabled=False, allow_tf32=None):
        return find_view(name)((0.0,) * 3, (1.0,) * 3, False)(pixels)[0].permute(1, 2, 0).numpy()


def _bytes(values: NDArray) -> NDArray[np.uint8]:
    return np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)


def _enlarged(picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Repeat the pixels of a tiny picture until its longer side has ``TINY``."""
    times = -(-TINY // max(picture.shape[:2]))
    return np.ascontiguousarray(picture.repeat(times, axis=0).repeat(times, axis=1))
