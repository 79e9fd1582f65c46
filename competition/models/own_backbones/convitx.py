"""ConvNeXt and Swin in one network: their features side by side, for one head to weigh."""

import dataclasses
from typing import Self

import torch
from torch import Tensor, nn

from competition.core.errors import UserError, did_you_mean
from competition.core.settings import Recipe
from competition.models.backbones import make_timm
from competition.models.own_backbones import OwnBackbone

ARGUMENTS = ("convnext", "swin", "convnext_args", "swin_args")


class ConvitX(OwnBackbone):
    """(n, c, h, w) to (n, f): the pooled features of a ConvNeXt and of a Swin, concatenated."""

    def __init__(self, convnext: nn.Module, swin: nn.Module):
        super().__init__()
        self.convnext, self.swin = convnext, swin

    @classmethod
    def from_recipe(cls, recipe: Recipe, channels: int, load: bool) -> Self:
        return cls(*(make_timm(part, channels, load, num_classes=0) for part in cls.timm_parts(recipe)))

    @classmethod
    def timm_parts(cls, recipe: Recipe) -> list[Recipe]:
        """Return the recipe as its ConvNeXt and its Swin have it, from ``backbone_args``.

        ``convnext`` and ``swin`` there are timm names, ``convnext_args`` and ``swin_args`` what goes to timm with each.
        Raises UserError where a name is missing and for other arguments.
        """
        given = recipe.backbone_args
        for key in given:
            if key not in ARGUMENTS:
                raise UserError(
                    f"Backbone 'convitx' has no argument '{key}' in backbone_args{did_you_mean(key, ARGUMENTS)}"
                )
        for key in ARGUMENTS[:2]:
            if not isinstance(given.get(key), str):
                raise UserError(f"Backbone 'convitx' needs a timm name for its {key}: give backbone_args.{key}=NAME.")
        for key in ARGUMENTS[2:]:
            if not isinstance(given.get(key) or {}, dict):
                raise UserError(f"backbone_args.{key}={given[key]} is not a mapping: write it like {{window_size: 4}}.")
        return [
            dataclasses.replace(recipe, backbone=given[key], backbone_args=given.get(f"{key}_args") or {}, head=[])
            for key in ARGUMENTS[:2]
        ]

    def trunks(self) -> list[nn.Module]:
        return [self.convnext, self.swin]

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.convnext(x), self.swin(x)], dim=1)


BACKBONE = ConvitX
