"""A recipe becomes a module: a view, a backbone, and one logit.

The backbone is any of timm's, or one of our own; where its weights cannot be had or do not fit, one sentence says so.
"""

from typing import Any

import torch
from torch import Tensor, nn

from competition.core.errors import UserError
from competition.core.settings import Recipe
from competition.models.backbones import backbone_cfg, check_weights, make_timm
from competition.models.heads import WithHead, full_precision, make_head
from competition.models.own_backbones import OwnBackbone, find_own
from competition.models.views import View, find_view
from competition.models.weights import source_digest


class Detector(nn.Module):
    """A view and a backbone: uint8 pixels in, one logit a row out (positive: class 1).

    Input (n, c, h, w): uint8, or float32 in 0..255 (mixed images), or standardised floats when ``floating``.
    Output (n,) float32.
    """

    def __init__(self, view: View, backbone: nn.Module, floating: bool):
        super().__init__()
        self.view: View = view
        self.backbone: nn.Module = backbone
        self.floating = floating

    def forward(self, pixels: Tensor) -> Tensor:
        return self.backbone(self.seen(pixels)).float().flatten()

    def seen(self, pixels: Tensor) -> Tensor:
        """Return what the backbone sees of the pixels, (n, c, h, w) float32."""
        with full_precision(pixels):  # bf16 has too few bits for a residual
            return self.view(pixels.float() if self.floating else pixels.float() / 255)

    @property
    def with_head(self) -> WithHead:
        """The backbone of a frozen member, whose trunk and head are apart."""
        assert isinstance(self.backbone, WithHead)
        return self.backbone

    def head_parameters(self) -> list[nn.Parameter]:
        """Return the parameters of the head, or of a timm backbone's own classifier."""
        if isinstance(self.backbone, WithHead):
            return list(self.backbone.head.parameters())
        found: Any = getattr(self.backbone, "get_classifier", tuple)()  # some have more than one
        return [p for layer in (found if isinstance(found, tuple) else [found]) for p in layer.parameters()]

    def trunks(self) -> list[nn.Module]:
        """Return the timm backbones inside."""
        inner = self.backbone.trunk if isinstance(self.backbone, WithHead) else self.backbone
        if isinstance(inner, OwnBackbone):
            return inner.trunks()
        return [] if isinstance(inner, nn.Identity) else [inner]


def build_model(recipe: Recipe, channels: int = 3, floating: bool = False, load: bool = True) -> Detector:
    """Return the recipe's Detector for images of ``channels`` channels.

    ``load=False`` leaves the weights random whatever ``recipe.pretrained`` says (a checkpoint follows). Raises
    UserError for an unknown backbone, arguments it does not take, and weights that are missing or do not fit.
    """
    mean, std = normalisation(recipe, channels, floating)
    return Detector(find_view(recipe.view)(mean, std, floating), _backbone(recipe, channels, load), floating)


def _backbone(recipe: Recipe, channels: int, load: bool) -> nn.Module:
    """Return pixels to logits (n, 1): the backbone's own classifier, or a trunk and a head."""
    trunk: nn.Module
    if own := find_own(recipe.backbone):
        trunk = own.from_recipe(recipe, channels, load)
    elif not (recipe.head or recipe.frozen):
        return make_timm(recipe, channels, load, num_classes=1)
    else:
        pooling = {"global_pool": ""} if "flatten" in recipe.head else {}
        trunk = make_timm(recipe, channels, load, num_classes=0, **pooling)
    return WithHead(trunk, make_head(recipe.head, _features(trunk, recipe, channels), recipe.dropout), recipe.frozen)


@torch.no_grad()
def _features(trunk: nn.Module, recipe: Recipe, channels: int) -> int:
    """Return how many values a row of the trunk's output holds."""
    trunk.eval()
    out = _output(trunk, recipe, channels, 1)
    trunk.train()
    return out[0].numel()


def _output(module: nn.Module, recipe: Recipe, channels: int, rows: int) -> Tensor:
    """Return what a module makes of so many black images; UserError where it refuses their size."""
    try:
        return module(torch.zeros(rows, channels, recipe.image_size, recipe.image_size))
    except (RuntimeError, AssertionError, ValueError) as error:
        reason = " ".join(str(error).split())[:200]
        stem = f" with stem_stride={recipe.stem_stride}" if recipe.stem_stride else ""
        raise UserError(
            f"Backbone '{recipe.backbone}' cannot take image_size={recipe.image_size}{stem} ({reason}): change "
            f"image_size{', stem_stride' if stem else ''} or its backbone_args."
        ) from error


def check_model(recipe: Recipe, channels: int, floating: bool) -> Detector:
    """Raise UserError for a backbone, arguments or an image size that do not go together; loads and trains nothing.

    Returns the model's shapes alone (on torch's meta device).
    """
    _check_variants(recipe)
    if recipe.frozen and recipe.adapt != "full":
        raise UserError(
            f"frozen=true trains the head alone, so adapt={recipe.adapt} has nothing to train: leave one of them out."
        )
    if "batchnorm" in recipe.head and recipe.batch_size < 2:
        raise UserError("A head with batchnorm needs 2 rows or more in a pass: raise batch_size, now 1.")
    if recipe.pretrained != "false" and not timm_parts(recipe):
        raise UserError(f"There are no pretrained weights of '{recipe.backbone}': set pretrained=false.")
    with torch.device("meta"):  # shapes alone: neither memory nor time
        model = build_model(recipe, channels, floating, load=False)
        _output(model.backbone, recipe, channels, 2)
    return model


def _check_variants(recipe: Recipe) -> None:
    """Refuse augmentation of features that are computed once, and variants where there is nothing to vary."""
    if recipe.frozen and recipe.augment != "none" and not recipe.variants:
        raise UserError(
            f"frozen=true computes an image's features once, so augment={recipe.augment} cannot be: set augment=none, "
            "or variants=6 to learn from six augmented variants of each image, too."
        )
    if recipe.variants and not recipe.frozen:
        raise UserError(
            f"variants={recipe.variants} goes with frozen=true alone, for all other members see every image augmented "
            "anew in each epoch: set variants=0."
        )
    if recipe.variants and recipe.augment == "none":
        raise UserError(
            f"variants={recipe.variants} with augment=none would be copies of each image: name an augmentation, or set "
            "variants=0."
        )


def check_pretrained(recipe: Recipe, channels: int) -> None:
    """Raise UserError for pretrained weights that cannot be had or do not fit images of ``channels`` channels."""
    if recipe.pretrained != "false":
        for part in timm_parts(recipe):
            check_weights(part, channels)


def timm_parts(recipe: Recipe) -> list[Recipe]:
    """Return the recipe once for each timm backbone in it, named as timm names it."""
    own = find_own(recipe.backbone)
    return own.timm_parts(recipe) if own else [recipe]


def normalisation(recipe: Recipe, channels: int, floating: bool) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation per channel, as the backbone was trained with; (0, 1) for floats."""
    if floating:
        return (0.0,) * channels, (1.0,) * channels
    parts = timm_parts(recipe)
    if not parts:
        return (0.5,) * channels, (0.25,) * channels
    cfg = backbone_cfg(parts[0].backbone)
    if channels == 3:
        return tuple(cfg.mean), tuple(cfg.std)
    return (sum(cfg.mean) / 3,) * channels, (sum(cfg.std) / 3,) * channels


def weights_digest(recipe: Recipe, ask: bool = False) -> str:
    """Return ``false``, or a fingerprint of the weights files: where they lie does not matter.

    With ``ask`` the hub is asked for that of a file which is not cached. Raises UserError for a file that is not there.
    """
    return "+".join(dict.fromkeys(source_digest(part, ask) for part in timm_parts(recipe))) or "false"
