"""The images a run is most confidently wrong about: small copies for the page, and one picture of them all."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from competition.report import style

MAX_SIDE = 160  # pixels
IMAGES_PER_ROW = 4


def thumbnail(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return an (H, W, 3) image with its longer side at most ``MAX_SIDE``.

    A larger one is averaged down; the pixels of a smaller one are repeated, so that they stay visible as they are.
    """
    height, width = image.shape[:2]
    longer = max(height, width)
    if longer > MAX_SIDE:
        size = max(1, round(width * MAX_SIDE / longer)), max(1, round(height * MAX_SIDE / longer))
        return np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))
    times = MAX_SIDE // longer
    return image.repeat(times, axis=0).repeat(times, axis=1)


def visible(pixels: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Return standardised (H, W, C) floats as an (H, W, 3) picture, from their least value in black to their greatest
    in white; one channel is grey, and of more than three the first three are shown."""
    low, high = float(pixels.min()), float(pixels.max())
    image = np.round((pixels - low) * (255 / (high - low or 1))).astype(np.uint8)
    return image[..., :3] if image.shape[2] >= 3 else image[..., :1].repeat(3, axis=2)


def jpeg(image: NDArray[np.uint8]) -> bytes:
    """Return an (H, W, 3) image as JPEG with its full colour."""
    out = io.BytesIO()
    Image.fromarray(image).save(out, "JPEG", quality=85, subsampling=0)
    return out.getvalue()


def mistakes_gallery(
    mistakes: Sequence[Mapping[str, Any]], images: Sequence[NDArray | None], classes: tuple[str, str], path: Path
) -> None:
    """Draw the images with their id, true class and probability of class 1, in rows of four.

    ``mistakes`` hold ``id``, ``label`` and ``prob``; ``images`` are their thumbnails, None where one cannot be read.
    """
    rows = -(-len(mistakes) // IMAGES_PER_ROW)
    cell, text = 1.1, 0.66
    subtitle = f"with its id, its class and the probability of {style.elide(classes[1], 26)}"
    figure = style.new_page("Most confident mistakes", subtitle, 0.8 + rows * (cell + text))
    for index, (mistake, image) in enumerate(zip(mistakes, images, strict=True)):
        left = 0.15 + index % IMAGES_PER_ROW * (cell + 0.1)
        bottom = 0.05 + (rows - 1 - index // IMAGES_PER_ROW) * (cell + text) + text
        axes = style.add_panel(figure, left, bottom, cell, cell)
        axes.set_axis_off()
        if image is None:
            axes.text(0.5, 0.5, "no image", ha="center", va="center", color=style.MUTED, fontsize=8)
        else:
            axes.imshow(image, interpolation="nearest")
            axes.set_anchor("SW")
        truth = f"is {classes[mistake['label']]}"
        style.add_text(figure, left, bottom - 0.13, style.elide(mistake["id"], 24), fontsize=6)
        style.add_text(figure, left, bottom - 0.28, style.elide(truth, 19), fontsize=7.5, color=style.INK)
        style.add_text(figure, left, bottom - 0.43, style.decimals(mistake["prob"]), fontsize=8.5, color=style.INK)
    style.save_page(figure, path)
