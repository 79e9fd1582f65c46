"""The picture's noise, without its scene."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from competition.models.views import View

LIMIT = 8 / 255  # larger differences are edges of the scene, not traces of how the image was made
FLOATING_LIMIT = 1.0  # one standard deviation


class Residual(View):
    """A fixed 3x3 high-pass of each channel, clipped: what remains when the scene is predicted from its neighbours.

    The kernel is the second-order square filter of the spatial rich model (Fridrich and Kodovsky 2012), without sign.
    """

    caption = "noise residual"

    kernel: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float], floating: bool):
        super().__init__(mean, std, floating)
        kernel = torch.tensor([[-1.0, 2, -1], [2, -4, 2], [-1, 2, -1]]) / 4
        self.register_buffer("kernel", kernel.repeat(len(mean), 1, 1, 1))
        self.limit = FLOATING_LIMIT if floating else LIMIT

    def forward(self, x: Tensor) -> Tensor:
        high = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), self.kernel, groups=x.shape[1])
        return high.clamp(-self.limit, self.limit) * (2 / self.limit)


VIEW = Residual
