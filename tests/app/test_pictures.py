"""What is shown is what the networks see, at a size and contrast that can be read."""

import base64
import io

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from competition.app.evidence import overlay
from competition.app.pictures import data_uri, residual_picture, seen_box, spectrum_picture
from competition.core.errors import UserError
from competition.data.tta import eval_crops
from competition.models.views import find_view

SIDES = st.integers(1, 90)


def _noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height * 1000 + width).integers(0, 256, (height, width, 3), np.uint8)


@settings(max_examples=60, deadline=None)
@given(SIDES, SIDES, st.integers(8, 64))
def test_the_seen_box_of_a_crop_is_where_its_pixels_come_from(height, width, size):
    image = _noise(height, width)
    top, left, rows, columns = seen_box(image.shape, size, "crop")
    crop = eval_crops(image, size, "crop", ["centre"])[0]
    above, beside = (size - rows) // 2, (size - columns) // 2
    inner = crop[above : above + rows, beside : beside + columns]
    np.testing.assert_array_equal(inner, image[top : top + rows, left : left + columns])


def test_resizing_sees_all_of_an_image_and_an_unknown_fit_is_refused():
    assert seen_box((30, 50, 3), 16, "resize") == (0, 0, 30, 50)
    with pytest.raises(UserError, match="squeeze"):
        seen_box((30, 50, 3), 16, "squeeze")


@pytest.mark.parametrize("shape", [(64, 64), (33, 90)])
def test_residual_and_spectrum_are_those_that_the_models_see(shape):
    image = cv2.GaussianBlur(_noise(*shape), (0, 0), 1.5)
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255
    seen = {name: find_view(name)((0.0,) * 3, (1.0,) * 3, False)(pixels)[0] for name in ("residual", "fourier")}
    for picture, view in ((residual_picture(image), seen["residual"]), (spectrum_picture(image), seen["fourier"])):
        shown = picture[:: picture.shape[0] // shape[0], :: picture.shape[1] // shape[1]]
        values, grey = view.permute(1, 2, 0).numpy(), shown.astype(float)
        inside = (grey > 0) & (grey < 255)
        inside[shape[0] // 2, shape[1] // 2] = False  # the zero frequency: the mean was taken out, and rounding is left
        slope, offset = np.polyfit(values[inside], grey[inside], 1)
        assert np.abs(slope * values[inside] + offset - grey[inside]).max() < 1 and inside.mean() > 0.3


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 90), st.integers(2, 90))
def test_residual_and_spectrum_are_pictures_of_readable_size_and_contrast(height, width):
    image = _noise(height, width)
    for show in (residual_picture, spectrum_picture):
        picture = show(image)
        assert picture.dtype == np.uint8 and picture.shape[2] == 3 and max(picture.shape) >= 128
        assert picture.shape[0] * width == picture.shape[1] * height
        assert height * width < 64 or np.ptp(picture) > 200


def test_a_flat_image_has_a_grey_residual_and_no_division_by_nothing():
    flat = np.full((16, 16, 3), 90, np.uint8)
    assert np.ptp(residual_picture(flat)) == 0 and residual_picture(flat).max() == 128
    assert spectrum_picture(flat).shape == (128, 128, 3)


def test_the_residual_shows_the_noise_where_it_is_and_the_spectrum_the_period_of_a_grid():
    calm = np.full((128, 128, 3), 128, np.uint8)
    calm[32:64, 64:96] += np.random.default_rng(0).integers(0, 4, (32, 32, 3), np.uint8)
    off = np.abs(residual_picture(calm).astype(int) - 128)
    assert off[34:62, 66:94].mean() > 20 and off[80:].max() <= 1
    grid = _noise(128, 128) // 8 + ((np.arange(128) % 4 == 0) * 60).astype(np.uint8)[None, :, None]
    spectrum = spectrum_picture(grid)[..., 0]
    assert spectrum[64, 96] == 255 and spectrum[64, 32] == 255 and spectrum.mean() < 230


def test_heat_colours_its_place_alone_and_what_was_not_seen_is_dimmed():
    image = np.full((200, 200, 3), 200, np.uint8)
    heat = np.zeros((10, 10), np.float32)
    heat[2, 3] = 1
    picture = overlay(image, heat, (100, 50, 100, 100)).astype(int)
    assert (picture[:100] == 80).all() and (picture[100:, :50] == 80).all()
    assert np.abs(picture[125, 85] - 200).max() > 50
    assert (picture[180:, 50:150] == 200).all()
    assert (overlay(image, np.zeros((4, 4), np.float32)) == image).all()


def test_a_box_outside_the_image_is_refused():
    with pytest.raises(ValueError, match="does not lie"):
        overlay(_noise(20, 20), np.zeros((4, 4), np.float32), (10, 0, 11, 20))


@settings(max_examples=30, deadline=None)
@given(SIDES, SIDES, st.integers(1, 100))
def test_a_data_uri_holds_the_picture_and_shrinks_it_only_where_it_must(height, width, most):
    image = _noise(height, width)
    head, _, body = data_uri(image, most).partition(",")
    back = np.asarray(Image.open(io.BytesIO(base64.b64decode(body, validate=True))))
    assert head == "data:image/png;base64" and max(back.shape[:2]) == min(most, max(height, width))
    if max(height, width) <= most:
        np.testing.assert_array_equal(back, image)
