import io
import json
import os

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from competition.kaggle.submission.write import submission_bytes, write_submission

HEADER = ("id", "label")
CARD, PROVENANCE = {"name": "mine", "cv": 0.9}, {"git_commit": "abc"}


@given(
    st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1), min_size=1, unique=True), st.data()
)
def test_any_ids_survive_in_their_order_with_integer_labels(ids, data):
    label = data.draw(st.lists(st.integers(0, 1), min_size=len(ids), max_size=len(ids)))
    content = submission_bytes(ids, np.array(label), HEADER)
    read = pd.read_csv(io.BytesIO(content), dtype={"id": str}, keep_default_na=False)
    assert read["id"].tolist() == ids and read["label"].tolist() == label and read["label"].dtype == "int64"
    assert b"\r" not in content and not content.startswith(b"\xef\xbb\xbf")


@pytest.mark.parametrize(
    ("ids", "label"), [(["a", "a"], [0, 1]), (["a"], [0, 1]), (["a", "b"], [0, 2]), (["a", "b"], [0, 0.5])]
)
def test_what_is_no_submission_is_never_written(ids, label):
    with pytest.raises(ValueError):
        submission_bytes(ids, np.array(label), HEADER)


def write(folder, content=b"id,label\na,1\n", card=CARD, provenance=PROVENANCE):
    return write_submission(folder, "mine", content, card, provenance)


def test_the_same_submission_is_written_once_whatever_the_commit(tmp_path):
    path, new = write(tmp_path)
    again, new_again = write(tmp_path, provenance={"git_commit": "def"})
    assert new and not new_again and again == path
    assert json.loads(path.with_suffix(".json").read_text())["git_commit"] == "abc"


def test_what_is_no_plain_file_in_its_place_is_never_read(tmp_path):
    path, _ = write(tmp_path)
    for one in (path, tmp_path / "submission.csv"):
        one.unlink()
        os.mkfifo(one)  # on which a reader would wait for ever
    again, new = write(tmp_path)
    assert new and again != path and (tmp_path / "submission.csv").read_bytes() == again.read_bytes()


def test_another_one_gets_a_name_of_its_own_and_the_latest_is_copied(tmp_path):
    first, _ = write(tmp_path)
    second, new = write(tmp_path, content=b"id,label\na,0\n")
    assert new and second != first
    assert (tmp_path / "submission.csv").read_bytes() == second.read_bytes() != first.read_bytes()
    write(tmp_path)
    assert (tmp_path / "submission.csv").read_bytes() == first.read_bytes()


def test_a_submission_cut_short_before_its_card_is_completed_under_its_name(tmp_path):
    path, _ = write(tmp_path)
    path.with_suffix(".json").unlink()
    assert write(tmp_path) == (path, True)
    assert len(list((tmp_path / "mine").iterdir())) == 2
