"""The engine `ray`: what travels, what is refused, and that whatever dies, the bytes are those of this machine."""

import dataclasses
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import pytest

from competition.core.config import load_config
from competition.core.errors import UserError
from competition.data.run_data import read_tables
from competition.training.open_data import open_data
from tests.conftest import FROZEN
from tests.running import TINY, done_inside, everything, outcome

pytest.importorskip("ray", reason="the extra 'cluster' is not installed")

from competition.training.engines.cluster import node as on_node
from competition.training.engines.cluster.connect import MAX_TEMPORARY, Connection, Node, short_folder
from competition.training.engines.cluster.messages import Incoming, Outgoing, Piece, pieces, write_piece
from competition.training.engines.cluster.travel import (
    Parcel,
    draft_name,
    missing,
    opened,
    packed,
    publish,
    stores_away,
)
from tests.training.engines.ray_nodes import Nodes, unshared

NAME = "far"
LONG = [
    *TINY,
    *FROZEN,
    "members.swin=null",
    "members.convnext.epochs=60",
    f"name={NAME}",
    "fold=0..2",
]  # ten seconds a job
POINT = f"folds/{NAME}/convnext/fold*/resume.pt"


def until(line: subprocess.Popen, home: Path, points: int) -> None:
    """Wait until so many jobs of a line have sent a resume point."""
    while len(list(home.glob(POINT))) < points:
        assert line.poll() is None, line.communicate()[0]
        time.sleep(0.05)


@pytest.mark.slow
@pytest.mark.skipif(not unshared(), reason="this user cannot give a process a view of the disk of its own")
def test_the_sockets_of_a_cluster_of_this_machine_can_have_names(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / ("x" * 80)))
    folder = Path(short_folder())
    assert len(os.fsencode(folder.parent)) <= MAX_TEMPORARY and folder.is_dir()
    folder.rmdir()


@pytest.mark.slow
def test_a_search_is_trained_on_a_cluster_as_here(tmp_path):
    pytest.importorskip("optuna", reason="the extra 'tune' is not installed")
    words = ["tune", *TINY, "members.swin=null", "trials=2", "tune.folds=0", "lr=1e-5", "threads=1"]
    losses = {}
    for name, engine in (("here", "local"), ("there", "ray")):
        done_inside(tmp_path, *words, f"name={name}", f"engine={engine}")
        table = (tmp_path / f"folds/{name}/tune/trials.csv").read_text().splitlines()
        losses[name] = [line.split(",")[1] for line in table]
    assert losses["here"] == losses["there"]


@pytest.mark.slow
def test_whatever_dies_a_cluster_without_a_common_disk_ends_in_the_bytes_of_this_machine(tmp_path):
    here = tmp_path / "here"
    here.mkdir()
    done_inside(here, *LONG)
    nodes = Nodes(tmp_path / "nodes", 3)
    try:
        line = nodes.line(*LONG)
        until(line, nodes.home, 3)
        while (table := done_inside(nodes.home, "status", *LONG)).count(", CPU") < 3:  # noted every other second
            assert line.poll() is None, table
        assert table.count("of 60") == 3 and len(set(re.findall(r", (\w{6})\)", table))) == 3
        nodes.kill(2)
        said, _ = line.communicate(timeout=240)
        assert line.returncode == 0, said
        assert "was lost" in said and "it goes on from epoch " in said and "goes on from epoch 1\n" not in said
        assert outcome(nodes.home) == outcome(here) and not list(nodes.home.glob(POINT))
        stood = everything(nodes.home)
        again = nodes.line(*LONG)
        assert again.wait(timeout=60) == 0 and everything(nodes.home) == stood
        shutil.rmtree(nodes.home / "folds" / NAME)
        line = nodes.line(*LONG)
        until(line, nodes.home, 2)
        os.killpg(line.pid, signal.SIGKILL)
        line.wait()
        line = nodes.line(*LONG)
        said, _ = line.communicate(timeout=240)
        assert line.returncode == 0, said
        assert outcome(nodes.home) == outcome(here)
        assert all((own / "folds/.cache").is_dir() and not (own / "data").exists() for own in nodes.homes)
    finally:
        nodes.end()


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run's settings and data, here."""
    monkeypatch.setenv("TELLTALE_HOME", str(tmp_path / "here"))
    config = load_config([*TINY, "members.swin.fit=resize"])
    return config, open_data(config, read_tables(config))


def bring(parcel: Parcel, cache: Path) -> str:
    """Do for one parcel what a supply does on a node."""
    draft, digests = cache / draft_name(parcel), {}
    for place, path, _ in parcel.files:
        for piece in pieces(Path(path), place):
            write_piece(draft / place, piece.start, piece.content)
            digests[place] = piece.digest
    return publish(parcel, digests, str(draft), str(cache))


def test_pixels_travel_once_and_are_the_same_there(run, tmp_path):
    config, data = run
    away, cache = packed(data), tmp_path / "there"
    cache.mkdir()
    stores = [dataclasses.replace(store, paths=()) for store in stores_away(away)]  # no image lies there
    parcels = missing(config, stores, [], cache)
    assert len(parcels) == len(stores) == 4  # two ways of storing, each of two sides
    assert not any(bring(parcel, cache) for parcel in parcels) and missing(config, stores, [], cache) == []
    assert not list(cache.glob(".*"))
    there = opened(away, config, cache)
    for recipe in config.members.values():
        for mine, theirs in zip(data.of(recipe), there.of(recipe), strict=True):
            assert theirs.digest == mine.digest
            assert all((theirs[row] == mine[row]).all() for row in range(len(mine)))


def test_images_that_lie_on_a_node_are_decoded_there(run, tmp_path):
    config, data = run
    shutil.copytree(tmp_path / "here/data", tmp_path / "there/data")
    (root,) = (tmp_path / "there/data").iterdir()
    moved = dataclasses.replace(config, ray=dataclasses.replace(config.ray, data=str(root)))
    shutil.move(tmp_path / "here/data", tmp_path / "elsewhere")
    stores, cache = stores_away(packed(data)), tmp_path / "there/cache"
    assert len(missing(config, stores, [], cache)) == 4
    assert missing(moved, stores, [], cache) == [] and len(list(cache.glob("*/pixels.bin"))) == 4


def test_what_is_decoded_at_every_access_must_lie_on_the_node(run, tmp_path):
    config, _ = run
    config = dataclasses.replace(config, cache_gb=0)
    stores = stores_away(packed(open_data(config, read_tables(config))))
    look = on_node.look(config, stores, [], str(tmp_path / "nowhere"))
    assert look[3] == ""
    shutil.move(tmp_path / "here/data", tmp_path / "elsewhere")
    assert on_node.look(config, stores, [], str(tmp_path / "nowhere"))[3].startswith(str(tmp_path / "here/data"))


def test_a_parcel_that_came_torn_is_not_put_in_place(tmp_path):
    (tmp_path / "features.npy").write_bytes(b"features")
    parcel, cache = Parcel.of("features.npy", {"features.npy": tmp_path / "features.npy"}), tmp_path / "cache"
    write_piece(cache / "draft/features.npy", 0, b"featurez")
    (piece,) = pieces(tmp_path / "features.npy", "features.npy")
    assert publish(parcel, {"features.npy": piece.digest}, str(cache / "draft"), str(cache)) == "features.npy"
    assert list(cache.iterdir()) == []
    assert bring(parcel, cache) == "" and (cache / "features.npy").read_bytes() == b"features"


def test_a_jobs_files_come_back_in_pieces_each_whole_or_not_at_all(tmp_path, monkeypatch):
    monkeypatch.setattr("competition.training.engines.cluster.messages.PIECE", 4)
    there, here = tmp_path / "there/fold0", tmp_path / "here"
    there.mkdir(parents=True)
    (there / "done.json").write_text("{}")
    (there / "model.safetensors").write_bytes(b"0123456789")
    (there.parent / "placement.json").write_text("{}")
    outgoing, incoming = Outgoing(there), Incoming(here, tmp_path / "cache")
    sent = list(outgoing.changed())
    assert [piece.place for piece in sent][-1] == "fold0/done.json" and len(sent) == 5
    for piece in sent:
        incoming.take(piece)
    assert (here / "fold0/model.safetensors").read_bytes() == b"0123456789" and not list(here.rglob(".*"))
    assert list(outgoing.changed()) == []
    with pytest.raises(UserError, match="did not come whole"):
        incoming.take(Piece("fold0/done.json", 0, b"{}", "0" * 16))
    assert (here / "fold0/done.json").read_text() == "{}"
    (tmp_path / "features.npy").write_bytes(b"features")
    for piece in pieces(tmp_path / "features.npy", "features.npy", cached=True):
        incoming.take(piece)
    assert (tmp_path / "cache/features.npy").read_bytes() == b"features"
    with pytest.raises(UserError, match="not in the run's folder"):
        incoming.take(Piece("../../elsewhere", 0, b"", "0" * 16))


@pytest.mark.parametrize(
    ("node", "gpus", "words", "cpus", "slots"),
    [
        ((8, 0), 0, [], 1, 8),
        ((8, 0), 0, ["threads=4"], 4, 2),
        ((16, 2), 1, [], 8, 2),
        ((16, 2), 0.5, [], 4, 4),
        ((16, 2), 2, [], 16, 1),
        ((16, 2), 0.4, ["ray.cpus=2"], 2, 4),  # two on each GPU
        ((2, 4), 1, [], 1, 2),
        ((8, 0), 1, [], 1, 0),
    ],
)
def test_a_node_takes_as_many_jobs_as_its_cores_and_gpus_carry(node, gpus, words, cpus, slots):
    one = Node("id", "name", *map(float, node))
    assert one.share(load_config(["data=x", *words]), gpus) == cpus
    assert one.slots(cpus, gpus) == slots


def test_no_cluster_at_the_address_is_one_sentence_soon():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    start = time.monotonic()
    for word, said in ((address, "Connection refused"), ("no.such.host.invalid:6379", "not known")):
        with pytest.raises(UserError, match=rf"Nothing answers at ray\.address={word} \(.*{said}"):
            Connection(load_config(["preset=demo", f"ray.address={word}"]))
    with pytest.raises(UserError, match="Ray's client: run the line on a machine of the cluster"):
        Connection(load_config(["preset=demo", "ray.address=ray://head:10001"]))
    assert time.monotonic() - start < 10
