"""Finished runs without training: the files that a run leaves, around models with random weights."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from torch import nn

from competition import __version__
from competition.core.config_forms import as_dict
from competition.core.files import fingerprint, write_json, write_text
from competition.core.settings import Recipe
from competition.data.images.decode import DECODER
from competition.inference.run_record import Record, write_record
from competition.models.build import Detector, build_model, normalisation
from competition.models.checkpoint import save_weights

CONVNEXT = {"patch_size": 2, "ls_init_value": 0.1, "depths": [1, 1, 1, 1], "dims": [8, 16, 24, 32]}
SWIN = {"patch_size": 2, "embed_dim": 16, "depths": [1, 1], "num_heads": [2, 4], "window_size": 4}

# One of each kind of backbone, as small as they come.
TINY = {
    "convnext": Recipe(backbone="convnext_atto", backbone_args=CONVNEXT, image_size=32),
    "swin": Recipe(backbone="swin_tiny_patch4_window7_224", backbone_args=SWIN, image_size=32),
    "resnet": Recipe(
        backbone="resnet18", backbone_args={"layers": [1, 1, 1, 1], "channels": [8, 8, 16, 16]}, image_size=32
    ),
    "vit": Recipe(
        backbone="vit_tiny_patch16_224",
        backbone_args={"embed_dim": 24, "depth": 1, "num_heads": 2, "patch_size": 8},
        image_size=32,
    ),
    "stem": Recipe(
        backbone="vit_tiny_patch16_224",
        backbone_args={"embed_dim": 24, "depth": 1, "num_heads": 2, "patch_size": 8},
        image_size=32,
        stem_stride=4,
    ),
    "frozen": Recipe(
        backbone="resnet18",
        backbone_args={"layers": [1, 1, 1, 1], "channels": [8, 8, 16, 16]},
        image_size=32,
        frozen=True,
        augment="none",
        head=["flatten", "16", "batchnorm", "relu", "dropout"],
        dropout=0.3,
    ),
    "convitx": Recipe(
        backbone="convitx",
        image_size=32,
        backbone_args={
            "convnext": "convnext_atto",
            "convnext_args": CONVNEXT,
            "swin": "swin_tiny_patch4_window7_224",
            "swin_args": SWIN,
        },
    ),
    "small_cnn": Recipe(
        backbone="small_cnn", backbone_args={"widths": [4, 8, 8, 8]}, image_size=32, head=["8", "relu"]
    ),
}


def make_run(home: Path, members: Mapping[str, Recipe], folds: int = 2, name: str = "made", tta: str = "flip") -> str:
    """Leave a finished run in ``home`` (what TELLTALE_HOME is to say) and return its name.

    The same call gives the same weights; probabilities of :func:`random_pictures` lie on both sides of the threshold.
    """
    run = home / "folds" / name
    for member, recipe in members.items():
        for fold in range(folds):
            _make_job(run / member / f"fold{fold}", member, fold, recipe)
    parts = {member: [f"{member}/fold{fold}" for fold in range(folds)] for member in members}
    cv = {
        "f1": 0.8,
        "interval": [0.7, 0.9],
        "leaderboard": [0.65, 0.95],
        "how": "cross-fitted",
        "members": dict.fromkeys(members, 0.75),
    }
    rows = {"train": 80, "groups": 40, "test": 20}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TELLTALE_HOME", str(home))
        write_record(Record(name, ("real", "fake"), "data", "folders", rows, parts, tta, 0.45, cv, __version__))
    return name


def _make_job(folder: Path, member: str, fold: int, recipe: Recipe) -> None:
    mean, std = normalisation(recipe, 3, False)
    placed = {"precision": "fp32", "memory_format": "contiguous"}
    wished = {key: value for key, value in as_dict(recipe).items() if key in placed and value != "device"}
    settings = (
        as_dict(recipe)
        | placed
        | wished
        | {
            "member": member,
            "fold": fold,
            "seed": 0,
            "seed_index": 0,
            "mean": list(mean),
            "std": list(std),
            "channels": 3,
            "floating": False,
            "decoder": DECODER,
            "classes": ["real", "fake"],
            "training_data": "",
            "held_out": "",
        }
    )
    write_text(folder / "config.yaml", yaml.safe_dump(settings, sort_keys=False))
    save_weights(folder / "model.safetensors", random_model(recipe, seed=fold))
    write_json(folder / "done.json", {"key": fingerprint(settings), "epochs": 1, "seconds": 0.1})


@torch.no_grad()
def random_model(recipe: Recipe, seed: int = 0) -> Detector:
    """Return a model whose weights and statistics all matter to its logits, which spread like a trained model's."""
    torch.manual_seed(seed)
    model = build_model(dataclasses.replace(recipe, pretrained="false"))
    for layer in model.modules():
        if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d):
            nn.init.uniform_(layer.running_mean, -0.1, 0.1)
            nn.init.uniform_(layer.running_var, 0.5, 1.5)
    model.eval()
    pictures = np.stack(random_pictures(*[(recipe.image_size, recipe.image_size)] * 16))
    last = [layer for layer in model.modules() if isinstance(layer, nn.Linear)][-1]
    last.weight.normal_()
    logit = model(torch.from_numpy(pictures).movedim(-1, 1))
    last.weight.mul_(1 / logit.std())
    last.bias.sub_(logit.mean()).mul_(1 / logit.std())
    return model


def random_pictures(*sizes: tuple[int, int]) -> list[np.ndarray]:
    """Return a uint8 (H, W, 3) picture of each (H, W): noise, each in a colour and contrast of its own."""
    random = np.random.default_rng(0)
    colours = [random.integers(0, 256, 3) for _ in sizes]
    noise = [random.normal(0, random.uniform(1, 60), (*size, 3)) for size in sizes]
    return [(colour + grain).clip(0, 255).astype(np.uint8) for colour, grain in zip(colours, noise, strict=True)]
