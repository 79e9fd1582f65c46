"""Pretrained weights through the command line: from the hub, its cache, a file and a folder, and what cannot be had."""

import time

import pytest
import timm
import torch
from safetensors.torch import load_file, save

from tests.hub_server import point_to, serving
from tests.running import done, telltale

NAME = "test_convnext.r160_in1k"  # the smallest that timm has weights for: a quarter of a million numbers
REPOSITORY = f"timm/{NAME}"
WORDS = [
    "preset=demo",
    "demo.train_scenes=8",
    "demo.test_scenes=4",
    "folds=2",
    "fold=0",
    "epochs=1",
    "batch_size=8",
    "jobs=1",
    "lr=1e-9",
    "weight_decay=0",
    "members=null",
    f"backbone={NAME}",
]
PATIENCE = 90  # seconds for a whole process, of which a busy machine spends most on imports


def made(architecture):
    """Weights as timm publishes them, with a classifier of a thousand classes, but all of them random."""
    torch.manual_seed(7)
    return {key: torch.randn(value.shape) * 0.05 for key, value in timm.create_model(architecture).state_dict().items()}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """The folder of each way's job, the weights that were given, and what the hub was asked for meanwhile."""
    home, cache = tmp_path_factory.mktemp("hub"), tmp_path_factory.mktemp("cache")
    weights = made("test_convnext")
    place = cache / "kaggle" / "timm-test-convnext-r160-in1k" / "1" / "model.safetensors"
    place.parent.mkdir(parents=True)
    place.write_bytes(save(weights))
    with pytest.MonkeyPatch.context() as patch, serving({REPOSITORY: {"model.safetensors": save(weights)}}) as server:
        point_to(patch, server.url, cache)
        done(home, *WORDS, "pretrained=true", "name=online", afresh=True)
        server.stop()
        point_to(patch, server.url, cache, offline=True)
        done(home, *WORDS, "pretrained=true", "name=cached", afresh=True)
        point_to(patch, server.url, cache / "empty", offline=True)
        done(home, *WORDS, f"pretrained={place}", "name=file", afresh=True)
        done(home, *WORDS, f"pretrained={cache / 'kaggle'}", "name=folder", afresh=True)
    folders = {name: home / "folds" / name / "model" / "fold0" for name in ("online", "cached", "file", "folder")}
    return folders, weights, server.asked


@pytest.mark.slow
def test_all_four_ways_train_on_from_the_weights_given(runs):
    folders, weights, _ = runs
    for folder in folders.values():
        trained = load_file(folder / "model.safetensors")
        for key in weights.keys() - {"head.fc.weight", "head.fc.bias"}:
            torch.testing.assert_close(trained[f"backbone.{key}"], weights[key], rtol=0, atol=1e-6)
        assert trained["backbone.head.fc.weight"].shape == (1, weights["head.fc.weight"].shape[1])


@pytest.mark.slow
@pytest.mark.parametrize("table", ["oof.csv", "test.csv"])
def test_all_four_ways_predict_the_same_bytes(runs, table):
    folders, _, _ = runs
    assert len({(folder / table).read_bytes() for folder in folders.values()}) == 1


@pytest.mark.slow
def test_the_hub_is_asked_for_the_weights_once(runs):
    _, _, asked = runs
    assert asked.count("GET model.safetensors") == 1
    assert set(asked) == {"HEAD model.safetensors", "GET model.safetensors"}


def refused(home, *words):
    """Run the command line, assert that it refuses before it writes results, and return what it says."""
    start = time.monotonic()
    result = telltale(home, *WORDS, *words, "name=refused", afresh=True)
    sentence = result.stderr.splitlines()[-1]
    assert result.returncode == 2 and sentence.startswith("Error: ") and "Traceback" not in result.stderr
    assert time.monotonic() - start < PATIENCE
    assert not (home / "folds" / "refused").exists() and not (home / "submissions").exists()
    return result.stderr


def test_a_hub_that_is_down_and_an_empty_cache_are_one_sentence_soon(tmp_path, monkeypatch):
    with serving({}) as server:
        point_to(monkeypatch, server.url, tmp_path / "cache")
    said = refused(tmp_path, "pretrained=true")
    assert "neither cached nor to be fetched" in said and "pretrained=FILE" in said and "pretrained=false" in said
    assert said.count("\n") == 1


def test_weights_of_another_backbone_are_one_sentence(tmp_path, monkeypatch):
    """timm itself takes these without an error, though not one of the tensors has a place in the model."""
    with serving({REPOSITORY: {"model.safetensors": save(made("test_byobnet"))}}) as server:
        point_to(monkeypatch, server.url, tmp_path / "cache")
        assert f"do not fit '{NAME}'" in refused(tmp_path, "pretrained=true")
