"""How much of a backbone is trained beside its head (`adapt=`): all of it, its normalisation layers, or a low-rank
addition to each of its matrices.

Nothing of this is left in a checkpoint: additions are merged into the weights before they are saved, so that whatever
reads them (predict, ONNX, a bundle) sees a network like any other.
"""

import math
from collections.abc import Iterator

from torch import Tensor, nn
from torch.nn.utils import parametrize

from competition.core.errors import UserError
from competition.core.settings import Recipe
from competition.models.build import Detector
from competition.models.heads import full_precision


class LowRank(nn.Module):
    """A parametrization of a weight: the weight, and beside it a trained product of two thin matrices.

    The weight (out, ...) counts as a matrix (out, n), for a convolution with n = in x height x width. ``up`` (out,
    rank) starts at zero, so that training begins at the weight itself; the product is scaled by ``alpha / rank`` (LoRA:
    Hu et al. 2021, arXiv 2106.09685). It is computed in the weight's own precision, whatever the precision around it,
    so that the merged weight is the one that was trained.
    """

    def __init__(self, weight: Tensor, rank: int, alpha: float):
        super().__init__()
        out, n = weight.shape[0], weight[0].numel()
        self.down = nn.Parameter(weight.new_empty(rank, n))
        self.up = nn.Parameter(weight.new_zeros(out, rank))
        self.scale = alpha / rank
        nn.init.kaiming_uniform_(self.down, a=math.sqrt(5))

    def forward(self, weight: Tensor) -> Tensor:
        with full_precision(weight):
            return weight + self.scale * (self.up @ self.down).view(weight.shape)


def adapt(model: Detector, recipe: Recipe) -> Detector:
    """Leave trainable what ``recipe.adapt`` says, the head always, and return the model.

    Buffers, such as the running statistics of batch normalisation, follow the data whatever is trained. Raises
    UserError where there is nothing to adapt.
    """
    if recipe.adapt == "full":
        return model
    head = {id(parameter) for parameter in model.head_parameters()}
    for parameter in model.parameters():
        parameter.requires_grad_(id(parameter) in head)
    if recipe.adapt == "norms":
        _train_norms(model, recipe)
    else:
        _add_low_rank(model, recipe, head)
    return model


def merged(model: Detector) -> Detector:
    """Return the model with every low-rank addition merged into its weight; its outputs stay what they were."""
    for layer in list(model.modules()):
        if parametrize.is_parametrized(layer, "weight"):
            parametrize.remove_parametrizations(layer, "weight", leave_parametrized=True)
    return model


def count_parameters(model: nn.Module) -> tuple[int, int]:
    """Return how many parameters the model has once it is merged, and how many are trained."""
    additions = {id(p) for layer in model.modules() if isinstance(layer, LowRank) for p in layer.parameters()}
    total = sum(p.numel() for p in model.parameters() if id(p) not in additions)
    return total, sum(p.numel() for p in model.parameters() if p.requires_grad)


def _train_norms(model: Detector, recipe: Recipe) -> None:
    trained = 0
    for layer in model.backbone.modules():
        if "norm" in type(layer).__name__.lower():  # torch's and timm's own alike
            for parameter in layer.parameters(recurse=False):
                parameter.requires_grad_(True)
                trained += 1
    if not trained:
        raise UserError(
            f"Backbone '{recipe.backbone}' has no normalisation layers that adapt=norms could train: use adapt=lora or "
            "adapt=full."
        )


def _add_low_rank(model: Detector, recipe: Recipe, head: set[int]) -> None:
    layers = [layer for layer in _matrices(model.backbone, recipe.lora_rank) if id(layer.weight) not in head]
    if not layers:
        raise UserError(
            f"Backbone '{recipe.backbone}' has no matrix to which an addition of lora_rank={recipe.lora_rank} would be "
            "smaller than the matrix itself: lower lora_rank, or use adapt=norms or adapt=full."
        )
    for layer in layers:
        addition = LowRank(layer.weight, recipe.lora_rank, recipe.lora_alpha)
        parametrize.register_parametrization(layer, "weight", addition)


def _matrices(module: nn.Module, rank: int) -> Iterator[nn.Linear | nn.Conv2d]:
    """Yield the linear layers and the convolutions across all channels whose low-rank addition is smaller than they.

    The filters of a depthwise or grouped convolution are many small matrices, not one.
    """
    for layer in module.modules():
        if isinstance(layer, nn.Linear) or (isinstance(layer, nn.Conv2d) and layer.groups == 1):
            out, n = layer.weight.shape[0], layer.weight[0].numel()
            if rank * (out + n) < out * n:
                yield layer
