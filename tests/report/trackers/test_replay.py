"""Every epoch of a run goes to a tracker once, whatever happens; and no tracker ever stops a training."""

import json
import shutil
import sys

import pytest

from competition.__main__ import main
from competition.core import tracker_places
from competition.report.trackers import replay as replaying
from competition.report.trackers.curves import read_curves
from competition.report.trackers.replay import replay
from tests.running import TINY, done_inside, everything, inside

NAME = "watched"
WORDS = [*TINY, "members.swin=null", f"name={NAME}"]


class Kept:
    """A tracker that keeps what it is sent; ``fails``: at the next call."""

    where = "here"

    def __init__(self, folder=None):
        self.got, self.fails = [], False

    def send(self, curve, sent, known_as):
        if self.fails:
            raise ConnectionError("the server\nis away")
        self.got.append((curve.name, [one["train_loss"] for one in curve.epochs[sent:]], dict(curve.closing), known_as))
        return f"known {curve.name}"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    done_inside(home, *WORDS, "fold=0..2")
    return home


@pytest.fixture
def home(trained, tmp_path, monkeypatch):
    shutil.copytree(trained, tmp_path / "home")
    monkeypatch.setenv("TELLTALE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def losses(home, fold):
    path = home / f"folds/{NAME}/convnext/fold{fold}/history.jsonl"
    return [json.loads(line)["train_loss"] for line in path.read_text().splitlines()]


def test_a_run_is_a_curve_for_each_job_and_one_for_the_ensemble(home):
    curves = {curve.name: curve for curve in read_curves(NAME)}
    assert list(curves) == ["convnext/fold0", "convnext/fold1", "convnext/fold2", "ensemble"]
    first = curves["convnext/fold0"]
    assert [one["train_loss"] for one in first.epochs] == losses(home, 0)
    assert {"oof_f1", "oof_auc", "seconds"} <= first.closing.keys() and "val_auc" in first.epochs[-1]
    run = json.loads((home / f"folds/{NAME}/run.json").read_text())
    assert curves["ensemble"].closing["f1"] == run["cv"]["value"] and not curves["ensemble"].epochs
    assert len({curve.id for curve in curves.values()}) == 4


def test_what_was_sent_is_not_sent_again_and_a_longer_history_goes_on_where_the_last_ended(home):
    folder, tracker = home / f"folds/{NAME}/convnext/fold1", Kept()
    history, done = (folder / "history.jsonl").read_text(), (folder / "done.json").read_bytes()
    (folder / "history.jsonl").write_text(history.splitlines()[0] + "\n")  # as it was after the first epoch
    (folder / "done.json").unlink()
    replay(NAME, "kept", tracker)
    assert [name for name, *_ in tracker.got] == [curve.name for curve in read_curves(NAME)]
    assert tracker.got[1][1:3] == (losses(home, 1), {})
    replay(NAME, "kept", tracker)
    assert len(tracker.got) == 4
    (folder / "history.jsonl").write_text(history)
    (folder / "done.json").write_bytes(done)
    replay(NAME, "kept", tracker)
    name, epochs, closing, known_as = tracker.got.pop()
    assert (name, epochs, known_as) == ("convnext/fold1", losses(home, 1)[1:], "known convnext/fold1") and closing
    assert len(tracker.got) == 4
    replay(NAME, "another", other := Kept())
    assert len(other.got) == 4


def test_a_job_that_begins_anew_sends_nothing_until_it_is_further_and_another_one_is_another_curve(home):
    folder, tracker = home / f"folds/{NAME}/convnext/fold0", Kept()
    replay(NAME, "kept", tracker)
    (folder / "history.jsonl").write_text((folder / "history.jsonl").read_text().splitlines()[0] + "\n")
    (folder / "done.json").unlink()
    replay(NAME, "kept", tracker)
    assert len(tracker.got) == 4
    settings_file = folder / "config.yaml"
    settings_file.write_text(settings_file.read_text().replace("seed: 0", "seed: 1"))
    replay(NAME, "kept", tracker)
    assert tracker.got[4][0] == "convnext/fold0" and tracker.got[4][3] == ""


def test_a_tracker_that_fails_is_one_sentence_and_a_later_line_sends_the_rest(home, monkeypatch, capsys):
    tracker = Kept()
    monkeypatch.setattr("competition.commands.track.open_tracker", lambda name, folder: tracker)
    monkeypatch.setattr("competition.commands.track.tracker_names", lambda words: ["wandb"])
    tracker.fails = True
    assert main(["track", f"name={NAME}", "to=wandb"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"Error: wandb did not take the run '{NAME}' (the server is away)") and said.count("\n") == 1
    tracker.fails = False
    assert main(["track", f"name={NAME}", "to=wandb"]) == 0
    assert capsys.readouterr().out == "Tracked     4 curves by wandb: here\n" and len(tracker.got) == 4
    assert sorted(path.name for path in (home / f"folds/{NAME}/track").iterdir()) == [replaying.SENT_FILE]


def test_a_tracker_that_cannot_be_opened_is_one_sentence_too(home, monkeypatch, capsys):
    def fail(name, folder):
        raise ConnectionError("no server")

    monkeypatch.setattr("competition.commands.track.open_tracker", fail)
    monkeypatch.setattr("competition.commands.track.tracker_names", lambda words: ["mlflow"])
    assert main(["track", f"name={NAME}", "to=mlflow"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"Error: mlflow did not take the run '{NAME}' (no server)") and said.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["name=watched", "to=wandbb"], "There is no tracker 'wandbb'; did you mean 'wandb'?"),
        (["name=watchd", "to=trackio"], "did you mean 'watched'?"),
        (["to=trackio"], "Name it, as in ./run.sh track name=NAME to=trackio."),
        (["name=watched"], "There is nowhere to send the run"),
    ],
)
def test_a_mistake_is_one_sentence_and_writes_nothing(home, capsys, words, said):
    before = everything(home)
    assert main(["track", *words]) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1 and everything(home) == before


def test_a_tracker_that_is_not_installed_is_refused_before_anything_is_written(tmp_path, monkeypatch, capsys):
    place = tracker_places.TrackerPlace("competition.report.trackers.none:None", ("no_such_package",))
    monkeypatch.setitem(tracker_places.TRACKERS, "wandb", place)
    monkeypatch.setenv("TELLTALE_HOME", str(tmp_path))
    assert main([*WORDS, "fold=0", "track=wandb"]) == 2
    said = capsys.readouterr().err
    assert f"track=wandb needs no_such_package, which this Python lacks: run {sys.executable}" in said
    assert not list(tmp_path.iterdir())


def test_a_line_that_trains_sends_its_epochs_and_an_outage_costs_nothing(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    said = done_inside(tmp_path, *WORDS, "fold=0..2", "track=tensorboard")
    assert "Tracked     4 curves by tensorboard: tensorboard --logdir " in said
    assert list((tmp_path / f"folds/{NAME}/track/tensorboard/convnext/fold2").glob("events.*"))
    shutil.rmtree(tmp_path / f"folds/{NAME}/convnext/fold0")
    shutil.rmtree(tmp_path / f"folds/{NAME}/track")
    (tmp_path / f"folds/{NAME}/track").mkdir()
    (tmp_path / f"folds/{NAME}/track/tensorboard").write_text("in the way")
    result = inside(tmp_path, *WORDS, "fold=0..2", "track=tensorboard")
    assert result.returncode == 0 and result.stdout.count("tensorboard did not take the run") == 1
    assert "Submission" in result.stdout
