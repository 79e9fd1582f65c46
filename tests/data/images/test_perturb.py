import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from competition.core.errors import UserError
from competition.data.images.decode import UnreadableImage
from competition.data.images.perturb import PerturbedStore, conditions, perturb
from competition.data.images.stores import ArrayStore, ImageStore
from tests.runs import random_pictures


def distance(one, other):
    return np.abs(one.astype(float) - other).mean()


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from(conditions(False)))
def test_a_picture_keeps_its_shape_and_dtype_and_the_original_its_pixels(height, width, condition):
    (picture,) = random_pictures((height, width))
    picture.flags.writeable = False
    out = perturb(picture, condition)
    assert (out.shape, out.dtype) == (picture.shape, picture.dtype)
    assert np.array_equal(out, perturb(picture, condition))


@given(st.integers(1, 12), st.integers(1, 12), st.integers(1, 4), st.sampled_from(conditions(True)))
def test_floats_of_any_number_of_channels_are_smoothed_and_never_rounded(height, width, channels, condition):
    picture = np.random.default_rng(0).normal(size=(height, width, channels)).astype(np.float32)
    out = perturb(picture, condition)
    assert (out.shape, out.dtype) == (picture.shape, picture.dtype)
    assert out.std() <= picture.std() + 1e-6


def test_floats_have_no_jpeg():
    assert set(conditions(False)) - set(conditions(True)) == {"jpeg95", "jpeg85", "jpeg75"}


def test_a_stronger_compression_changes_more_and_keeps_the_colours_apart():
    picture = random_pictures((64, 48))[0]
    changes = [distance(perturb(picture, condition), picture) for condition in ("jpeg95", "jpeg85", "jpeg75")]
    assert 0 < changes[0] < changes[1] < changes[2]
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 200
    assert distance(perturb(red, "jpeg75"), red) < 3


def test_a_blur_and_a_resize_take_detail_away_and_leave_a_flat_picture_as_it_was():
    checked = np.indices((32, 32)).sum(axis=0) % 2 * np.uint8(255)
    checked = np.repeat(checked[..., None], 3, axis=2).astype(np.uint8)
    flat = np.full((31, 17, 3), 90, np.uint8)
    for condition in ("blur", "half"):
        assert perturb(checked, condition).std() < checked.std() / 4
        assert np.array_equal(perturb(flat, condition), flat)


def test_a_picture_too_long_for_a_jpeg_stays_as_it_is():
    picture = np.zeros((1, 65_501, 3), np.uint8)
    assert perturb(picture, "jpeg75") is picture


def test_another_condition_is_one_sentence():
    with pytest.raises(UserError, match=r"'jpg75' is not a perturbation of an image; did you mean 'jpeg75'\?"):
        perturb(np.zeros((8, 8, 3), np.uint8), "jpg75")


def test_a_perturbed_store_has_the_others_rows_shapes_and_dtype():
    array = np.random.default_rng(0).normal(size=(4, 6, 5, 2)).astype(np.float32)
    plain = ArrayStore(array, "digest")
    store = PerturbedStore(plain, "blur")
    assert (len(store), store.dtype, store.common_shape, store.shape(1)) == (4, np.float32, (6, 5, 2), (6, 5, 2))
    assert np.array_equal(store.batch([3, 1]), np.stack([perturb(array[3], "blur"), perturb(array[1], "blur")]))
    assert np.array_equal(plain[3], array[3])


def test_a_row_that_cannot_be_read_stays_unreadable():
    class Damaged(ImageStore):
        def __getitem__(self, row):
            raise UnreadableImage("a.jpg", "it is damaged")

    pictures = Damaged(random_pictures((8, 8)))
    pictures.bad, pictures.dtype = {0: "it is damaged"}, np.dtype(np.uint8)
    store = PerturbedStore(pictures, "half")
    assert store.bad == {0: "it is damaged"}
    with pytest.raises(UnreadableImage):
        store[0]
