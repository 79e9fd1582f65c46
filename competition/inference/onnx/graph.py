"""A member's models as one ONNX graph: pixels in, their mean logit out, in operations that every runtime has."""

import contextlib
import logging
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from competition.models.build import Detector

INLINE_BYTES = 1_500_000_000  # larger weights lie beside their graph: protobuf ends at 2 GB


class MeanLogit(nn.Module):
    """uint8 (n, 3, size, size) to float32 (n,): the mean logit of one member's models, which share their view."""

    def __init__(self, models: Sequence[Detector], size: int):
        super().__init__()
        self.view = models[0].view.for_onnx(size)
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
        assert program is not None  # as dynamo=True promises
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
