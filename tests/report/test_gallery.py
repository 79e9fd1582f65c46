"""Small copies of images keep their shape, and the gallery shows each."""

import io

import numpy as np
import pytest
from PIL import Image

from competition.report import gallery
from tests.report.runs import pixels


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        ((32, 32), (160, 160)),
        ((20, 40), (80, 160)),
        ((100, 90), (100, 90)),
        ((640, 320), (160, 80)),
        ((4000, 3), (160, 1)),
    ],
)
def test_a_thumbnail_fits_and_keeps_its_shape(size, expected):
    assert gallery.thumbnail(np.zeros((*size, 3), np.uint8)).shape == (*expected, 3)


def test_a_small_image_keeps_its_pixels_as_they_are():
    image = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    assert (gallery.thumbnail(image)[2::5, 2::5] == image).all()


def test_a_jpeg_shows_what_the_image_shows():
    image = np.full((40, 60, 3), (200, 30, 90), np.uint8)
    shown = np.asarray(Image.open(io.BytesIO(gallery.jpeg(image))).convert("RGB")).astype(int)
    assert shown.shape == image.shape and np.abs(shown - image).max() < 8


def test_the_gallery_grows_by_a_row_for_every_four_images_and_shows_their_colours(tmp_path):
    colour = (200, 30, 90)
    heights = []
    for count in (4, 5, 12):
        wrong = [{"id": f"{row}.jpg", "label": row % 2, "prob": 0.9} for row in range(count)]
        images = [np.full((40, 40, 3), colour, np.uint8)] * count
        gallery.mistakes_gallery(wrong, images, ("human", "AI"), tmp_path / "m.png")
        image = pixels(tmp_path / "m.png")
        heights.append(len(image))
        assert (image == colour).all(axis=2).sum() == pytest.approx(count * (1.1 * 240) ** 2, rel=0.03)
    assert heights[2] - heights[1] == pytest.approx(heights[1] - heights[0], abs=2)
