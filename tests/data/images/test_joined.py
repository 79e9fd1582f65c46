import pickle

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from competition.data.augment import train_transform
from competition.data.images.cache import open_stores
from competition.data.images.decode import UnreadableImage
from competition.data.images.joined import JoinedStore
from competition.data.images.stores import ArrayStore, StoreSpec
from competition.data.loader import EpochSampler, TrainFeed, TrainSet


def floats(rows, first):
    values = np.arange(first, first + rows, dtype=np.float32)[:, None, None, None]
    return ArrayStore(np.broadcast_to(values, (rows, 2, 2, 1)).copy(), str(first))


@pytest.fixture
def files(tmp_path):
    """Two stores of images of several sizes, kept native; row 1 of the second is damaged."""
    random = np.random.default_rng(0)
    stores = []
    for name, sides in (("a", (20, 24)), ("b", (20, 30, 24))):
        paths = []
        for number, side in enumerate(sides):
            path = tmp_path / f"{name}{number}.png"
            path.write_bytes(cv2.imencode(".png", random.integers(0, 256, (side, side, 3), np.uint8))[1].tobytes())
            paths.append(path)
        if name == "b":
            paths[1].write_bytes(b"no image")
        budget = 1.0 if name == "a" else 0.0
        stores.append(open_stores(paths, [StoreSpec(0)], tmp_path / "cache", budget, name)[StoreSpec(0)])
    return stores


@given(st.lists(st.integers(0, 4), min_size=1, max_size=4).filter(any), st.data())
def test_rows_are_those_of_the_stores_one_after_the_other(sizes, data):
    stores = [floats(size, 100 * number) for number, size in enumerate(sizes)]
    joined = JoinedStore(stores)
    expected = [store[row] for store in stores for row in range(len(store))]
    rows = data.draw(st.lists(st.integers(0, len(joined) - 1), min_size=1, max_size=8))
    assert len(joined) == sum(sizes) and joined.dtype == np.float32 and joined.common_shape == (2, 2, 1)
    assert all(np.array_equal(joined[row], expected[row]) for row in rows)
    assert np.array_equal(joined.batch(rows), np.stack([expected[row] for row in rows]))
    assert np.array_equal(joined.digests, np.concatenate([store.digests for store in stores]))


def test_sizes_damages_and_digests_are_those_of_each_file(files):
    joined = JoinedStore(files)
    assert [joined.shape(row)[0] for row in (0, 1, 2, 4)] == [20, 24, 20, 24] and joined.common_shape is None
    assert list(joined.bad) == [3] and not joined.cached and joined.dtype == np.uint8
    assert joined.batch([0, 2]).shape == (2, 20, 20, 3)
    with pytest.raises(ValueError, match="images of different sizes make no batch"):
        joined.batch([0, 4])
    with pytest.raises(UnreadableImage, match=r"b1\.png"):
        joined[3]
    for row in (-1, 5):
        with pytest.raises(IndexError):
            joined[row]
        with pytest.raises(IndexError):
            joined.batch([row])
    assert joined.digest != JoinedStore(files[::-1]).digest != files[0].digest


def test_a_joined_store_feeds_processes_as_it_feeds_this_one(files):
    joined = JoinedStore(files)
    again = pickle.loads(pickle.dumps(joined))
    assert all(np.array_equal(joined[row], again[row]) for row in (0, 1, 2, 4)) and again.digest == joined.digest
    transform = train_transform("flips", 16, "crop", False)
    images = TrainSet(joined, transform, 7)
    feeds = [TrainFeed(images, EpochSampler([0, 1, 2, 4], 2, images.seed), workers, pin=False) for workers in (0, 2)]
    for here, there in zip(*(feed.epoch(1) for feed in feeds), strict=True):
        assert here.rows.tolist() == there.rows.tolist() and bool((here.pixels == there.pixels).all())


def test_pixels_of_different_kinds_are_not_joined(files):
    with pytest.raises(ValueError, match="uint8, float32 cannot be joined"):
        JoinedStore([files[0], floats(2, 0)])
