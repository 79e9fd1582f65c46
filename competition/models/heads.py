"""What turns a backbone's features into one logit, where that is more than the backbone's own last layer.

A head is written as its layers, in order: `[flatten, 256, batchnorm, relu, dropout, 128, relu]`; the last layer, with
one output, is never written. `flatten` takes every value of the feature map where the backbone would take its mean.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from competition.core.errors import UserError, did_you_mean

LAYERS = ("flatten", "batchnorm", "relu", "dropout")


class WithHead(nn.Module):
    """A trunk and a head: (n, c, h, w) pixels to (n, 1) logits.

    The head runs in float32 whatever the precision around it: it is small, and a frozen trunk's features are kept in
    float32. With ``frozen`` the trunk's weights, and its normalisation's statistics, stay as they are.
    """

    def __init__(self, trunk: nn.Module, head: nn.Sequential, frozen: bool):
        super().__init__()
        self.trunk: nn.Module = trunk
        self.head: nn.Sequential = head
        self.frozen = frozen
        if frozen:
            trunk.requires_grad_(False).eval()

    @property
    def features(self) -> int:
        """How many values of a row the head reads."""
        sizes = [getattr(layer, "in_features", 0) or getattr(layer, "num_features", 0) for layer in self.head]
        return next(size for size in sizes if size)

    def train(self, mode: bool = True) -> "WithHead":
        """Set the head's mode, and the trunk's unless it is frozen."""
        super().train(mode)
        if self.frozen:
            self.trunk.eval()
        return self

    def forward(self, x: Tensor) -> Tensor:
        features = self.trunk(x)
        with full_precision(x):
            return self.head(features.float())


def full_precision(values: Tensor) -> torch.autocast:
    """Return what keeps computations where ``values`` lie in their own precision, whatever the autocast around."""
    kind = values.device.type
    return torch.autocast("cpu" if kind == "meta" else kind, enabled=False)  # shapes alone have no autocast


def make_head(layers: Sequence[str], features: int, dropout: float) -> nn.Sequential:
    """Return the layers, then the last: (n, ...) with ``features`` values a row to (n, 1).

    ``dropout`` is the rate wherever the head says so, and before the last layer where it says nothing. Raises
    UserError for anything else.
    """
    stack: list[nn.Module] = [nn.Flatten()]
    for layer in layers or (["dropout"] if dropout else []):
        match layer:
            case "flatten":
                pass
            case "batchnorm":
                stack.append(nn.BatchNorm1d(features))
            case "relu":
                stack.append(nn.ReLU())
            case "dropout":
                stack.append(nn.Dropout(dropout))
            case _ if layer.isdecimal() and int(layer):
                stack.append(nn.Linear(features, int(layer)))
                features = int(layer)
            case _:
                raise UserError(
                    f"'{layer}' is neither a width, as 256, nor a layer of a head{did_you_mean(layer, LAYERS)}"
                )
    return nn.Sequential(*stack, nn.Linear(features, 1))
