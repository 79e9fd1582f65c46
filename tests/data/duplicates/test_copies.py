import cv2
import numpy as np
import pytest

from competition.data.duplicates import copies
from competition.data.duplicates.copies import ImageSet, copied
from competition.data.images.cache import open_stores
from competition.data.images.stores import ArrayStore, StoreSpec
from tests.data.drawn import jpeg, photo


def pictures(paths, folder):
    paths = [str(path) for path in paths]
    return ImageSet(open_stores(paths, [StoreSpec(16)], folder, 1.0, "test")[StoreSpec(16)], paths, "test")


@pytest.fixture
def these(tmp_path):
    paths = [jpeg(tmp_path / "these" / f"{number}.jpg", photo(number)) for number in range(8)]
    paths[6].write_bytes(b"damaged")
    return paths


def test_the_same_file_and_the_same_picture_are_found_in_the_part_that_holds_them(tmp_path, these):
    those = [
        jpeg(tmp_path / "those" / "new.jpg", photo(100)),
        jpeg(tmp_path / "those" / "reencoded.jpg", photo(1), 60),
        jpeg(tmp_path / "those" / "smaller.jpg", cv2.resize(photo(2), (48, 48), interpolation=cv2.INTER_AREA)),
        tmp_path / "those" / "same.jpg",
        tmp_path / "those" / "outside.jpg",
        tmp_path / "those" / "damaged.jpg",
    ]
    those[3].write_bytes(these[5].read_bytes())
    those[4].write_bytes(these[7].read_bytes())
    those[5].write_bytes(b"damaged")
    cache, part = tmp_path / "cache", np.array([0, 0, 1, 1, 1, 2, 2, -1])
    found = copied(pictures(those, cache), pictures(these, cache), part, cache)
    assert found.dtype == bool and found.shape == (6, 3)
    assert np.argwhere(found).tolist() == [[1, 0], [2, 1], [3, 2]]


def test_pictures_without_structure_are_copies_only_as_files(tmp_path):
    greys = [jpeg(tmp_path / f"{value}.png", np.full((32, 32, 3), value, np.uint8)) for value in (10, 200, 90)]
    same = tmp_path / "same.png"
    same.write_bytes(greys[0].read_bytes())
    found = copied(pictures([*greys[1:], same], tmp_path), pictures(greys[:1], tmp_path), np.zeros(1, int), tmp_path)
    assert found.ravel().tolist() == [False, False, True]


def test_rows_of_a_pixel_csv_are_compared_value_by_value(tmp_path):
    values = np.random.default_rng(0).normal(size=(6, 3, 3, 1)).astype(np.float32)
    those = ImageSet(ArrayStore(values[[0, 4, 5]], "a"), [""] * 3, "those")
    these = ImageSet(ArrayStore(values[:5], "b"), [""] * 5, "these")
    assert copied(those, these, np.array([0, 0, 0, 0, 1]), tmp_path).tolist() == [[1, 0], [0, 1], [0, 0]]


def test_nothing_is_decoded_twice_and_other_parts_are_judged_anew(tmp_path, these, monkeypatch):
    decoded = []
    monkeypatch.setattr(copies, "read_bytes", lambda path, read=copies.read_bytes: decoded.append(path) or read(path))
    cache = tmp_path / "cache"
    both = pictures(these, cache), pictures(these[:3], cache)
    first = copied(*both, np.zeros(3, int), cache)
    assert len(decoded) == 11 and first[:, 0].tolist() == [True] * 3 + [False] * 5
    decoded.clear()
    assert np.array_equal(copied(*both, np.zeros(3, int), cache), first)
    assert copied(*both, np.array([1, 0, -1]), cache).sum(axis=0).tolist() == [1, 1] and not decoded


def test_an_empty_set_shows_nothing(tmp_path, these):
    cache = tmp_path / "cache"
    those, none = pictures(these, cache), pictures([], cache)
    assert not copied(those, none, np.zeros(0, int), cache).any()
    assert copied(none, those, np.zeros(8, int), cache).shape == (0, 1)
