"""Images in a folder are found by their names' ends, and none is passed over in silence."""

import os

import pytest

from competition.core.errors import UserError
from competition.data.images.find import image_files


def test_images_are_found_however_deep_and_hidden_ones_passed_over(tmp_path):
    names = ["a.png", "deep/er/b.JPG", ".c.png", ".hidden/d.png", "__MACOSX/e.png", "f.txt", "deep/g.gif"]
    for name in names:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    found = sorted(os.path.relpath(path, tmp_path) for path in image_files(tmp_path))
    assert found == ["a.png", "deep/er/b.JPG", "deep/g.gif"]


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path):
    with pytest.raises(UserError, match="gone cannot be read"):
        list(image_files(tmp_path / "gone"))
