"""A small convolutional network for small pictures: four blocks, and whatever head stands on them."""

from collections.abc import Sequence

from torch import Tensor, nn


class SmallCnn(nn.Module):
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

    def forward(self, x: Tensor) -> Tensor:
        return self.blocks(x)
