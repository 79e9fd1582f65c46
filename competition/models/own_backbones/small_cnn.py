"""A small convolutional network for small pictures: four blocks, and whatever head stands on them."""

from collections.abc import Sequence
from typing import Self

from torch import Tensor, nn

from competition.core.errors import UserError
from competition.core.settings import Recipe
from competition.models.own_backbones import OwnBackbone


class SmallCnn(OwnBackbone):
    """Four blocks of 3x3 convolution, ReLU, 2x2 max-pool and dropout.

    (n, channels, h, w) to (n, widths[-1], h // 16, w // 16); for pictures of 16 pixels or more.
    """

    def __init__(self, channels: int, dropout: float = 0.0, widths: Sequence[int] = (32, 64, 128, 256)):
        super().__init__()
        blocks, before = [], channels
        for width in widths:
            convolution = nn.Conv2d(before, width, 3, padding=1)
            blocks.append(nn.Sequential(convolution, nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(dropout)))
            before = width
        self.blocks = nn.Sequential(*blocks)

    @classmethod
    def from_recipe(cls, recipe: Recipe, channels: int, load: bool) -> Self:
        """Return the network; ``backbone_args`` may hold its ``widths``."""
        for key in ("small_stem", "stem_stride", "checkpointing", "drop_path"):
            if getattr(recipe, key):
                raise UserError(f"Backbone 'small_cnn' has no use for {key}={getattr(recipe, key)}: leave it out.")
        try:
            return cls(channels, recipe.dropout, **recipe.backbone_args)
        except (TypeError, RuntimeError) as error:
            raise UserError(
                f"Backbone 'small_cnn' cannot be built ({error}): it takes backbone_args.widths=[32,64] alone."
            ) from error

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(x)


BACKBONE = SmallCnn
