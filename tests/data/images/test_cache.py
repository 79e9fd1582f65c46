"""A cache holds exactly what decoding gives, is found by content alone, and is whole or absent however a run ends."""

import dataclasses
import json
import os
import pickle
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections import namedtuple
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from competition.core.errors import UserError
from competition.data.images import cache, file_contents
from competition.data.images.cache import open_stores
from competition.data.images.decode import UnreadableImage, fit_store, read_image
from competition.data.images.degrade import jpeg
from competition.data.images.stores import ArrayStore, DecodingStore, PixelStore, StoreSpec

NATIVE, SMALL = StoreSpec(0, 48), StoreSpec(16, 0)


def _images(folder: Path, count: int, sides=((32, 32),), seed: int = 0) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    paths = []
    for row in range(count):
        height, width = sides[row % len(sides)]
        path = folder / f"{row:04} (1).jpg"
        path.write_bytes(cv2.imencode(".jpg", random.integers(0, 256, (height, width, 3), np.uint8))[1].tobytes())
        paths.append(str(path))
    return paths


def _tree(folder: Path) -> dict[str, int]:
    """Every file below with its date, to see whether anything was written."""
    return {str(path): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def _open(paths, specs, folder, budget=1.0):
    return open_stores(paths, specs, folder, budget, "test images", workers=2)


@pytest.fixture
def decodings(monkeypatch):
    """Counts the images that a build decodes."""
    seen = []
    monkeypatch.setattr(cache, "read_image", lambda path: seen.append(path) or read_image(path))
    return seen


def test_one_pass_decodes_each_file_once_and_fills_every_spec(tmp_path, decodings):
    paths = _images(tmp_path / "in", 150, sides=((32, 32), (60, 40), (20, 100)))
    stores = _open(paths, [NATIVE, SMALL, NATIVE], tmp_path / "cache")
    assert sorted(decodings) == sorted(paths)
    assert set(stores) == {NATIVE, SMALL}
    for spec, store in stores.items():
        assert isinstance(store, PixelStore) and store.cached and store.dtype == np.uint8
        assert len(store) == 150 and store.bad == {}
        for row, path in enumerate(paths):
            expected = fit_store(read_image(path), spec.size, spec.cap)
            np.testing.assert_array_equal(store[row], expected)
            assert store.shape(row) == expected.shape


def test_images_compressed_alike_are_a_store_of_their_own_cached_or_not(tmp_path):
    paths = _images(tmp_path / "in", 8, sides=((32, 32), (60, 40)))
    alike = dataclasses.replace(NATIVE, quality=90)
    stores = _open(paths, [NATIVE, alike], tmp_path / "cache")
    decoding = _open(paths, [alike], tmp_path / "cache", 0.0)[alike]
    for row, path in enumerate(paths):
        expected = jpeg(fit_store(read_image(path), 0, 48), 90)
        np.testing.assert_array_equal(stores[alike][row], expected)
        np.testing.assert_array_equal(decoding[row], expected)
        assert stores[alike].shape(row) == stores[NATIVE].shape(row)
        assert not np.array_equal(stores[NATIVE][row], expected)


def test_a_store_without_compression_is_named_as_it_was_before_there_was_one():
    assert StoreSpec(16, 0).key == [16, 0] and StoreSpec(0, 48, 96).key == [0, 48, 96]


def test_equal_shapes_make_a_batch_and_unequal_ones_do_not(tmp_path):
    stores = _open(_images(tmp_path / "in", 9, sides=((32, 32), (60, 40))), [NATIVE, SMALL], tmp_path / "cache")
    rows = [5, 0, 8, 5]
    assert stores[SMALL].common_shape == (16, 16, 3) and stores[NATIVE].common_shape is None
    np.testing.assert_array_equal(stores[SMALL].batch(rows), np.stack([stores[SMALL][row] for row in rows]))
    np.testing.assert_array_equal(stores[NATIVE].batch([0, 2]), np.stack([stores[NATIVE][0], stores[NATIVE][2]]))
    with pytest.raises(ValueError, match="different sizes"):
        stores[NATIVE].batch([0, 1])


def test_unreadable_files_are_named_and_take_no_ones_place(tmp_path):
    paths = _images(tmp_path / "in", 6)
    Path(paths[0]).write_bytes(b"")
    Path(paths[2]).write_bytes(Path(paths[2]).read_bytes()[:-200])
    Path(paths[3]).write_text("not found")
    Path(paths[5]).unlink()
    for budget in (1.0, 0.0):
        store = _open(paths, [SMALL], tmp_path / "cache", budget)[SMALL]
        assert {row: reason.split()[-1] for row, reason in store.bad.items()} == {
            0: "empty",
            2: "truncated",
            3: "image",
            5: "file",
        }
        np.testing.assert_array_equal(store.batch([4, 1])[0], fit_store(read_image(paths[4]), 16))
        for use in (lambda s: s[2], lambda s: s.shape(2), lambda s: s.batch([1, 2])):
            with pytest.raises(UnreadableImage, match="truncated") as refused:
                use(pickle.loads(pickle.dumps(store)))
            assert refused.value.path == paths[2]


def test_large_pictures_are_decoded_one_after_the_other_each_when_it_is_written(tmp_path, monkeypatch):
    paths, decoders = _images(tmp_path / "in", 15, sides=[(40, 60), (8, 8), (8, 9)]), {}

    def read(path):
        decoders[path] = threading.get_ident()
        return read_image(path)

    monkeypatch.setattr(cache, "LARGE_PIXELS", 1_000)
    monkeypatch.setattr(cache, "read_image", read)
    (store,) = open_stores(paths, [StoreSpec(0)], tmp_path / "cache", 1, "images", workers=4).values()
    here = [path for path in paths if decoders[path] == threading.get_ident()]
    assert here == paths[::3]
    for row, path in enumerate(paths):
        np.testing.assert_array_equal(store[row], read_image(path))


def test_a_list_of_nothing_readable_still_opens(tmp_path):
    store = _open([str(tmp_path / "missing.jpg")], [NATIVE, SMALL], tmp_path / "cache")[SMALL]
    assert len(store) == 1 and list(store.bad) == [0] and store.common_shape is None
    assert len(_open([], [SMALL], tmp_path / "cache")[SMALL]) == 0


def test_a_second_run_reads_no_file_and_writes_nothing(tmp_path, decodings, monkeypatch):
    paths = _images(tmp_path / "in", 20)
    first = _open(paths, [SMALL], tmp_path / "cache")[SMALL]
    written = _tree(tmp_path / "cache")
    del decodings[:]
    monkeypatch.setattr(file_contents, "read_bytes", None)  # any reading would fail
    second = _open(paths, [SMALL], tmp_path / "cache")[SMALL]
    assert second.digest == first.digest and not decodings and _tree(tmp_path / "cache") == written


def test_a_file_changed_in_place_with_the_same_size_and_date_is_noticed(tmp_path):
    paths = _images(tmp_path / "in", 20)
    first = _open(paths, [SMALL], tmp_path / "cache")[SMALL]
    stat = os.stat(paths[3])
    changed = Path(paths[3]).read_bytes()[:-2] + b"xx"
    time.sleep(0.02)  # the clock of file systems ticks every few milliseconds
    Path(paths[3]).write_bytes(changed)
    os.utime(paths[3], ns=(stat.st_atime_ns, stat.st_mtime_ns))
    second = _open(paths, [SMALL], tmp_path / "cache")[SMALL]
    assert (second.digests != first.digests).any(axis=1).nonzero()[0].tolist() == [3]


def test_forgotten_files_are_read_again_whatever_their_dates_say(tmp_path, monkeypatch):
    paths, cache = _images(tmp_path / "in", 4), tmp_path / "cache"
    monkeypatch.setattr(file_contents, "file_stats", lambda paths: [(path, 1, 1, 1) for path in paths])
    monkeypatch.setattr("competition.data.images.cache.file_stats", file_contents.file_stats)
    first = _open(paths, [SMALL], cache)[SMALL]
    Path(paths[0]).write_bytes(Path(paths[1]).read_bytes())
    assert _open(paths, [SMALL], cache)[SMALL].digest == first.digest
    file_contents.forget(cache, paths)
    assert _open(paths, [SMALL], cache)[SMALL].digest != first.digest


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04", b"x" * 100], ids=["empty", "cut", "other"])
def test_a_damaged_memory_of_what_files_hold_is_made_anew(tmp_path, damage):
    paths, cache = _images(tmp_path / "in", 4), tmp_path / "cache"
    first = _open(paths, [SMALL], cache)[SMALL]
    (record,) = (cache / "lists").iterdir()
    record.write_bytes(damage)
    assert _open(paths, [SMALL], cache)[SMALL].digest == first.digest and len(record.read_bytes()) > 100


def test_moved_or_touched_files_are_read_again_but_not_decoded(tmp_path, decodings):
    paths = _images(tmp_path / "in", 20)
    first = _open(paths, [SMALL], tmp_path / "cache")[SMALL]
    del decodings[:]
    shutil.copytree(tmp_path / "in", tmp_path / "moved")
    for path in paths:
        os.utime(path, (1, 1))
    for again in (paths, [path.replace("/in/", "/moved/") for path in paths]):
        store = _open(again, [SMALL], tmp_path / "cache")[SMALL]
        assert store.digest == first.digest and not decodings


def test_changed_or_reordered_files_are_another_content(tmp_path, decodings):
    paths = _images(tmp_path / "in", 8)
    first = _open(paths, [SMALL], tmp_path / "cache")[SMALL]
    backwards = _open(paths[::-1], [SMALL], tmp_path / "cache")[SMALL]
    np.testing.assert_array_equal(backwards[0], first[7])
    np.testing.assert_array_equal(backwards.digests, first.digests[::-1])
    shutil.copy(paths[0], paths[1])
    changed = _open(paths, [SMALL], tmp_path / "cache")[SMALL]
    np.testing.assert_array_equal(changed[1], first[0])
    assert len({first.digest, backwards.digest, changed.digest}) == 3
    assert first.digests.shape == (8, 16) and first.digests.dtype == np.uint8
    assert np.array_equal(changed.digests[0], changed.digests[1]) and len(np.unique(first.digests, axis=0)) == 8


def test_a_spec_added_later_leaves_the_others_alone(tmp_path):
    paths = _images(tmp_path / "in", 8)
    _open(paths, [SMALL], tmp_path / "cache")
    before = _tree(tmp_path / "cache")
    _open(paths, [SMALL, NATIVE], tmp_path / "cache")
    after = _tree(tmp_path / "cache")
    assert all(after[path] == date for path, date in before.items() if not path.endswith("lock"))


def test_without_a_budget_the_same_pixels_are_decoded_at_each_access(tmp_path, decodings):
    paths = _images(tmp_path / "in", 10, sides=((32, 32), (60, 40)))
    cached = _open(paths, [NATIVE, SMALL], tmp_path / "cache")
    decoded = _open(paths, [NATIVE, SMALL], tmp_path / "none", budget=0)
    assert not list((tmp_path / "none").rglob("pixels.bin"))
    for spec, store in decoded.items():
        store = pickle.loads(pickle.dumps(store))
        assert isinstance(store, DecodingStore) and not store.cached
        assert (store.digest, store.common_shape) == (cached[spec].digest, cached[spec].common_shape)
        for row in range(10):
            np.testing.assert_array_equal(store[row], cached[spec][row])
            assert store.shape(row) == cached[spec].shape(row)
    np.testing.assert_array_equal(decoded[SMALL].batch([3, 1]), cached[SMALL].batch([3, 1]))
    with pytest.raises(ValueError, match="different sizes"):
        decoded[NATIVE].batch([0, 1])
    del decodings[:]
    _open(paths, [NATIVE, SMALL], tmp_path / "none", budget=0)
    assert not decodings, "a second run looked for unreadable files again"


def test_the_budget_covers_all_specs_together_and_goes_to_the_smallest(tmp_path):
    paths = _images(tmp_path / "in", 10)
    small, native = 10 * 16 * 16 * 3 / 1e9, 10 * 32 * 32 * 3 / 1e9
    for budget, expected in [
        (small + native, (True, True)),
        (native + small / 2, (True, False)),
        (small / 2, (False, False)),
    ]:
        stores = _open(paths, [NATIVE, SMALL], tmp_path / f"cache{budget}", budget)
        assert (stores[SMALL].cached, stores[NATIVE].cached) == expected


def test_a_full_disk_is_one_sentence_before_anything_is_decoded(tmp_path, monkeypatch, decodings):
    paths = _images(tmp_path / "in", 4)
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, 10**12, 5 * 10**8))
    with pytest.raises(UserError, match=r"needs 0\.0 GB .* only 0\.5 GB .*cache_gb=0.*cache=DIR"):
        _open(paths, [NATIVE], tmp_path / "cache")
    assert not decodings
    assert not _open(paths, [NATIVE], tmp_path / "cache", budget=0)[NATIVE].cached


def test_a_damaged_cache_is_built_anew(tmp_path):
    paths = _images(tmp_path / "in", 4)
    before = _open(paths, [SMALL], tmp_path / "cache")[SMALL][3].copy()
    for damage in (lambda file: os.truncate(file, 100), os.unlink):
        (pixels,) = (tmp_path / "cache").rglob("pixels.bin")
        damage(pixels)
        np.testing.assert_array_equal(_open(paths, [SMALL], tmp_path / "cache")[SMALL][3], before)


def test_files_that_change_while_they_are_decoded_make_no_cache(tmp_path, monkeypatch):
    paths = _images(tmp_path / "in", 4)

    def changing(path):
        image = read_image(path)
        Path(path).write_bytes(Path(path).read_bytes() + b"\0")
        return image

    monkeypatch.setattr(cache, "read_image", changing)
    with pytest.raises(UserError, match="test images: files changed"):
        _open(paths, [SMALL], tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("pixels.bin"))


BUILD = textwrap.dedent("""
    import glob, sys, time
    from pathlib import Path
    from competition.data.images import cache, file_contents
    if sys.argv[3] == "slowly":
        read = cache.read_image
        cache.read_image = lambda path: time.sleep(0.02) or read(path)
    paths, spec = sorted(glob.glob(sys.argv[1] + "/*")), cache.StoreSpec(16, 0)
    print(cache.open_stores(paths, [spec], Path(sys.argv[2]), 1, "t", 1)[spec].digest)
""")


def _build(tmp_path: Path, pace: str) -> subprocess.Popen:
    command = [sys.executable, "-c", BUILD, str(tmp_path / "in"), str(tmp_path / "cache"), pace]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def _wait_for(pattern: str, folder: Path) -> None:
    deadline = time.monotonic() + 90
    while not list(folder.glob(pattern)):
        assert time.monotonic() < deadline, f"no {pattern} in {folder}"
        time.sleep(0.01)


def test_a_killed_build_leaves_nothing_that_counts_and_the_next_one_cleans_up(tmp_path):
    paths = _images(tmp_path / "in", 200)
    victim = _build(tmp_path, "slowly")
    _wait_for(".building-*/pixels.bin", tmp_path / "cache")
    victim.send_signal(signal.SIGKILL)
    victim.communicate()
    assert not list((tmp_path / "cache").glob("*/manifest.json"))
    store = _open(paths, [SMALL], tmp_path / "cache")[SMALL]
    np.testing.assert_array_equal(store[199], fit_store(read_image(paths[199]), 16))
    assert not list((tmp_path / "cache").glob(".building-*"))


def test_two_runs_at_once_build_one_cache_and_neither_fails(tmp_path, decodings):
    paths = _images(tmp_path / "in", 40)
    first = _build(tmp_path, "slowly")
    _wait_for(".building-*", tmp_path / "cache")
    store = _open(paths, [SMALL], tmp_path / "cache")[SMALL]
    out, err = first.communicate()
    assert first.returncode == 0, err
    assert out.strip() == store.digest and not decodings and err == ""


class _Rows(torch.utils.data.Dataset):
    def __init__(self, store):
        self.store = store

    def __len__(self) -> int:
        return len(self.store)

    def __getitem__(self, row: int) -> torch.Tensor:
        return torch.tensor(self.store[row])


def test_workers_reopen_the_map_and_no_pixel_is_pickled(tmp_path):
    store = _open(_images(tmp_path / "in", 12), [SMALL], tmp_path / "cache")[SMALL]
    assert len(pickle.dumps(store)) < 500
    for copy in (store, pickle.loads(pickle.dumps(store))):
        seen = torch.cat(list(torch.utils.data.DataLoader(_Rows(copy), 4, num_workers=2)))
        np.testing.assert_array_equal(seen.numpy(), store.batch(range(12)))


def test_cached_pixels_cannot_be_written_to(tmp_path):
    store = _open(_images(tmp_path / "in", 2), [SMALL], tmp_path / "cache")[SMALL]
    with pytest.raises(ValueError, match="read-only"):
        store[0][:] = 0
    with pytest.raises(IndexError):
        store[-1]


def test_the_manifest_says_what_is_in_a_cache(tmp_path):
    store = _open(_images(tmp_path / "in", 3), [SMALL], tmp_path / "cache")[SMALL]
    (manifest,) = (tmp_path / "cache").glob("*/manifest.json")
    said = json.loads(manifest.read_text())
    assert (said["images"], said["size"], said["bytes"]) == (3, 16, 3 * 16 * 16 * 3)
    assert said["content"] == store.digest and said["decoder"].startswith("opencv-")


def test_an_array_store_gives_back_its_floats():
    array = np.random.default_rng(0).normal(size=(5, 20, 20, 3)).astype(np.float32)
    store = ArrayStore(array, "d" * 16)
    assert store.cached and store.bad == {} and store.digest == "d" * 16 and len(store) == 5
    assert store.dtype == np.float32 and store.shape(2) == store.common_shape == (20, 20, 3)
    np.testing.assert_array_equal(store[2], array[2])
    np.testing.assert_array_equal(store.batch([4, 0]), array[[4, 0]])
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(store))[1], array[1])
    twins = ArrayStore(np.concatenate([array, array[:1]]), "")
    assert np.array_equal(twins.digests[0], twins.digests[5]) and len(np.unique(twins.digests, axis=0)) == 5
    with pytest.raises(ValueError, match="float32"):
        ArrayStore(array.astype(np.float64), "")
