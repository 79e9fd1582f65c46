"""What files hold is read once and remembered, by threads that never run far ahead of their reader."""

import cv2
import numpy as np
import pytest

from competition.data.images.file_contents import file_stats, in_order, recall, survey
from competition.data.images.stores import StoreSpec


def test_digests_and_sizes_are_found_and_remembered_without_decoding(tmp_path):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((30, 50, 3), np.uint8))
    (tmp_path / "b.jpg").write_text("no image")
    stats = file_stats([str(tmp_path / name) for name in ("a.png", "b.jpg", "missing.jpg")])
    assert recall(tmp_path / "cache", stats) is None
    found = survey(tmp_path / "cache", stats, "images", 2)
    assert found.sizes.tolist() == [[30, 50], [0, 0], [0, 0]]
    assert found.digests.any(axis=1).tolist() == [True, True, False]
    assert found.gigabytes(StoreSpec(0, 25)) == 15 * 25 * 3 / 1e9
    assert found.gigabytes(StoreSpec(8)) == 8 * 8 * 3 / 1e9
    again = recall(tmp_path / "cache", stats)
    np.testing.assert_array_equal(again.digests, found.digests)
    np.testing.assert_array_equal(again.sizes, found.sizes)


def test_what_exists_but_could_not_be_read_is_tried_again(tmp_path):
    (tmp_path / "folder.jpg").mkdir()
    stats = file_stats([str(tmp_path / "folder.jpg")])
    survey(tmp_path / "cache", stats, "images", 1)
    assert recall(tmp_path / "cache", stats) is None


def test_items_come_in_order_and_threads_stay_a_few_chunks_ahead():
    begun = []

    def work(chunk: range) -> list[int]:
        begun.extend(chunk)
        return [row * row for row in chunk]

    chunks = [range(start, start + 3) for start in range(0, 90, 3)]
    for row, item in enumerate(in_order(work, chunks, 2, "rows")):
        assert item == row * row
        assert len(begun) <= row + 3 * 5
    assert sorted(begun) == list(range(90))


def test_an_error_in_a_thread_reaches_the_reader_and_stops_the_work():
    begun = []

    def work(chunk: list[int]) -> list[int]:
        begun.extend(chunk)
        return [1 // (chunk[0] - 4)]

    with pytest.raises(ZeroDivisionError):
        list(in_order(work, [[row] for row in range(100)], 2, "rows"))
    assert len(begun) < 12
