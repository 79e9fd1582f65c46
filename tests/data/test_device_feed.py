"""Images that lie on the device give the same batches as those that are fed from the disk."""

import numpy as np
import pytest
import torch

from competition.data.augment import train_transform
from competition.data.device_feed import DeviceFeed, _goes_on_device, training_feed
from competition.data.images.stores import ArrayStore, ImageStore
from competition.data.loader import EpochSampler, FeatureSet, TrainFeed, TrainSet

ROWS = [7, 3, 0, 9, 4, 12, 5, 1, 11]


class Alike(ImageStore):
    """Images in memory, all of 8 x 8 pixels."""

    common_shape = (8, 8, 3)


@pytest.fixture(scope="module")
def store():
    pixels = np.random.default_rng(0).integers(0, 256, (13, 8, 8, 3), dtype=np.uint8)
    return Alike(list(pixels))


def on_both(images, partner=None):
    return [
        training_feed(images, EpochSampler(ROWS, 4, images.seed, partner), wish, "cpu", workers=0)
        for wish in ("device", "host")
    ]


@pytest.mark.parametrize("name", ["none", "flips", "flips_both"])
def test_the_batches_are_those_of_the_usual_feed(store, name):
    there, usual = on_both(TrainSet(store, train_transform(name, 8, "resize"), seed=3))
    assert (type(there), type(usual)) == (DeviceFeed, TrainFeed)
    assert len(there) == len(usual) == 2
    seen = []
    for epoch in range(3):
        for ours, theirs in zip(there.epoch(epoch), usual.epoch(epoch), strict=True):
            assert torch.equal(ours.rows, theirs.rows)
            assert ours.pixels.dtype == torch.uint8 and torch.equal(ours.pixels, theirs.pixels)
            seen.append(ours.pixels)
    assert len({one.numpy().tobytes() for one in seen}) == len(seen)


def test_pairs_come_together_and_are_mirrored_alike(store):
    partner = np.array([1, 0, 3, 2, 5, 4, 7, 6, 8])
    alike = {ROWS[at]: min(ROWS[at], ROWS[other]) for at, other in enumerate(partner)}
    there, usual = on_both(TrainSet(store, train_transform("flips", 8, "resize"), 0, alike), partner)
    for ours, theirs in zip(there.epoch(1), usual.epoch(1), strict=True):
        assert torch.equal(ours.rows, theirs.rows) and torch.equal(ours.pixels, theirs.pixels)


def test_floats_stay_floats():
    array = np.random.default_rng(1).normal(size=(13, 8, 8, 2)).astype(np.float32)
    there, usual = on_both(TrainSet(ArrayStore(array, "digest"), train_transform("flips", 8, "resize", True), 0))
    assert all(torch.equal(a.pixels, b.pixels) for a, b in zip(there.epoch(0), usual.epoch(0), strict=True))


def test_images_go_on_the_device_only_where_that_changes_no_pixel_and_leaves_room(store, monkeypatch):
    def goes(name="flips", size=8, fit="resize", wish="device", device="cpu", images=store):
        transform = train_transform(name, size, fit)
        return _goes_on_device(TrainSet(images, transform, 0), EpochSampler(ROWS, 4, 0), wish, device)

    assert goes() and goes("none") and goes("flips_both")
    assert not goes("forensic") and not goes("web") and not goes(size=6) and not goes(fit="crop")
    assert not goes(images=ImageStore([np.zeros((8, 8, 3), np.uint8)] * 13))  # may be of any sizes
    assert not goes(wish="host") and not goes(wish="auto")
    assert not _goes_on_device(FeatureSet([store], 0), EpochSampler(ROWS, 4, 0), "device", "cpu")
    for free, fits in ((4 * 9 * 8 * 8 * 3, True), (4 * 9 * 8 * 8 * 3 - 4, False)):
        monkeypatch.setattr("torch.cuda.mem_get_info", lambda free=free: (free, 0))
        assert goes(wish="auto", device="cuda") == fits
