"""A member's models as one ONNX graph: pixels in, their mean logit out, in operations that every runtime has."""

import contextlib
import logging
import math
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from competition.models.build import Detector
from competition.models.views import Fourier

INLINE_BYTES = 1_500_000_000  # larger weights lie beside their graph: protobuf ends at 2 GB


class RealFourier(nn.Module):
    """The fourier view of ``size`` x ``size`` pixels by matrix products, without complex numbers.

    onnxruntime's own transform takes four to sixteen times as long, and other runtimes have none. Same values up to
    rounding: with C and S the cosines and sines of 2 pi k x / size over its root, and frequencies k shifted so that
    zero is in the centre, the real part is C x C' - S x S', the imaginary part (without sign) C x S' + S x C'.
    """

    def __init__(self, size: int):
        super().__init__()
        places = torch.arange(size)
        turns = torch.outer(torch.fft.fftshift(places), places) % size  # whole numbers: no angle loses a bit
        angle = turns.double() * (2 * math.pi / size)
        self.register_buffer("cos", (angle.cos() / math.sqrt(size)).float())
        self.register_buffer("sin", (angle.sin() / math.sqrt(size)).float())

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(dim=(2, 3), keepdim=True)
        # Again: what the first time leaves is rounding, which the logarithm would show at frequency zero.
        centred = centred - centred.mean(dim=(2, 3), keepdim=True)
        left_cos, left_sin = self.cos @ centred, self.sin @ centred
        real = left_cos @ self.cos.T - left_sin @ self.sin.T
        imaginary = left_cos @ self.sin.T + left_sin @ self.cos.T
        return (torch.log(torch.sqrt(real.square() + imaginary.square()) + 1e-3) + 3) / 1.5


class MeanLogit(nn.Module):
    """uint8 (n, 3, size, size) to float32 (n,): the mean logit of one member's models, which share their view."""

    def __init__(self, models: Sequence[Detector], size: int):
        super().__init__()
        view = models[0].view
        self.view = RealFourier(size) if isinstance(view, Fourier) else view
        self.backbones = nn.ModuleList(model.backbone for model in models)
        self.eval()

    def forward(self, pixels: Tensor) -> Tensor:
        seen = self.view(pixels.float() / 255)
        return torch.stack([backbone(seen).flatten() for backbone in self.backbones]).mean(dim=0)


def write_onnx(module: nn.Module, size: int, path: Path) -> None:
    """Write a module from ``pixels`` uint8 (n, 3, size, size) to ``logit`` float32 (n,), for any n from 1 on.

    Weights of more than ``INLINE_BYTES`` lie beside it, in a file of the same name with ``.data`` at its end. Raises
    torch.onnx.OnnxExporterError for a module that has no such form.
    """
    pixels = torch.zeros(2, 3, size, size, dtype=torch.uint8)
    with _quiet():
        program = torch.onnx.export(
            module,
            (pixels,),
            dynamo=True,
            verbose=False,
            input_names=["pixels"],
            output_names=["logit"],
            dynamic_shapes=({0: torch.export.Dim("n", min=1)},),
        )
        for node in program.model.graph.all_nodes():
            node.metadata_props.clear()  # where in which source file it came from: of no use elsewhere, and long
        weights = sum(tensor.nbytes for tensor in module.state_dict().values())
        program.save(path, external_data=weights > INLINE_BYTES)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's warnings and log lines, which are about its own insides, from the user's terminal."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
