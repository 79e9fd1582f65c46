"""The picture itself."""

from collections.abc import Sequence

import torch
from torch import Tensor

from competition.models.views import View


class Rgb(View):
    """Standardise the channels: (x - mean) / std, with the statistics the backbone was trained with."""

    caption = "colours"

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float], floating: bool):
        super().__init__(mean, std, floating)
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


VIEW = Rgb
