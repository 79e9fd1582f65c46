"""The heat lies where the evidence was planted, for every kind of backbone, and the model stays as it was.

Each network learns for seconds to tell upright from level stripes in a small window somewhere in a grey image.
"""

import copy
import functools

import numpy as np
import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from competition.app.heat import heat
from competition.models.build import Detector
from competition.models.views import find_view

SIDE, WINDOW, MARGIN = 32, 10, 2  # pixels; a map of 8 x 8 cells knows a place to within half a cell
CONVNEXT = {"patch_size": 2, "depths": (1, 1, 1, 1), "dims": (16, 24, 32, 48), "ls_init_value": 0.1}
SWIN = {"img_size": SIDE, "patch_size": 2, "embed_dim": 24, "depths": (1, 1), "num_heads": (2, 4), "window_size": 4}
VIT = {"img_size": SIDE, "patch_size": 4, "embed_dim": 32, "depth": 3, "num_heads": 2}


def _images(n: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return uint8 (n, 3, SIDE, SIDE), labels (n,), and the window's top and left corner (n, 2)."""
    dice = torch.Generator().manual_seed(seed)
    scene = F.interpolate(torch.rand(n, 1, 4, 4, generator=dice), size=SIDE, mode="bilinear") * 60 + 100
    images = scene + torch.randn(n, 3, SIDE, SIDE, generator=dice) * 8
    labels = torch.randint(0, 2, (n,), generator=dice)
    corners = torch.randint(0, SIDE - WINDOW + 1, (n, 2), generator=dice)
    stripes = ((torch.arange(SIDE) % 4 < 2).float() * 70 - 35).expand(SIDE, SIDE)
    for image, label, (top, left) in zip(images, labels, corners.tolist(), strict=True):
        window = slice(top, top + WINDOW), slice(left, left + WINDOW)
        image[:, *window] += (stripes if label else stripes.T)[window]
    return images.clamp(0, 255).to(torch.uint8), labels, corners


class Fused(nn.Module):
    """Two backbones whose features one layer weighs."""

    def __init__(self, first: nn.Module, second: nn.Module):
        super().__init__()
        heads = [backbone.get_classifier() for backbone in (first, second)]
        self.first, self.second = first, second
        self.head = nn.Linear(sum(head.in_features for head in heads), 1)
        with torch.no_grad():
            self.head.weight.copy_(torch.cat([head.weight for head in heads], dim=1))
            self.head.bias.copy_(sum(head.bias for head in heads))
        first.reset_classifier(0)
        second.reset_classifier(0)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.cat([self.first(x), self.second(x)], dim=1))


class Frozen(nn.Module):
    """A trunk that never learns, run without gradients as such trunks are, and a head on the features of its stages."""

    def __init__(self, trunk: nn.Module, head: nn.Module):
        super().__init__()
        self.trunk, self.head = trunk.requires_grad_(False), head

    def forward(self, x: Tensor) -> Tensor:
        with torch.no_grad():
            features = self.trunk.forward_features(x)
        return self.head(self.trunk.forward_head(features, pre_logits=True))


def _plain() -> nn.Module:
    def block(inputs: int, outputs: int) -> list[nn.Module]:
        return [nn.Conv2d(inputs, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]

    return nn.Sequential(*block(3, 12), *block(12, 24), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(24, 1))


NETWORKS = {
    "convnext": lambda: timm.create_model("convnext_atto", num_classes=1, **CONVNEXT),
    "swin": lambda: timm.create_model("swin_tiny_patch4_window7_224", num_classes=1, **SWIN),
    "resnet": lambda: timm.create_model("resnet18", num_classes=1, layers=(1, 1, 1, 1), channels=(16, 24, 32, 48)),
    "vit by class token": lambda: timm.create_model("vit_tiny_patch16_224", num_classes=1, **VIT),
    "vit by mean": lambda: timm.create_model(
        "vit_tiny_patch16_224", num_classes=1, global_pool="avg", class_token=False, **VIT
    ),
    "plain": _plain,
    "fused": lambda: Fused(NETWORKS["convnext"](), NETWORKS["swin"]()),
}


# Steps, and images in each.
TRAINING = {
    "convnext": (130, 16),
    "swin": (100, 16),
    "resnet": (130, 16),
    "vit by class token": (60, 32),
    "plain": (80, 16),
}
# The least share of images in which the place is found; by chance it would be 0.2. With the first five seeds the
# ConvNeXt's is 0.75 to 0.98 (0.91 on average), and everyone else's 0.95 to 1: ./run.sh bench heat.
# Other processors train other weights: 0.875 was seen.
FOUND, FOUND_BY_CONVNEXT = 0.8, 0.7


def _untrained(name: str, seed: int = 0) -> Detector:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return _detector(NETWORKS[name]()).eval()


def _detector(network: nn.Module) -> Detector:
    return Detector(find_view("rgb")((0.5,) * 3, (0.25,) * 3, floating=False), network, floating=False)


@functools.cache
def trained(name: str, seed: int = 0) -> Detector:
    """Return a network of :data:`TRAINING`, trained from this seed."""
    model, (steps, batch) = _untrained(name, seed).train(), TRAINING[name]
    images, labels, _ = _images(steps * batch, seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 3e-3, total_steps=steps)
    for some, label in zip(images.split(batch), labels.split(batch), strict=True):
        optimizer.zero_grad()
        F.binary_cross_entropy_with_logits(model(some), label.float()).backward()
        optimizer.step()
        schedule.step()
    model.zero_grad()
    return model.eval()


def hit_rate(model: Detector, n: int = 40) -> float:
    """Return how often the hottest place lies in the window, in images the model has never seen; by chance: 1 in 5."""
    images, labels, corners = _images(n, 10**6)
    with torch.no_grad():
        assert ((model(images) > 0) == labels.bool()).float().mean() >= 0.9, "not trained: its evidence means nothing"
    hits = 0
    for image, label, (top, left) in zip(images, labels.tolist(), corners.tolist(), strict=True):
        found = heat(model, image[None], label)
        row, column = np.unravel_index(found.argmax(), found.shape)
        hits += -MARGIN <= row - top < WINDOW + MARGIN and -MARGIN <= column - left < WINDOW + MARGIN
    return hits / n


OFTEN = ("plain", "convnext", "swin")  # the others take a training of their own, and run with ./run.sh test all


@pytest.mark.parametrize("name", [pytest.param(n, marks=[] if n in OFTEN else pytest.mark.slow) for n in TRAINING])
def test_the_heat_lies_where_the_evidence_was_planted(name):
    assert hit_rate(trained(name)) >= (FOUND_BY_CONVNEXT if name == "convnext" else FOUND)


def test_the_heat_of_two_fused_backbones_lies_where_the_evidence_was_planted():
    fused = Fused(*(copy.deepcopy(trained(name).backbone) for name in ("convnext", "swin")))
    assert hit_rate(_detector(fused).eval()) >= FOUND


@pytest.mark.slow
def test_a_frozen_trunk_that_runs_without_gradients_shows_its_evidence_too():
    trunk = copy.deepcopy(trained("resnet").backbone)
    assert hit_rate(_detector(Frozen(trunk, trunk.get_classifier())).eval()) >= FOUND


def test_the_evidence_for_the_other_class_lies_elsewhere():
    model = trained("plain")
    images, labels, corners = _images(20, 10**6)
    inside = []
    for image, label, (top, left) in zip(images, labels.tolist(), corners.tolist(), strict=True):
        for asked in (label, 1 - label):
            found = heat(model, image[None], asked)
            inside.append(found[top : top + WINDOW, left : left + WINDOW].sum() / max(found.sum(), 1e-9))
    right, wrong = np.mean(inside[::2]), np.mean(inside[1::2])
    assert right > 0.5 and wrong < 0.25


@pytest.mark.parametrize("name", NETWORKS)
def test_heat_is_a_map_in_0_to_1_and_the_model_is_left_as_it_was(name):
    model = _untrained(name).train()
    inner = next(iter(model.backbone.children())).eval()  # a part may be in another mode than the rest
    next(model.parameters()).requires_grad_(False)
    modes = [module.training for module in model.modules()]
    state = {key: value.clone() for key, value in model.state_dict().items()}
    images, _, _ = _images(1, 1)
    with torch.inference_mode():
        found = heat(model, images.clone())
    assert found.dtype == np.float32 and found.shape == (SIDE, SIDE)
    assert found.min() >= 0 and found.max() <= 1
    assert [module.training for module in model.modules()] == modes and not inner.training
    assert all(torch.equal(value, state[key]) for key, value in model.state_dict().items())
    assert all(p.grad is None for p in model.parameters())
    assert [p.requires_grad for p in model.parameters()].count(False) == 1
    with torch.no_grad():
        assert model.eval()(images.expand(3, -1, -1, -1)).shape == (3,)  # no hook is left to change what runs through


def test_the_same_image_gives_the_same_heat():
    images, model = _images(1, 1)[0], _untrained("plain")
    np.testing.assert_array_equal(heat(model, images), heat(model, images))


def test_an_image_without_any_evidence_gives_no_heat():
    model = _untrained("plain")
    assert not heat(model, torch.full((1, 3, SIDE, SIDE), 128, dtype=torch.uint8)).any()


@pytest.mark.parametrize("view", ["residual", "fourier"])
@pytest.mark.parametrize("shape", [(32, 32), (40, 64)])
def test_any_view_shape_and_number_type_has_a_heat(view, shape):
    model = Detector(find_view(view)((0.0,), (1.0,), True), nn.Sequential(nn.Conv2d(1, 4, 3), nn.GELU(), _Mean()), True)
    found = heat(model, torch.randn(1, 1, *shape, generator=torch.Generator().manual_seed(0)))
    assert found.shape == shape and np.isfinite(found).all()


class _Mean(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(1, 2, 3))[:, None]


def test_a_class_that_there_is_not_is_refused():
    with pytest.raises(ValueError, match="2"):
        heat(_untrained("plain"), _images(1, 1)[0], 2)
