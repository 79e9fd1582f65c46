"""What a network costs, from its shapes alone: nothing is computed and no memory is taken."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from competition.core.settings import Recipe
from competition.models.adapt import adapt, count_parameters
from competition.models.build import build_model

FLOAT_BYTES = 4
ROWS = 2  # images in the pass that is counted: batch normalisation needs two


@dataclass(frozen=True)
class Cost:
    """``flops``: of one image forward; a training step takes about three times as many. ``activations``: bytes that one
    image's forward pass keeps for the backward one, in float32. ``parameters``, ``trained``: how many there are, and
    how many of them are trained."""

    flops: float
    activations: float
    parameters: int
    trained: int

    def training_bytes(self, rows: int) -> float:
        """Return the bytes that training takes with so many ``rows`` in a pass: the activations, the weights, and of
        what is trained its gradient, AdamW's two moments and the moving average."""
        return self.activations * rows + FLOAT_BYTES * (self.parameters + 4 * self.trained)


def model_cost(recipe: Recipe, channels: int, floating: bool) -> Cost:
    """Return what the recipe's network costs on images of ``channels`` channels."""
    kept = 0

    def keep(tensor: Tensor) -> Tensor:
        nonlocal kept
        kept += 0 if isinstance(tensor, nn.Parameter) else tensor.nbytes
        return tensor

    with torch.device("meta"):
        model = adapt(build_model(recipe, channels, floating, load=False), recipe)
        pixels = torch.zeros(ROWS, channels, recipe.image_size, recipe.image_size)
        with FlopCounterMode(display=False) as counter, saved_tensors_hooks(keep, lambda tensor: tensor):
            model(pixels)
    return Cost(counter.get_total_flops() / ROWS, kept / ROWS, *count_parameters(model))
