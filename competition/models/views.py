"""The picture a backbone sees: rgb, its noise residual, or its spectrum.

Views are modules inside the model, so that training, testing and exporting share them. They take (n, c, h, w) float32
pixels in 0..1 (standardised floats for pixel CSVs) and give a float32 tensor of that shape with values of order one.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

RESIDUAL_LIMIT = 8 / 255  # larger differences are edges of the scene, not traces of how the image was made


class Rgb(nn.Module):
    """Standardise the channels: (x - mean) / std, with the statistics the backbone was trained with."""

    def __init__(self, mean: tuple[float, ...], std: tuple[float, ...]):
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


class Residual(nn.Module):
    """A fixed 3x3 high-pass of each channel, clipped: what remains when the scene is predicted from its neighbours.

    The kernel is the second-order square filter of the spatial rich model (Fridrich and Kodovsky 2012), without sign.
    """

    def __init__(self, channels: int, limit: float):
        super().__init__()
        kernel = torch.tensor([[-1.0, 2, -1], [2, -4, 2], [-1, 2, -1]]) / 4
        self.register_buffer("kernel", kernel.repeat(channels, 1, 1, 1))
        self.limit = limit

    def forward(self, x: Tensor) -> Tensor:
        high = F.conv2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), self.kernel, groups=x.shape[1])
        return high.clamp(-self.limit, self.limit) * (2 / self.limit)


class Fourier(nn.Module):
    """The log-magnitude of each channel's two-dimensional spectrum, zero frequency in the centre.

    With the orthonormal transform, white noise of standard deviation s has magnitude about s at every frequency, so the
    affine constants below suit images of every size.
    """

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(dim=(2, 3), keepdim=True)
        centred = centred - centred.mean(dim=(2, 3), keepdim=True)  # the first mean's rounding would show in the log
        spectrum = torch.fft.fftshift(torch.fft.fft2(centred, norm="ortho").abs(), dim=(2, 3))
        return (torch.log(spectrum + 1e-3) + 3) / 1.5


def make_view(name: str, mean: tuple[float, ...], std: tuple[float, ...], floating: bool) -> nn.Module:
    """Return the view ``name`` (rgb, residual or fourier); the number of channels is that of ``mean``.

    ``floating`` says that pixels are standardised floats, for which the residual's clip is one standard deviation.
    """
    if name == "residual":
        return Residual(len(mean), 1.0 if floating else RESIDUAL_LIMIT)
    return {"rgb": Rgb(mean, std), "fourier": Fourier()}[name]
