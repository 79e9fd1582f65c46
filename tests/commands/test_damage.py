"""What was damaged on disk is refused by its name, or made again to the same bytes; what was refused leaves nothing."""

import os
import shutil

import pytest
import yaml

from tests.running import done_inside, everything, inside, outcome


@pytest.fixture
def home(ran, tmp_path, monkeypatch):
    shutil.copytree(ran, tmp_path / "home", symlinks=True)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith(("KAGGLE_", "XDG_"))]:
        monkeypatch.delenv(name)
    return tmp_path / "home"


def flip(path):
    """Flip one bit in the middle of a file, whose date stays."""
    content, found = bytearray(path.read_bytes()), path.stat()
    content[len(content) // 2] ^= 1
    path.unlink()
    path.write_bytes(content)
    os.utime(path, ns=(found.st_atime_ns, found.st_mtime_ns))


@pytest.mark.parametrize(
    "command", [["predict", "name=run", "data"], ["bundle", "name=run", "owner=me", "competition=x"]]
)
def test_weights_with_a_flipped_bit_answer_nothing_and_are_not_packed(home, command):
    flip(home / "folds/run/convnext/fold1/model.safetensors")
    before = everything(home)
    refused = inside(home, *command)
    assert refused.returncode == 2
    assert "convnext/fold1/model.safetensors is damaged" in refused.stderr
    assert everything(home) == before


@pytest.mark.parametrize("name", ["oof.csv", "test.csv", "evidence.npz"])
def test_predictions_with_a_flipped_bit_are_made_again_to_the_same_bytes(home, name):
    flip(home / "folds/run/probe/fold0" / name)
    expected = outcome(home) | {f"folds/run/probe/fold0/{name}": None}
    done_inside(home, "name=run")
    found = outcome(home)
    assert found.keys() == expected.keys()
    assert [path for path in found if found[path] != expected[path]] == [f"folds/run/probe/fold0/{name}"]


def test_a_pipe_in_a_runs_folder_is_refused_and_nobody_waits_for_it(home):
    (home / "folds/run/run.json").unlink()
    os.mkfifo(home / "folds/run/run.json")
    for command in (["predict", "name=run", "data"], ["name=run"]):
        refused = inside(home, *command)
        assert refused.returncode == 2 and "run.json is neither a file nor a folder" in refused.stderr


def test_another_runs_record_answers_for_no_run(home):
    (home / "folds/twin").mkdir()
    shutil.copy2(home / "folds/run/run.json", home / "folds/twin/run.json")
    refused = inside(home, "predict", "name=twin", "data")
    assert refused.returncode == 2 and "that of the run 'run'" in refused.stderr


def test_a_ledger_of_a_user_without_credentials_is_printed_and_not_drawn(home):
    row = "2026-01-01T00:00:00Z,cats,f1,7,complete,0.9,0.95"
    (home / "submissions/ledger.csv").write_text(f"time,competition,fingerprint,ref,status,public,cv\n{row}\n")
    before = everything(home)
    refused = inside(home, "ledger")
    assert refused.returncode == 2 and "credentials" in refused.stderr
    assert everything(home) == before


@pytest.mark.parametrize("words", [[], ["request.json"], ["request.json", "soon", "out"], ["a", "1", "b", "c", "d"]])
def test_a_session_is_not_for_users(tmp_path, words):
    refused = inside(tmp_path, "session", *words)
    assert refused.returncode == 2 and refused.stderr.startswith("Error: session is what engine=kaggle runs")


@pytest.mark.parametrize("place", ["notes.yaml", "data/demo/train.csv"])
def test_a_submission_replaces_nothing_but_a_submission(home, place):
    (data,) = (path.parent for path in home.glob("data/*/train.csv"))
    out = home / place if place == "notes.yaml" else data / "train.csv"
    if not out.exists():
        out.write_text("a: 1\n")
    before = everything(home)
    refused = inside(home, "predict", "name=run", f"test={data}", f"out={out}")
    assert refused.returncode == 2 and "is not an earlier submission" in refused.stderr
    assert everything(home) == before


def test_an_audit_of_images_none_of_which_can_be_read_says_so(tmp_path):
    names = [f"broken{n}.png" for n in range(20)]
    for name in names:
        (tmp_path / name).write_bytes(b"no image")
    (tmp_path / "train.csv").write_text("id,label\n" + "".join(f"{name},{n % 2}\n" for n, name in enumerate(names)))
    assert "broken-files: 20 " in done_inside(tmp_path, "audit", f"data={tmp_path}", "name=x")


def test_a_run_that_has_lost_its_settings_is_not_taken_for_the_demo(home):
    (home / "folds/run/config.yaml").unlink()
    before = everything(home)
    refused = inside(home, "name=run")
    assert refused.returncode == 2 and "The run 'run' has lost its settings" in refused.stderr
    assert everything(home) == before


def test_settings_that_lack_a_member_of_the_run_are_damaged(home):
    path = home / "folds/run/config.yaml"
    text = path.read_text()
    path.unlink()
    settings = yaml.safe_load(text)
    del settings["members"]["probe"]
    path.write_text(yaml.safe_dump(settings))
    refused = inside(home, "predict", "name=run", "test=data/demo-0-30-12")
    assert refused.returncode == 2 and "config.yaml is damaged (it lacks the member " in refused.stderr
