"""The engine `ray`: a node that cannot do its part is left out with the reason, and what has no room is a sentence."""

import pytest

from competition.core.config import load_config
from competition.core.errors import UserError
from competition.data.run_data import read_tables
from competition.training.open_data import open_data
from tests.running import TINY

pytest.importorskip("ray", reason="the extra 'cluster' is not installed")

from ray.exceptions import NodeDiedError, ObjectStoreFullError

from competition.training.engines.cluster import supply as supplying
from competition.training.engines.cluster.connect import Node
from competition.training.engines.cluster.node import look, versions
from competition.training.engines.cluster.supply import Supply
from competition.training.engines.cluster.travel import Parcel

NODES = [Node(name, name, 1, 0) for name in ("fit", "other")]


@pytest.fixture
def supply(tmp_path, monkeypatch):
    """What a run brings to nodes that are functions called here; ``answers``: what a node says in their place."""
    monkeypatch.setenv("TELLTALE_HOME", str(tmp_path / "here"))
    answers = {}

    def reply(node, call):
        function, values = call
        answer = answers.get((node.name, function), answers.get(function, function))
        if isinstance(answer, Exception):
            raise answer
        return answer(*values)

    monkeypatch.setattr(Node, "run", lambda node, function, *values: (function, values))
    monkeypatch.setattr(supplying, "reply", reply)
    monkeypatch.setattr(supplying.ray, "put", lambda content: content)
    config = load_config([*TINY, "members.swin=null"])
    content = tmp_path / "features"
    content.write_bytes(b"12345")
    found = Supply(config, open_data(config, read_tables(config)), [Parcel.of("features", {"features": content})])
    return found, answers, tmp_path


def finds(folder, parcels, room=1e9, gone=""):
    return lambda *values: (parcels, room, str(folder), gone)


def test_a_node_of_other_versions_is_left_out(supply):
    supply, answers, folder = supply
    answers[look] = finds(folder, [])
    answers["other", versions] = lambda: versions() | {"torch": "1.0"}
    refused = supply.refusals(NODES)
    assert list(refused) == [NODES[1]] and refused[NODES[1]].startswith("its versions differ (torch 1.0 there and ")


def test_a_node_without_room_or_without_an_image_is_left_out_and_the_others_get_what_they_lack(supply):
    supply, answers, folder = supply
    (folder / "cache").mkdir()
    answers["fit", look] = finds(folder / "cache", supply.others)
    answers["other", look] = finds(folder / "full", supply.others, room=-2.5e9)
    assert supply.refusals(NODES) == {NODES[1]: f"its disk lacks 2.5 GB for the data in {folder / 'full'}"}
    assert (folder / "cache/features").read_bytes() == b"12345" and not (folder / "full").exists()
    answers["other", look] = finds(folder / "other", [], gone="a.png")
    assert supply.refusals(NODES)[NODES[1]].startswith("it lacks the image a.png, which is decoded at every access")


def test_a_node_that_is_lost_meanwhile_is_left_out(supply):
    supply, answers, folder = supply
    answers[look] = finds(folder, [])
    answers["other", look] = NodeDiedError("Node other died\nmore")
    assert supply.refusals(NODES) == {NODES[1]: "it was lost (Node other died)"}


def test_a_full_memory_for_objects_is_one_sentence(supply, monkeypatch):
    supply, answers, folder = supply
    answers[look] = finds(folder / "cache", supply.others)

    def put(content):
        raise ObjectStoreFullError("full")

    monkeypatch.setattr(supplying.ray, "put", put)
    with pytest.raises(UserError, match=r"^Ray's memory for objects is full .* --object-store-memory, [^\n]*$"):
        supply.refusals(NODES)
    assert not (folder / "cache").exists()


def test_a_parcel_that_comes_torn_is_one_sentence_and_is_not_put_in_place(supply):
    supply, answers, folder = supply
    (folder / "cache").mkdir()
    answers[look] = finds(folder / "cache", supply.others)
    write = supplying.write_piece
    answers[write] = lambda path, start, content: write(path, start, content[:-1])
    with pytest.raises(UserError, match="features did not come whole to node fit: run the same line again"):
        supply.refusals(NODES[:1])
    assert not (folder / "cache/features").exists()
