"""The first stride of a network (`stem_stride=`, `small_stem=`): lower, it keeps more of the picture's resolution.

Pretrained weights are kept. A patch embedding, whose filters do not overlap, is resampled to the smaller patch, and a
position table to the finer grid, as timm does; of any other first convolution the stride alone changes.
"""

from typing import Any

import torch
from timm.layers import resample_patch_embed
from torch import nn

from competition.core.errors import UserError
from competition.core.settings import Recipe


def stem_options(own: Any, recipe: Recipe) -> dict[str, Any]:
    """Return timm's arguments for the stride ``recipe.stem_stride``; ``own`` is the backbone as it is without (its
    shapes alone are looked at).

    What timm has no argument for, :func:`lower_stem` does to the finished backbone. Raises UserError for more than its
    own stride, and for a backbone whose stem cannot be changed.
    """
    name, stride, stem = recipe.backbone, recipe.stem_stride, _first_convolution(own)
    if stem is None:
        raise UserError(f"Backbone '{name}' does not begin with a convolution or patches: leave stem_stride out.")
    if stride > max(stem.stride):
        raise UserError(
            f"stem_stride={stride} is more than the stride of '{name}', {max(stem.stride)}: give 1 to "
            f"{max(stem.stride)}."
        )
    patches = getattr(getattr(own, "patch_embed", None), "proj", None) is stem
    if patches and stem.kernel_size == stem.stride:
        return {"patch_size": stride}  # positions and windows are laid out anew
    if own.pretrained_cfg.get("fixed_input_size"):
        raise UserError(
            f"Backbone '{name}' is made for one size of image at one stride: leave stem_stride out, or take another "
            "backbone."
        )
    return {}


def lower_stem(backbone: nn.Module, recipe: Recipe) -> None:
    """Give a backbone's first convolution the stride ``recipe.stem_stride``, unless it has it."""
    if stem := _first_convolution(backbone):
        _lower_stride(stem, recipe.stem_stride)


def shrink_stem(backbone: Any, recipe: Recipe) -> None:
    """Take the stride and the pooling out of a ResNet's stem; its weights stay what they are."""
    if not (hasattr(backbone, "conv1") and hasattr(backbone, "maxpool")):
        raise UserError(f"Backbone '{recipe.backbone}' has no ResNet's stem to make small: set small_stem=false.")
    if recipe.stem_stride:
        raise UserError("small_stem=true is stem_stride=1 without the pooling after it: leave one of them out.")
    for layer in backbone.conv1.modules():
        if isinstance(layer, nn.Conv2d):
            _lower_stride(layer, 1)
    backbone.maxpool = nn.Identity()


def _first_convolution(backbone: Any) -> nn.Conv2d | None:
    """Return the layer that timm names as a backbone's first, or None where it is no convolution."""
    names = getattr(backbone, "pretrained_cfg", {}).get("first_conv") or ()
    layers = dict(backbone.named_modules())
    found = layers.get(names if isinstance(names, str) else next(iter(names), ""))
    return found if isinstance(found, nn.Conv2d) else None


def _lower_stride(layer: nn.Conv2d, stride: int) -> None:
    """Lower a convolution's stride; one without overlap becomes one of smaller patches, still without."""
    if layer.stride == (stride, stride):
        return
    if layer.kernel_size == layer.stride:
        with torch.no_grad():
            layer.weight = nn.Parameter(resample_patch_embed(layer.weight, [stride, stride]))
        layer.kernel_size = (stride, stride)
    layer.stride = (stride, stride)
