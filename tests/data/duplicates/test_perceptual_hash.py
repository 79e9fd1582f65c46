"""Copies of a picture hash alike, other pictures do not, and many are hashed as one is."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from competition.data.duplicates.perceptual_hash import MAX_BITS, near, perceptual_hash, perceptual_hashes, thumbnail


def picture(seed, height=120, width=160):
    blocks = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return np.asarray(Image.fromarray(blocks).resize((width, height), Image.Resampling.BICUBIC))


def jpeg(image, quality):
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer).convert("RGB"))


def bits(one, other):
    return (one ^ other).bit_count()


COPIES = {
    "jpeg 50": lambda image: jpeg(image, 50),
    "halved": lambda image: np.asarray(Image.fromarray(image).resize((80, 60), Image.Resampling.BOX)),
    "enlarged": lambda image: np.asarray(Image.fromarray(image).resize((400, 300), Image.Resampling.BICUBIC)),
    "brighter": lambda image: (image * 0.8 + 40).astype(np.uint8),
    "noisy": lambda image: np.clip(image + np.random.default_rng(0).normal(0, 4, image.shape), 0, 255).astype(np.uint8),
}


@pytest.mark.parametrize("change", COPIES)
def test_a_copy_stays_within_four_bits(change):
    for seed in range(20):
        assert bits(perceptual_hash(picture(seed)), perceptual_hash(COPIES[change](picture(seed)))) <= MAX_BITS


def test_different_pictures_are_far_apart():
    values = [perceptual_hash(picture(seed)) for seed in range(60)]
    apart = [bits(one, other) for at, one in enumerate(values) for other in values[:at]]
    assert min(apart) > 2 * MAX_BITS
    assert 28 <= np.mean(apart) <= 34


def test_a_mirrored_picture_is_another():
    assert bits(perceptual_hash(picture(1)), perceptual_hash(picture(1)[:, ::-1].copy())) > 2 * MAX_BITS


def test_many_are_hashed_as_one_is():
    images = [picture(seed, 40 + seed, 90) for seed in range(9)] + [picture(9, 7, 5), picture(10, 2000, 33)]
    hashes = perceptual_hashes(np.stack([thumbnail(image) for image in images]))
    assert hashes.dtype == np.uint64
    assert hashes.tolist() == [perceptual_hash(image) for image in images]
    assert perceptual_hashes(np.empty((0, 32, 32), np.float32)).shape == (0,)


@pytest.mark.parametrize("value", [0, 1, 127, 255])
def test_all_flat_pictures_are_alike(value):
    assert perceptual_hash(np.full((50, 70, 3), value, np.uint8)) == perceptual_hash(np.full((9, 9, 3), 64, np.uint8))


def test_the_bits_follow_the_frequencies():
    across = np.cos(np.pi * (np.arange(32) + 0.5) / 32 * 2)  # two half waves along x: u = 2, v = 0
    wave = np.repeat((128 + 90 * across)[None, :], 32, 0)[None]
    assert perceptual_hashes(wave)[0] == 1 << 61


@given(st.lists(st.integers(0, 2**64 - 1), max_size=40), st.integers(0, 2**64 - 1), st.integers(0, 64))
def test_near_finds_what_counting_bits_finds_nearest_first(values, value, distance):
    found = near(np.array(values, np.uint64), value, distance).tolist()
    apart = [bits(one, value) for one in values]
    assert found == sorted((at for at, count in enumerate(apart) if count <= distance), key=lambda at: (apart[at], at))
