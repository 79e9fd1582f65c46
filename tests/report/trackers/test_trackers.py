"""Each tracker's own store, read back, holds what history.jsonl and the closing figures say, once each."""

import math
import struct

import pytest

from competition.report.trackers.curves import Curve
from competition.report.trackers.protocol import open_tracker

EPOCHS = [{"train_loss": 1 / step, "val_auc": 0.5 + step / 10, "lr": 1e-3} for step in range(1, 5)]
CLOSING = {"oof_f1": 0.75, "seconds": 12.5}
SETTINGS = {"lr": 1e-3, "backbone": "convnext_atto", "mean": [0.5, 0.5], "classes": ["human", "AI"], "head": []}


def curve(epochs=4, closing=CLOSING, name="convnext/fold0"):
    return Curve("faces", name, SETTINGS, EPOCHS[:epochs], closing)


def sent_in_parts(tracker):
    """Send a curve as a run does that is looked at while it trains, killed, and taken up by another process."""
    known = tracker.send(curve(2, {}), 0, "")
    assert tracker.send(curve(), 2, known) == known
    tracker.send(Curve("faces", "ensemble", {}, [], {"f1": 0.8}), 0, "")


def wandb_records(path):
    """Return what a .wandb file holds: protocol buffers in blocks of 32 KiB, as LevelDB's log has them."""
    from wandb.proto import wandb_internal_pb2 as proto

    content, at, part = path.read_bytes(), 7, b""  # after a header of 7 bytes
    while at + 7 <= len(content):
        if (left := 32768 - at % 32768) < 7:
            at += left
            continue
        size, kind = struct.unpack_from("<HB", content, at + 4)
        part += content[at + 7 : at + 7 + size]
        at += 7 + size
        if kind in (1, 4):  # whole, or the last piece
            record = proto.Record()  # type: ignore[attr-defined]
            record.ParseFromString(part)
            yield record
            part = b""


def columns(figures):
    return {key: [one[key] for one in figures] for key in figures[0]}


def test_trackio_keeps_every_epoch_once(tmp_path, monkeypatch):
    pytest.importorskip("trackio", reason="trackio is not installed")
    from trackio import utils
    from trackio.sqlite_storage import SQLiteStorage

    for module in (utils, __import__("trackio.sqlite_storage", fromlist=["TRACKIO_DIR"])):
        monkeypatch.setattr(module, "TRACKIO_DIR", tmp_path, raising=False)  # read from the environment at import
    sent_in_parts(open_tracker("trackio", tmp_path / "own"))
    runs = sorted(SQLiteStorage.get_runs("telltale"))
    assert [name.rsplit(" ", 1)[0] for name in runs] == ["faces convnext/fold0", "faces ensemble"]
    logs = SQLiteStorage.get_logs("telltale", runs[0])
    epochs = [one for one in logs if "train_loss" in one]
    assert [one["step"] for one in epochs] == [1, 2, 3, 4]
    assert [{key: one[key] for key in EPOCHS[0]} for one in epochs] == EPOCHS
    assert [one["closing/oof_f1"] for one in logs if "closing/oof_f1" in one] == [0.75]


def test_mlflow_keeps_every_epoch_once(tmp_path, monkeypatch):
    for package in ("mlflow", "sqlalchemy", "alembic"):
        pytest.importorskip(package, reason=f"{package} is not installed")
    from mlflow.tracking import MlflowClient

    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    sent_in_parts(open_tracker("mlflow", tmp_path))
    client = MlflowClient(tracking_uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("faces").experiment_id
    found = {run.info.run_name: run for run in client.search_runs([experiment])}
    assert sorted(found) == ["convnext/fold0", "ensemble"]
    run = found["convnext/fold0"]
    assert run.info.status == "FINISHED" and run.data.params["backbone"] == "convnext_atto"
    for key, values in columns(EPOCHS).items():
        history = client.get_metric_history(run.info.run_id, key)
        assert [(one.step, one.value) for one in history] == list(enumerate(values, start=1))
    assert run.data.metrics["closing/oof_f1"] == 0.75 and found["ensemble"].data.metrics["closing/f1"] == 0.8


def test_tensorboard_reads_one_curve_from_all_that_was_sent(tmp_path):
    pytest.importorskip("tensorboard", reason="tensorboard is not installed")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    sent_in_parts(open_tracker("tensorboard", tmp_path))
    read = EventAccumulator(str(tmp_path / "convnext/fold0"))
    read.Reload()
    for key, values in columns(EPOCHS).items():
        assert [one.step for one in read.Scalars(key)] == [1, 2, 3, 4]
        assert all(math.isclose(one.value, value, rel_tol=1e-6) for one, value in zip(read.Scalars(key), values))  # noqa: B905
    assert [(one.step, one.value) for one in read.Scalars("closing/oof_f1")] == [(4, 0.75)]
    assert b"convnext_atto" in read.Tensors("settings/text_summary")[0].tensor_proto.string_val[0]


def test_wandb_without_a_key_writes_runs_to_be_sent_later(tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb", reason="wandb is not installed")
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))  # so that nobody's login is found
    tracker = open_tracker("wandb", tmp_path / "own")
    sent_in_parts(tracker)
    wandb.teardown()  # as at the end of a process: all is on the disk
    assert "wandb sync" in tracker.where
    steps, names = {}, set()
    for path in sorted((tmp_path / "own/wandb").glob("offline-run-*/run-*.wandb")):
        for record in wandb_records(path):
            if record.HasField("run"):
                names.add((record.run.display_name, record.run.run_group, record.run.project))
            if record.HasField("history"):
                line = {(one.key or "/".join(one.nested_key)): one.value_json for one in record.history.item}
                if "train_loss" in line:
                    steps.setdefault(int(float(line["_step"])), []).append(float(line["train_loss"]))
    assert names == {("faces convnext/fold0", "faces", "telltale"), ("faces ensemble", "faces", "telltale")}
    assert steps == {step: [one["train_loss"]] for step, one in enumerate(EPOCHS, start=1)}
