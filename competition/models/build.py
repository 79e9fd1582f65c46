"""A recipe becomes a module: a view, a backbone, and one logit.

The backbone is any of timm's, or one of our own; its weights are random, from the hub, or
from files, and where they cannot be had or do not fit, one sentence says so.
"""

import torch
from torch import Tensor, nn

from competition.core.errors import UserError
from competition.core.settings import Recipe
from competition.models.backbones import backbone_cfg, check_weights, make_timm
from competition.models.heads import WithHead, make_head
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
        with torch.autocast(pixels.device.type, enabled=False):  # bf16 has too few bits for a residual
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
        found = getattr(self.backbone, "get_classifier", tuple)()  # some have more than one
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
    try:
        out = trunk(torch.zeros(1, channels, recipe.image_size, recipe.image_size))
    except (RuntimeError, AssertionError, ValueError) as error:
        raise _refuses_size(recipe, error) from error
    trunk.train()
    return out[0].numel()


def check_model(recipe: Recipe, channels: int, floating: bool) -> Detector:
    """Raise UserError for a backbone, arguments or an image size that do not go together; loads and trains nothing.

    Returns the model's shapes alone (on torch's meta device).
    """
    if recipe.frozen and recipe.augment != "none":
        raise UserError(
            f"frozen=true computes an image's features once, so augment={recipe.augment} cannot be: set augment=none."
        )
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
        try:
            model.backbone(torch.empty(2, channels, recipe.image_size, recipe.image_size))
        except (RuntimeError, AssertionError, ValueError) as error:
            raise _refuses_size(recipe, error) from error
    return model


def check_pretrained(recipe: Recipe, channels: int) -> None:
    """Raise UserError for pretrained weights that cannot be had or do not fit images of ``channels`` channels."""
    if recipe.pretrained != "false":
        for part in timm_parts(recipe):
            check_weights(part, channels)


def _refuses_size(recipe: Recipe, error: Exception) -> UserError:
    reason = " ".join(str(error).split())[:200]
    stem = f" with stem_stride={recipe.stem_stride}" if recipe.stem_stride else ""
    return UserError(
        f"Backbone '{recipe.backbone}' cannot take image_size={recipe.image_size}{stem} ({reason}): change image_size"
        f"{', stem_stride' if stem else ''} or its backbone_args."
    )


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
