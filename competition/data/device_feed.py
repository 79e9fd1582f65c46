"""Feed a model from images that lie on its device as a whole, mirrored there by the batch: the usual feed's pixels."""

import math
from collections.abc import Iterator
from typing import TypeGuard

import torch

from competition.data.augment import MIRRORED
from competition.data.loader import Batch, EpochSampler, FeatureSet, TrainFeed, TrainSet, stored_as

SHARE = 0.25  # of the GPU's free memory, which a data set may fill: the rest is for the network
COPIED = 1024  # images that are copied to the device at a time


def training_feed(
    images: TrainSet | FeatureSet, order: EpochSampler, wish: str, device: str, workers: int
) -> "TrainFeed | DeviceFeed":
    """Return what feeds a training on ``device``: from its memory where ``wish``, the setting ``store``, lets it, or
    else from this machine's, by so many ``workers``."""
    if _goes_on_device(images, order, wish, device):
        return DeviceFeed(images, order, device)
    return TrainFeed(images, order, workers, pin=device == "cuda")


def _goes_on_device(images: TrainSet | FeatureSet, order: EpochSampler, wish: str, device: str) -> TypeGuard[TrainSet]:
    """Whether training images are to lie on the device: where they are stored as the network takes them and only
    mirrored; with the ``wish`` auto on a GPU alone, and where they fill little of it."""
    if wish == "host" or not isinstance(images, TrainSet):
        return False
    if images.transform.name not in MIRRORED or images.transform.fit != "resize":
        return False
    if (shape := stored_as(images.store, images.transform.size)) is None:
        return False
    size = len(order.rows) * math.prod(shape) * images.store.dtype.itemsize
    return wish == "device" or (device == "cuda" and size <= SHARE * torch.cuda.mem_get_info()[0])


class DeviceFeed:
    """Batches of training images that lie on ``device``; the same pixels, in the same order, as of a TrainFeed."""

    def __init__(self, images: TrainSet, order: EpochSampler, device: str):
        self._images, self._sampler = images, order
        rows = order.rows.tolist()
        self._at = {row: at for at, row in enumerate(rows)}
        pieces = [rows[start : start + COPIED] for start in range(0, len(rows), COPIED)]
        pixels = torch.cat([torch.from_numpy(images.store.batch(piece)).to(device) for piece in pieces])
        self._pixels = pixels.movedim(-1, -3)

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return len(self._sampler)

    def epoch(self, number: int) -> Iterator[Batch]:
        self._sampler.epoch = number
        device, axes = self._pixels.device, MIRRORED[self._images.transform.name]
        for keys in self._sampler:
            rows = [row for _, row in keys]
            pixels = self._pixels[torch.tensor([self._at[row] for row in rows], device=device)]
            mirrored = torch.tensor([self._images.mirrored(*key) for key in keys], dtype=torch.bool, device=device)
            for axis, chosen in zip(axes, mirrored.T, strict=True):
                pixels = torch.where(chosen[:, None, None, None], pixels.flip(axis), pixels)
            yield Batch(torch.as_tensor(rows), pixels)
