"""A view and a backbone of our own are known by the name of their file alone."""

import shutil
import subprocess
import sys
from pathlib import Path

import competition
from competition.core.settings import CHOICES
from competition.models.own_backbones import OwnBackbone, find_own, own_names
from competition.models.views import View, find_view

VIEW = """
from competition.models.views import View

class Negative(View):
    caption = "its negative"

    def forward(self, x):
        return 1 - x

VIEW = Negative
"""
BACKBONE = """
from torch import nn
from competition.models.own_backbones import OwnBackbone

class Mean(OwnBackbone):
    @classmethod
    def from_recipe(cls, recipe, channels, load):
        return cls()

    def forward(self, x):
        return x.mean(dim=(2, 3))

BACKBONE = Mean
"""
PROGRAM = """
import sys
from competition.core.config import load_config
config = load_config(["preset=demo", "members=null", "view=negative", "backbone=mean", "image_size=8"])
assert "torch" not in sys.modules
import torch
from competition.app.cards import about
from competition.inference.onnx.graph import MeanLogit
from competition.inference.run_record import Record
from competition.inference.torch_member import network_of
from competition.models.build import build_model, check_model
from competition.training.optim import make_optimizer
recipe = config.members["model"]
check_model(recipe, 3, False)
model = build_model(recipe).eval()
pixels = torch.randint(0, 256, (5, 3, 8, 8), dtype=torch.uint8)
seen = (1 - pixels.float() / 255).mean(dim=(2, 3))
assert torch.allclose(model(pixels), model.backbone.head(seen).flatten())
assert torch.allclose(MeanLogit([model], 8)(pixels), model(pixels))
assert len(make_optimizer(model, recipe).param_groups) == 2
record = Record("r", ("real", "fake"), "s", "kaggle", {"train": 5}, {"model": ["model/fold0"]}, "none", 0.5)
print(about(record, {"model": network_of(recipe)}))
"""


def test_a_file_is_all_that_a_new_view_and_a_new_backbone_need(tmp_path):
    package = tmp_path / "competition"
    shutil.copytree(Path(competition.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
    (package / "models" / "views" / "negative.py").write_text(VIEW)
    (package / "models" / "own_backbones" / "mean.py").write_text(BACKBONE)
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0 and "mean on its negative" in done.stdout, done.stderr


def test_every_view_and_backbone_of_our_own_is_whole():
    views = [find_view(name) for name in CHOICES["view"]]
    assert len({view.caption for view in views}) == len(views) and all(issubclass(view, View) for view in views)
    assert own_names() and all(issubclass(find_own(name), OwnBackbone) for name in own_names())
    assert find_own("resnet18") is None
