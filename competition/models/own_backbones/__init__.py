"""Backbones that timm does not have. A file here is a backbone, and its name is what the setting ``backbone`` takes:
nothing else needs to know of it."""

import pkgutil
from importlib import import_module
from typing import Self

from torch import nn

from competition.core.settings import Recipe


class OwnBackbone(nn.Module):
    """What a file here subclasses, as its ``BACKBONE``: (n, c, h, w) to features, which a head turns into a logit."""

    @classmethod
    def from_recipe(cls, recipe: Recipe, channels: int, load: bool) -> Self:
        """Return the backbone for images of ``channels`` channels, with pretrained weights inside if ``load``.

        Raises UserError for settings that it has no use for.
        """
        raise NotImplementedError

    @classmethod
    def timm_parts(cls, recipe: Recipe) -> list[Recipe]:
        """Return the recipe once for each timm backbone inside, as timm has it; none where there is none."""
        return []

    def trunks(self) -> list[nn.Module]:
        """Return the timm backbones inside."""
        return []


def own_names() -> list[str]:
    """Return the names of the backbones here."""
    return [module.name for module in pkgutil.iter_modules(__path__)]


def find_own(name: str) -> type[OwnBackbone] | None:
    """Return the backbone of the file ``name``, or None where there is none of that name."""
    return import_module(f"{__name__}.{name}").BACKBONE if name in own_names() else None
