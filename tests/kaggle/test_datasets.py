"""A data set on Kaggle holds what the folder holds, by the real command line, or a sentence says what it lacks."""

import json
import sys

import pytest

from competition.kaggle.datasets import write_metadata
from tests.kaggle_world import World

REF = "alice/telltale-things"
UPLOAD = """
import sys
from pathlib import Path
from competition.core.errors import UserError
from competition.kaggle.client.account import find_account
from competition.kaggle.client.api import Kaggle
from competition.kaggle.datasets import upload_dataset
try:
    version = upload_dataset(Kaggle(find_account(), patience=5), Path(sys.argv[1]), print, float(sys.argv[2]))
    print("version", version)
except UserError as error:
    print(error)
    sys.exit(error.status)
"""


@pytest.fixture
def world():
    with World() as world:
        yield world


@pytest.fixture
def folder(tmp_path):
    write_metadata(tmp_path, REF)
    (tmp_path / "weights.safetensors").write_bytes(bytes(range(256)) * 300)
    (tmp_path / "pictures" / "inner").mkdir(parents=True)
    (tmp_path / "pictures" / "inner" / "a b (1).jpg").write_bytes(b"picture")
    (tmp_path / "pictures" / "b.jpg").write_bytes(b"another")
    (tmp_path / "pictures" / ".DS_Store").write_bytes(b"of this machine's")
    return tmp_path


def upload(world, folder, seconds=60):
    done = world.run(sys.executable, "-c", UPLOAD, folder, seconds)
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout.strip().splitlines()


def held(world):
    top = world.dataset(REF)
    return {path.relative_to(top).as_posix(): path.read_bytes() for path in top.rglob("*") if path.is_file()}


def test_a_folder_arrives_whole_once_and_again_only_when_it_changed(world, folder):
    status, said = upload(world, folder)
    assert (status, said[-1]) == (0, "version 1")
    own = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    del own["dataset-metadata.json"], own["pictures/.DS_Store"]
    assert held(world) == own
    created = world.requests("CreateDataset")[0].request
    assert created["isPrivate"] and json.loads((folder / "dataset-metadata.json").read_text())["id"] == REF
    sent = len(world.requests("PUT /upload"))
    assert upload(world, folder) == (0, [f"data set {REF} is up to date, version 1", "version 1"])
    assert len(world.requests("PUT /upload")) == sent
    (folder / "pictures" / "b.jpg").write_bytes(b"changed")  # as long as before
    world.set(dataset_failures=3)  # told of an earlier version, and for a moment after the upload
    status, said = upload(world, folder)
    assert (status, said[-1]) == (0, "version 2") and held(world)["pictures/b.jpg"] == b"changed"


def test_a_file_that_the_command_line_left_out_in_silence_is_sent_again(world, folder):
    world.fault("PUT /upload", "status", code=400)
    status, said = upload(world, folder)
    assert (status, said[-1]) == (0, "version 2")
    assert any("did not arrive whole: 1 of its files" in line for line in said), said
    assert "weights.safetensors" in held(world) and "pictures/b.jpg" in held(world)


def test_a_version_whose_answer_was_lost_is_recognised_and_not_made_twice(world, folder):
    world.fault("CreateDataset", "reset_after")  # the command line repeats the call and is told that the name is taken
    status, said = upload(world, folder)
    assert (status, said[-1]) == (0, "version 1"), said


def test_a_version_that_is_never_ready_is_left_for_later_with_status_3_and_taken_up_then(world, folder):
    world.set(dataset_pending=1000)
    status, said = upload(world, folder, seconds=2)
    assert status == 3 and "has not taken in data set" in said[-1] and said[-1].endswith("later.")
    status, said = upload(world, folder, seconds=2)
    assert status == 3 and "An earlier version" in said[-1]
    assert len(world.requests("CreateDataset")) == 1


def test_a_refusal_is_told_with_kaggles_reason(world, folder):
    write_metadata(folder, "bob/telltale-things")
    status, said = upload(world, folder)
    assert status == 2 and "bob/telltale-things (Permission 'datasets.create' was denied): correct" in said[-1]
