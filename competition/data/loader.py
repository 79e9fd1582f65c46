"""Feed a model from a pixel store: batches whose pixels depend on (seed, epoch, row) alone, whatever feeds them."""

import contextlib
import os
import signal
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from multiprocessing.util import get_temp_dir
from typing import NamedTuple

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from competition.core.errors import UserError
from competition.core.seeds import stream
from competition.data.augment import TrainTransform, mix_seed
from competition.data.images.stores import Store
from competition.data.tta import eval_crops

MAX_TEMPORARY = 75  # bytes: workers meet at sockets below that folder, and the whole path may have 107


class Batch(NamedTuple):
    """``rows``: (n,) int64 rows of the store; ``pixels``: (n, c, h, w), for evaluation (n, crops, c, h, w)."""

    rows: Tensor
    pixels: Tensor


class EpochSampler(Sampler):
    """Batches of (epoch, row), shuffled by (seed, epoch); a short last batch is left out, unless there is no other.

    ``partner``: for each of the ``rows`` the position of its pair's other row, or its own (see data/pairs.py). Both
    rows of a pair come into one batch, and batches, whose size must then be even, stay as large as without.
    """

    def __init__(self, rows: Sequence[int], batch_size: int, seed: int, partner: np.ndarray | None = None):
        self.rows = np.asarray(rows)
        self.batch_size = min(batch_size, len(self.rows))
        self.seed = seed
        self.partner = partner
        self.epoch = 0

    def __len__(self) -> int:
        return len(self.rows) // self.batch_size

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        rng = np.random.default_rng(stream("order", self.seed, self.epoch))
        if self.partner is None:
            order = rng.permutation(self.rows)
        else:
            order = self.rows[_two_by_two(self.partner, rng)]
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            yield [(self.epoch, int(row)) for row in order[start : start + self.batch_size]]


def _two_by_two(partner: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return all positions in random order, pairs side by side from an even place on.

    Single rows go two by two as well; where their number is odd, one of them is last.
    """
    at = np.arange(len(partner))
    single = rng.permutation(at[partner == at])
    first = at[at < partner]
    twos = np.concatenate([np.stack([first, partner[first]], 1), single[: len(single) // 2 * 2].reshape(-1, 2)])
    return np.concatenate([rng.permutation(twos).ravel(), single[len(single) // 2 * 2 :]])


class TrainSet(Dataset):
    """Augmented pictures by (epoch, row), a whole batch at a time.

    ``alike``: rows that are augmented with another row's seed, as a pair's are.
    """

    def __init__(self, store: Store, transform: TrainTransform, seed: int, alike: Mapping[int, int] | None = None):
        self.store, self.transform, self.seed, self.alike = store, transform, seed, alike or {}

    def __getitem__(self, keys: list[tuple[int, int]]) -> Batch:
        rows = [row for _, row in keys]
        if self.transform.pipeline is None and stored_as(self.store, self.transform.size):
            return _batch(rows, self.store.batch(rows))
        return _batch(rows, np.stack([self._variant(epoch, row) for epoch, row in keys]))

    def mirrored(self, epoch: int, row: int) -> list[bool]:
        """Return along which axes of ``MIRRORED`` the picture is mirrored, where that is all that happens to it."""
        return self.transform.mirrored(self._seed_of(epoch, row))

    def _variant(self, epoch: int, row: int) -> np.ndarray:
        return self.transform(self.store[row], self._seed_of(epoch, row))

    def _seed_of(self, epoch: int, row: int) -> tuple[int, int, int]:
        return self.seed, epoch, self.alike.get(row, row)


class FeatureSet(Dataset):
    """A frozen backbone's features by (epoch, row): in each epoch those of one of the row's variants.

    ``stores``: the features of the same rows, as they are and augmented; (seed, epoch, row) decides which is drawn.
    """

    def __init__(self, stores: Sequence[Store], seed: int):
        self.stores, self.seed = tuple(stores), seed

    def __getitem__(self, keys: list[tuple[int, int]]) -> Batch:
        drawn = [mix_seed((self.seed, *key)) % len(self.stores) for key in keys]
        features = [self.stores[variant][row] for variant, (_, row) in zip(drawn, keys, strict=True)]
        return _batch([row for _, row in keys], np.stack(features))


class EvalSet(Dataset):
    """Deterministic crops by row, a whole batch at a time."""

    def __init__(self, store: Store, size: int, fit: str, crops: Sequence[str]):
        self.store, self.size, self.fit, self.crops = store, size, fit, tuple(crops)

    def __getitem__(self, rows: list[int]) -> Batch:
        if self.crops == ("centre",) and stored_as(self.store, self.size):
            return _batch(rows, self.store.batch(rows)[:, None])
        return _batch(rows, np.stack([eval_crops(self.store[r], self.size, self.fit, self.crops) for r in rows]))


def stored_as(store: Store, size: int) -> tuple[int, ...] | None:
    """Return the pictures' (H, W, C) where all are stored as the network takes them, so that a whole batch can be
    gathered at once; else None."""
    return store.common_shape if store.common_shape and store.common_shape[:2] == (size, size) else None


def _batch(rows: Sequence[int], pixels: np.ndarray) -> Batch:
    return Batch(torch.as_tensor(rows), torch.from_numpy(pixels).movedim(-1, -3))


def _prepare_worker(_worker: int) -> None:
    """Set up a worker process: one thread, and no answer to Ctrl-C, which is its parent's to answer.

    An error in a batch is sent to the parent. What is said otherwise comes from the thread that hands over pixels, of
    a parent that has just ended.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sys.excepthook = lambda *error: None
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def start_method() -> str:
    """Return how worker processes start: forked ones do so in milliseconds, but a Mac's libraries do not bear it, and
    Windows knows only spawned ones."""
    return "fork" if sys.platform == "linux" else "spawn"


def _loader(dataset: Dataset, batches: Iterable, workers: int, pin: bool) -> DataLoader:
    if workers and len(os.fsencode(tempfile.gettempdir())) > MAX_TEMPORARY:
        raise UserError(
            f"The path of the folder for temporary files, {tempfile.gettempdir()}, is too long for processes that feed "
            f"a training (more than {MAX_TEMPORARY} bytes): set TMPDIR to a shorter one, or workers=0."
        )
    if workers:
        get_temp_dir()  # this process removes it: a worker would make one of its own, and leave it when killed
    return DataLoader(
        dataset,
        sampler=batches,
        batch_size=None,  # each of the batches is one item of the dataset
        num_workers=workers,
        pin_memory=pin,
        persistent_workers=workers > 0,
        worker_init_fn=_prepare_worker,
        multiprocessing_context=start_method() if workers else None,
        generator=torch.Generator(),  # left out, starting workers would draw from the training's own random stream
    )


@contextlib.contextmanager
def killed_workers_told() -> Iterator[None]:
    """Say in a sentence that the system killed a worker process, which torch raises wherever the block is just then."""
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker (pid"):
            raise
        raise UserError(
            "A process that feeds the training with images was killed, most likely for want of memory: use fewer "
            "workers= (0 for none) or a smaller batch_size; the same line goes on from here."
        ) from error


class TrainFeed:
    """One DataLoader for all the epochs of a job, so that its workers start once."""

    def __init__(self, images: TrainSet | FeatureSet, order: EpochSampler, workers: int, pin: bool):
        self._sampler = order
        self._loader = _loader(images, order, workers, pin)

    def __len__(self) -> int:
        """Return the number of batches in an epoch."""
        return len(self._sampler)

    def epoch(self, number: int) -> Iterator[Batch]:
        self._sampler.epoch = number
        return iter(self._loader)


def eval_feed(images: EvalSet, rows: Sequence[int], batch_size: int, workers: int, pin: bool) -> DataLoader:
    """Return batches of every row once, in order; pixels (n, crops, c, h, w)."""
    return _loader(images, _in_order([int(row) for row in rows], batch_size), workers, pin)


def variant_feed(
    images: TrainSet, variant: int, rows: Sequence[int], batch_size: int, workers: int, pin: bool
) -> DataLoader:
    """Return batches of every row once, in order, augmented as in epoch ``variant``; pixels (n, c, h, w)."""
    return _loader(images, _in_order([(variant, int(row)) for row in rows], batch_size), workers, pin)


def _in_order(keys: list, batch_size: int) -> list[list]:
    return [keys[start : start + batch_size] for start in range(0, len(keys), batch_size)]
