"""The picture a backbone sees. A file here is a view, and its name is what the setting ``view`` takes: nothing else
needs to know of it.

Views are modules inside the model, so that training, testing and exporting share them. They take (n, c, h, w) float32
pixels in 0..1 (standardised floats for pixel CSVs) and give a float32 tensor of that shape with values of order one.
"""

from collections.abc import Sequence
from importlib import import_module
from typing import ClassVar

from torch import Tensor, nn


class View(nn.Module):
    """What a file here subclasses, as its ``VIEW``.

    ``mean`` and ``std`` are those of each channel that the backbone was trained with; ``floating`` says that pixels are
    standardised floats. ``caption``: what a member of this view looks at, in the words of the web page.
    ``keeps_places``: whether a place in what it shows is that place in the image, where a heat map makes sense.
    """

    caption: ClassVar[str]
    keeps_places: ClassVar[bool] = True

    def __init__(self, mean: Sequence[float] = (), std: Sequence[float] = (), floating: bool = False):
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """Return what the backbone sees; here the pixels as they are."""
        return x

    def for_onnx(self, size: int) -> nn.Module:
        """Return a module that gives the same for ``size`` x ``size`` pixels, up to rounding, in operations that every
        ONNX runtime has."""
        return self


def find_view(name: str) -> type[View]:
    """Return the view of the file ``name``."""
    return import_module(f"{__name__}.{name}").VIEW
