"""The picture's spectrum."""

import math

import torch
from torch import Tensor, nn

from competition.models.views import View


class Fourier(View):
    """The log-magnitude of each channel's two-dimensional spectrum, zero frequency in the centre."""

    caption = "spectrum"
    keeps_places = False

    def forward(self, x: Tensor) -> Tensor:
        spectrum = torch.fft.fft2(_centred(x), norm="ortho").abs()
        return _scaled(torch.fft.fftshift(spectrum, dim=(2, 3)))

    def for_onnx(self, size: int) -> nn.Module:
        """Return the same without complex numbers: onnxruntime's own transform takes four to sixteen times as long,
        and other runtimes have none."""
        return RealFourier(size)


class RealFourier(nn.Module):
    """The same view of ``size`` x ``size`` pixels by matrix products.

    With C and S the cosines and sines of 2 pi k x / size over its root, and frequencies k shifted so that zero is in
    the centre, the real part is C x C' - S x S', the imaginary part (without sign) C x S' + S x C'.
    """

    cos: Tensor
    sin: Tensor

    def __init__(self, size: int):
        super().__init__()
        places = torch.arange(size)
        turns = torch.outer(torch.fft.fftshift(places), places) % size  # whole numbers: no angle loses a bit
        angle = turns.double() * (2 * math.pi / size)
        self.register_buffer("cos", (angle.cos() / math.sqrt(size)).float())
        self.register_buffer("sin", (angle.sin() / math.sqrt(size)).float())

    def forward(self, x: Tensor) -> Tensor:
        centred = _centred(x)
        left_cos, left_sin = self.cos @ centred, self.sin @ centred
        real = left_cos @ self.cos.T - left_sin @ self.sin.T
        imaginary = left_cos @ self.sin.T + left_sin @ self.cos.T
        return _scaled(torch.sqrt(real.square() + imaginary.square()))


def _centred(x: Tensor) -> Tensor:
    """Take each channel's mean away, twice: what the first time leaves is rounding, which the logarithm would show."""
    centred = x - x.mean(dim=(2, 3), keepdim=True)
    return centred - centred.mean(dim=(2, 3), keepdim=True)


def _scaled(magnitude: Tensor) -> Tensor:
    """Return the logarithm, of order one for images of every size: with the orthonormal transform, white noise of
    standard deviation s has magnitude about s at every frequency."""
    return (torch.log(magnitude + 1e-3) + 3) / 1.5


VIEW = Fourier
