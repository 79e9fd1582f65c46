import itertools
import weakref
from pathlib import Path

import cv2
import numpy as np
import pytest

from competition.inference import classify_files as module
from competition.inference.classify_files import classify_files


class Judge:
    """Says of each image how many it was given with it."""

    batch = 3

    def classify(self, images):
        return [len(images)] * len(images)


@pytest.fixture
def image(tmp_path: Path) -> Path:
    cv2.imwrite(str(tmp_path / "image.png"), np.zeros((40, 60, 3), np.uint8))
    return tmp_path / "image.png"


def test_files_are_judged_in_batches_and_a_pause_ends_one(image):
    files = [image, image.with_name("gone.png"), image, image, None, image]
    answers = list(classify_files(Judge(), files))
    assert [path for path, _, _ in answers] == [file for file in files if file]
    assert [answer for _, answer, _ in answers] == [2, "there is no such file", 2, 1, 1]


def test_of_files_without_end_few_are_looked_at_ahead(image, monkeypatch):
    monkeypatch.setattr(module, "cores", lambda: 2)
    taken = []
    files = (taken.append(number) or image for number in itertools.count())
    answers = classify_files(Judge(), files)
    assert [answer for _, answer, _ in itertools.islice(answers, 10)] == [3] * 10
    assert len(taken) <= 12 + 2 * 2 + 1


def test_of_large_pictures_one_is_held_at_a_time(image, monkeypatch):
    held = []

    def read_image(path):
        assert [picture for picture in held if picture() is not None] == []
        picture = np.zeros((40, 60, 3), np.uint8)
        held.append(weakref.ref(picture))
        return picture

    monkeypatch.setattr(module, "read_image", read_image)
    monkeypatch.setattr(module, "LARGE_PIXELS", 1_000)
    monkeypatch.setattr(module, "BATCH_BYTES", 1_000)
    assert [answer for _, answer, _ in classify_files(Judge(), [image] * 4)] == [1] * 4
