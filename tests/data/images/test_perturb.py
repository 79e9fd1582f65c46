import cv2
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


def test_the_suite_has_a_dozen_conditions_and_floats_only_those_that_smooth():
    assert len(conditions(False)) >= 12 and set(conditions(True)) <= set(conditions(False))
    assert {"jpeg95", "jpeg75", "blur", "half"} <= set(conditions(False)), "names of earlier versions stay"
    assert set(conditions(True)) == {"half", "quarter", "blur", "blur2"}


def test_the_conditions_of_earlier_versions_give_the_same_pixels():
    (picture,) = random_pictures((64, 48))
    small = cv2.resize(picture, (24, 32), interpolation=cv2.INTER_AREA)
    half = cv2.resize(small, (48, 64), interpolation=cv2.INTER_LINEAR)
    assert np.array_equal(perturb(picture, "half"), half)
    assert np.array_equal(perturb(picture, "blur"), cv2.GaussianBlur(picture, (0, 0), 1.0))
    encoded = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 75])[1]
    assert np.array_equal(perturb(picture, "jpeg75"), cv2.imdecode(encoded, cv2.IMREAD_COLOR)[..., ::-1])


def test_what_is_random_goes_by_the_images_own_pixels():
    one, other = random_pictures((32, 32), (32, 32))
    store = PerturbedStore(ImageStore([one, other, one]), "noise")
    assert np.array_equal(store[0], store[2])
    assert not np.array_equal(store[0].astype(int) - one, store[1].astype(int) - other)


def test_every_condition_changes_a_picture_in_its_own_way():
    (picture,) = random_pictures((64, 48))
    seen = {perturb(picture, condition).tobytes() for condition in conditions(False)}
    assert len(seen | {picture.tobytes()}) == len(conditions(False)) + 1


def test_another_condition_is_one_sentence():
    with pytest.raises(UserError, match=r"'jpg75' is not a condition of images; did you mean 'jpeg75'\?"):
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
