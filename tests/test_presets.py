"""The five systems' presets: they build at full size, and what is particular to each runs on small drawn images."""

import json
from types import SimpleNamespace

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
import yaml

from competition.core.config import load_config
from competition.core.paths import PRESETS, preset_names
from competition.inference.learner import fresh_model
from competition.models.adapt import count_parameters
from competition.models.build import check_model
from competition.models.heads import WithHead
from tests.running import done_inside, inside, outcome

SCRATCH = ["pretrained=false", "threads=1", "jobs=1", "report=false"]


def members(*words):
    config = load_config([*words, "pretrained=false"], {"data": "."})
    return config, {name: check_model(recipe, 3, False) for name, recipe in config.members.items()}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Class folders with a labelled test set: 40 + 12 images a class, 32 px, one class smoother than the other."""
    root, rng = tmp_path_factory.mktemp("folders"), np.random.default_rng(0)
    for part, count in (("train", 40), ("test", 12)):
        for name in ("REAL", "FAKE"):
            (root / part / name).mkdir(parents=True)
            for index in range(count):
                image = rng.integers(0, 256, (32, 32, 3), np.uint8)
                image = cv2.blur(image, (3, 3)) if name == "FAKE" else image
                cv2.imwrite(str(root / part / name / f"{index:04} (1).jpg"), image)
    return root


def every_size():
    """Yield (preset, size) of all there are; the large sizes take seconds each to build."""
    for preset in preset_names():
        sizes = yaml.safe_load((PRESETS / f"{preset}.yaml").read_text(encoding="utf-8")).get("sizes", {})
        for words in [[preset, f"size={size}"] for size in sizes] or [[preset]]:
            marks = pytest.mark.slow if "size=large" in words else ()
            yield pytest.param(words, marks=marks, id=" ".join(words))


@pytest.mark.parametrize("preset", list(every_size()))
def test_every_preset_builds_at_every_size(preset):
    _, models = members(f"preset={preset[0]}", *preset[1:])
    assert all(count_parameters(model)[1] > 0 for model in models.values())


def test_frozen_vit_trains_769_parameters():
    _, models = members("preset=frozen-vit")
    total, trained = count_parameters(models["vit"])
    assert trained == 769 and total > 85_000_000


def test_the_resnets_head_and_convitx_fused_features_are_those_of_the_systems():
    _, models = members("preset=cifake-resnet50")
    widths = [layer.out_features for layer in models["resnet50"].backbone.head if isinstance(layer, torch.nn.Linear)]
    assert widths == [256, 128, 1]
    _, models = members("preset=convitx")
    layers = [layer for layer in models["convitx"].backbone.head if isinstance(layer, torch.nn.Linear)]
    assert [layer.in_features for layer in layers] == [1536 + 1024, 1024, 512, 256, 128]
    assert isinstance(models["convitx"].backbone, WithHead)


def test_small_cnn_has_four_blocks_and_three_dense_layers():
    _, models = members("preset=small-cnn")
    layers = list(models["small-cnn"].modules())
    assert sum(isinstance(layer, torch.nn.Conv2d) for layer in layers) == 4
    assert sum(isinstance(layer, torch.nn.Linear) for layer in layers) == 3


def test_a_hold_out_is_judged_on_rows_that_neither_trained_nor_tuned(folders, tmp_path):
    words = ["preset=small-cnn", f"data={folders}", "split=holdout:0.6,0.2,0.2", "epochs=2", *SCRATCH]
    printed = done_inside(tmp_path, *words)
    folds = pd.read_csv(tmp_path / "folds" / "small-cnn" / "folds.csv")
    assert folds["fold"].value_counts().to_dict() == {-1: 48, 0: 16, 1: 16}
    assert (folds.groupby("fold")["label"].mean() == 0.5).all()
    oof = pd.read_csv(tmp_path / "folds" / "small-cnn" / "small-cnn" / "fold0" / "oof.csv")
    assert set(oof["id"]) == set(folds["id"][folds["fold"] >= 0])
    record = json.loads((tmp_path / "folds" / "small-cnn" / "run.json").read_text())
    judged = oof[oof["fold"] == 1]
    decided = (judged["prob"] >= record["threshold"]).astype(int)
    true_positive = int((decided & judged["label"]).sum())
    assert record["cv"]["value"] == pytest.approx(2 * true_positive / max(1, decided.sum() + judged["label"].sum()))
    assert "hold-out" in printed and "labels kept aside" in printed
    result = inside(tmp_path, *words, "fold=0..4")
    assert result.returncode == 2 and "leave fold= out" in result.stderr
    result = inside(tmp_path, *[word for word in words if "split" not in word])
    assert result.returncode == 2 and "split=" in result.stderr


def test_the_labels_of_the_test_set_change_nothing_but_the_closing_score(folders, tmp_path):
    swapped = tmp_path / "swapped"
    swapped.mkdir()
    (swapped / "train").symlink_to(folders / "train")
    for name, other in (("REAL", "FAKE"), ("FAKE", "REAL")):
        (swapped / "test" / name).mkdir(parents=True)
        for path in (folders / "test" / other).iterdir():
            (swapped / "test" / name / path.name).symlink_to(path)
    words = ["preset=small-cnn", "epochs=2", "folds=2", *SCRATCH]
    told = [
        done_inside(tmp_path / home, *words, f"data={data}", "name=x")
        for home, data in homes(tmp_path, folders, swapped)
    ]
    results = [outcome(tmp_path / home) for home in "ab"]
    for path in results[0]:
        if path.endswith("oof.csv"):
            assert results[0][path] == results[1][path]
    probs = [pd.read_csv(tmp_path / home / "folds/x/small-cnn/fold0/test.csv") for home in "ab"]
    by_picture = [
        dict(zip(table["id"].map(flipped), table["prob"], strict=True))
        for table, flipped in zip(probs, (str, other_folder), strict=True)
    ]
    assert by_picture[0] == pytest.approx(by_picture[1])
    assert told[0] != told[1]


def homes(root, *data):
    for home in "ab":
        (root / home).mkdir()
    return zip("ab", data, strict=True)


def other_folder(name):
    return name.replace("REAL", "-").replace("FAKE", "REAL").replace("-", "FAKE")


def test_a_frozen_members_features_are_computed_once_and_predict_as_the_whole_model_does(folders, tmp_path):
    words = [
        "preset=frozen-vit",
        "size=tiny",
        f"data={folders}",
        "split=folds",
        "folds=3",
        "image_size=32",
        "lr=1e-2",
        "members.vit.backbone_args={embed_dim: 32, depth: 2, num_heads: 2, patch_size: 8}",
        *SCRATCH,
    ]
    printed = done_inside(tmp_path, *words, "fold=0")
    assert "33 trainable parameters" in printed
    features = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("features-*.npy")}
    assert len(features) == 6  # train and test, and four variants of the training images
    done_inside(tmp_path, *words, "fold=1,2")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("features-*.npy")} == features
    answers = json.loads(done_inside(tmp_path, "predict", "name=frozen-vit", "format=json", str(folders / "test")))[
        "answers"
    ]
    tables = [pd.read_csv(path) for path in tmp_path.glob("folds/frozen-vit/vit/fold*/test.csv")]
    logit = sum(table.set_index("id")["logit"] for table in tables) / len(tables)
    expected = 1 / (1 + np.exp(-logit))
    for answer in answers:
        assert answer["probability"] == pytest.approx(expected[answer["file"].split(f"{folders}/")[1]], abs=1e-4)
    refused = inside(tmp_path, *words, "variants=0", "name=y")
    assert refused.returncode == 2 and "augment=none" in refused.stderr


@pytest.mark.slow
def test_another_world_of_the_demo_is_predicted_by_the_models_that_stand_and_trains_nothing(tmp_path):
    words = [
        "preset=demo-diverse",
        "name=x",
        "epochs=1",
        "folds=2",
        "demo.train_scenes=8",
        "demo.test_scenes=4",
        "report=false",
        "jobs=1",
        "members.convnext-rgb=null",
        "members.swin-residual=null",
        "members.swin-fourier.backbone_args.embed_dim=16",
        "members.convnext-residual.backbone_args={patch_size: 4, depths: [1, 1, 1, 1], dims: [8, 16, 24, 32]}",
        "members.frozen-residual.backbone_args={channels: [8, 8, 8, 8]}",
    ]
    done_inside(tmp_path, *words)
    run = tmp_path / "folds" / "x"
    weights = {path: path.stat().st_mtime_ns for path in run.rglob("model.safetensors")}
    oof, test = ({path: path.read_bytes() for path in run.rglob(name)} for name in ("oof.csv", "test.csv"))
    assert len(weights) == len(oof) == len(test) == 6  # three members, two folds
    done_inside(tmp_path, *words, "demo.world=generator")
    assert {path: path.stat().st_mtime_ns for path in run.rglob("model.safetensors")} == weights
    assert {path: path.read_bytes() for path in run.rglob("oof.csv")} == oof
    assert all(path.read_bytes() != before for path, before in test.items())


def test_a_frozen_trunk_is_the_same_for_every_seed_and_its_head_is_not():
    config = load_config(["preset=frozen-vit", "size=tiny", "pretrained=false", "image_size=32", "data=."])
    data = SimpleNamespace(dataset=SimpleNamespace(channels=3, floating=False))
    one, two = (fresh_model(config, data, "vit", seed).state_dict() for seed in (1, 2))
    assert {key for key in one if not torch.equal(one[key], two[key])} == {
        "backbone.head.1.weight",
        "backbone.head.1.bias",
    }


def test_balanced_classes_weigh_the_same_however_rare_one_is(folders, tmp_path):
    rare = tmp_path / "rare"
    for name, count in (("REAL", 40), ("FAKE", 10)):
        (rare / name).mkdir(parents=True)
        for path in sorted((folders / "train" / name).iterdir())[:count]:
            (rare / name / path.name).symlink_to(path)
    words = ["preset=small-cnn", f"data={rare}", "epochs=1", "folds=2", "lr=1e-9", *SCRATCH]
    for balance in ("true", "false"):
        done_inside(tmp_path, *words, f"balance={balance}", f"name={balance}")
    losses = [
        json.loads((tmp_path / "folds" / name / "small-cnn/fold0/history.jsonl").read_text())["train_loss"]
        for name in ("true", "false")
    ]
    table = pd.read_csv(tmp_path / "folds/true/small-cnn/fold0/oof.csv")
    assert losses[0] != losses[1] and losses[0] == pytest.approx(np.log(2), abs=0.1) and len(table) == 25
