"""Every degradation keeps shape and dtype, takes away what its name says, and draws nothing but from its generator."""

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from competition.data.images import degrade as web
from tests.runs import random_pictures

CHECKED = np.repeat((np.indices((32, 32)).sum(axis=0) % 2 * 255)[..., None], 3, axis=2).astype(np.uint8)


def rng(seed=0):
    return np.random.default_rng(seed)


def distance(one, other):
    return np.abs(one.astype(float) - other).mean()


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**32), st.none() | st.integers(0, 5))
def test_a_chain_keeps_shape_and_dtype_and_depends_on_image_and_generator_alone(height, width, seed, steps):
    (picture,) = random_pictures((height, width))
    picture.flags.writeable = False
    out = web.degrade(picture, rng(seed), steps)
    assert (out.shape, out.dtype) == (picture.shape, np.uint8)
    assert np.array_equal(out, web.degrade(picture, rng(seed), steps))


def test_a_chain_of_none_is_the_image_and_more_steps_take_more_away():
    (picture,) = random_pictures((64, 48))
    assert web.degrade(picture, rng(), 0) is picture
    costs = [np.mean([distance(web.degrade(picture, rng(s), n), picture) for s in range(60)]) for n in (1, 3, 5)]
    assert 0 < costs[0] < costs[1] < costs[2]


def test_chains_have_all_lengths_as_often_and_differ():
    (picture,) = random_pictures((24, 24))
    chains = [web.degrade(picture, rng(seed)).tobytes() for seed in range(300)]
    untouched = chains.count(picture.tobytes())
    assert 25 < untouched < 90, "about a sixth of the images stays as it is"
    assert len(set(chains)) > 0.95 * (300 - untouched), "a compression of one quality may come twice"


@pytest.mark.parametrize("compress", [web.jpeg, web.webp])
def test_a_lower_quality_takes_more_away_and_keeps_the_colours_apart(compress):
    (picture,) = random_pictures((64, 48))
    costs = [distance(compress(picture, quality), picture) for quality in (95, 75, 50, 30)]
    assert 0 < costs[0] < costs[1] < costs[2] < costs[3]
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 200
    assert distance(compress(red, 75), red) < 6


def test_a_picture_too_long_for_a_format_stays_as_it_is():
    picture = np.zeros((1, 65_501, 3), np.uint8)
    assert web.jpeg(picture, 75) is picture and web.webp(picture, 75) is picture


def test_blur_and_rescaling_take_detail_away_and_leave_a_flat_picture_as_it_was():
    flat = np.full((31, 17, 3), 90, np.uint8)
    for smooth in (lambda image: web.blur(image, 1.0), lambda image: web.rescale(image, 0.5)):
        assert smooth(CHECKED).std() < CHECKED.std() / 4
        assert np.array_equal(smooth(flat), flat)


@pytest.mark.parametrize("up", web.INTERPOLATIONS)
def test_an_image_is_made_smaller_and_larger_by_any_interpolation(up):
    smooth = cv2.GaussianBlur(random_pictures((40, 40))[0], (0, 0), 4)
    assert 0 < distance(web.rescale(smooth, 0.5, cv2.INTER_AREA, up), smooth) < 8


def test_noise_has_its_deviation_in_every_channel_and_no_mean():
    grey = np.full((200, 200, 3), 128, np.uint8)
    grain = web.noise(grey, 6.0, rng()).astype(float) - grey
    assert np.abs(grain.mean(axis=(0, 1))).max() < 0.1
    assert np.abs(grain.std(axis=(0, 1)) - 6).max() < 0.15
    assert np.abs(np.corrcoef(grain.reshape(-1, 3).T) - np.eye(3)).max() < 0.02


def test_a_crop_enlarges_a_part_of_the_image():
    ramp = np.tile(np.arange(100, dtype=np.uint8)[None, :, None], (50, 1, 3))
    out = web.crop(ramp, 0.8, rng()).astype(float)
    assert 78 <= out.max() - out.min() <= 80
    assert np.array_equal(web.crop(ramp, 1.0, rng()), ramp)


def test_colour_changes_brightness_contrast_and_saturation_and_nothing_at_one():
    (picture,) = random_pictures((30, 30))
    picture = (picture // 2 + 64).astype(np.uint8)  # nothing is cut off
    assert distance(web.colour(picture, 1, 1, 1), picture) == 0
    assert web.colour(picture, 1.15, 1, 1).mean() == pytest.approx(1.15 * picture.mean(), rel=0.01)
    assert web.colour(picture, 1, 1.15, 1).std() == pytest.approx(1.15 * picture.std(), rel=0.02)
    assert np.ptp(web.colour(picture, 1, 1, 0).astype(int), axis=2).max() <= 1
