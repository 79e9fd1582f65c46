import os
import signal
import tempfile

import numpy as np
import pytest
import torch

from competition.core.errors import UserError
from competition.core.seeds import stream
from competition.data.augment import train_transform
from competition.data.images.stores import ArrayStore, ImageStore
from competition.data.loader import EpochSampler, EvalSet, TrainFeed, TrainSet, eval_feed, killed_workers_told

ROWS = list(range(3, 40))


@pytest.fixture(scope="module")
def store():
    """The same picture in every row, so that only its augmentation tells rows apart."""
    picture = np.random.default_rng(0).normal(size=(1, 24, 24, 3)).astype(np.float32)
    return ArrayStore(np.repeat(picture, 40, axis=0), "digest")


def epochs(store, workers, seed=1, numbers=(0, 1)):
    transform = train_transform("flips", 16, "crop", floating=True)
    feed = TrainFeed(TrainSet(store, transform, seed), EpochSampler(ROWS, 8, seed), workers, pin=False)
    return [[(batch.rows, batch.pixels.clone()) for batch in feed.epoch(number)] for number in numbers]


def test_neither_workers_nor_a_restart_at_a_later_epoch_change_a_pixel(store):
    alone = epochs(store, 0)
    for workers in (1, 3):
        for mine, theirs in zip(alone, epochs(store, workers), strict=True):
            assert all(torch.equal(a[0], b[0]) and torch.equal(a[1], b[1]) for a, b in zip(mine, theirs, strict=True))
    (restarted,) = epochs(store, 2, numbers=(1,))
    assert all(torch.equal(a[1], b[1]) for a, b in zip(alone[1], restarted, strict=True))


def test_workers_are_spawned_where_none_can_be_forked_and_change_no_pixel(store, monkeypatch):
    alone = epochs(store, 0, numbers=(0,))
    monkeypatch.setattr("competition.data.loader.start_method", lambda: "spawn")
    monkeypatch.setattr(os, "fork", None)
    for mine, theirs in zip(*alone, *epochs(store, 2, numbers=(0,)), strict=True):
        assert torch.equal(mine[0], theirs[0]) and torch.equal(mine[1], theirs[1])
    images = EvalSet(store, 16, "crop", ["centre"])
    batches = [list(eval_feed(images, ROWS, 8, workers, pin=False)) for workers in (0, 2)]
    for mine, theirs in zip(*batches, strict=True):
        assert torch.equal(mine.rows, theirs.rows) and torch.equal(mine.pixels, theirs.pixels)


class Deadly(ImageStore):
    """A store whose reader is killed."""

    def __getitem__(self, row):
        os.kill(os.getpid(), signal.SIGKILL)


def test_a_killed_worker_is_told_in_a_sentence_and_other_errors_as_they_are():
    images = EvalSet(Deadly([np.zeros((16, 16, 3), np.uint8)] * 8), 16, "crop", ["centre"])
    with pytest.raises(UserError, match="was killed, most likely for want of memory: use fewer workers="):
        with killed_workers_told():
            list(eval_feed(images, range(8), 4, 2, pin=False))
    with pytest.raises(RuntimeError, match="of another kind"), killed_workers_told():
        raise RuntimeError("of another kind")


def test_starting_workers_leaves_the_training_random_stream_alone(store):
    for workers in (0, 2):
        torch.manual_seed(3)
        epochs(store, workers)
        drawn = torch.rand(2)
        torch.manual_seed(3)
        assert torch.equal(drawn, torch.rand(2))


def test_each_epoch_sees_other_rows_first_and_each_row_other_pixels(store):
    first, second = epochs(store, 2)
    assert [rows.tolist() for rows, _ in first] != [rows.tolist() for rows, _ in second]
    rows = torch.cat([rows for rows, _ in first])
    assert len(first) == len(ROWS) // 8 and len(set(rows.tolist())) == len(rows) and set(rows.tolist()) <= set(ROWS)
    pixels = torch.cat([pixels for _, pixels in first]).flatten(1)
    assert len(pixels.unique(dim=0)) > 25  # 32 draws of 9 x 9 windows and a flip: few alike
    by_row = {int(row): picture for rows, pictures in second for row, picture in zip(rows, pictures, strict=True)}
    same = [
        torch.equal(by_row[int(row)].flatten(), picture)
        for row, picture in zip(rows, pixels, strict=True)
        if int(row) in by_row
    ]
    assert sum(same) < len(same) / 4


def test_evaluation_gives_every_row_once_in_order_with_its_crops(store):
    feed = eval_feed(EvalSet(store, 16, "crop", ["centre", "top_left"]), ROWS, 8, 2, pin=False)
    batches = list(feed)
    assert torch.cat([batch.rows for batch in batches]).tolist() == ROWS
    assert batches[0].pixels.shape == (8, 2, 3, 16, 16) and batches[-1].pixels.shape[0] == len(ROWS) % 8
    assert torch.equal(batches[0].pixels[0, 1], torch.from_numpy(store[3][:16, :16]).movedim(-1, 0))


def test_a_stream_belongs_to_its_parts():
    assert stream(0, "convnext", 1) == stream(0, "convnext", 1) != stream(0, "convnext", 2)
    assert 0 <= stream("a") < 2**63


def test_a_folder_for_temporary_files_that_is_too_deep_for_workers_is_said_and_not_waited_for(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / ("x" * 80)))
    with pytest.raises(UserError, match="is too long for processes that feed a training"):
        eval_feed(EvalSet(None, 8, "crop", ("centre",)), [0], 1, workers=1, pin=False)
    eval_feed(EvalSet(None, 8, "crop", ("centre",)), [0], 1, workers=0, pin=False)
