"""A model's weights on disk: safetensors, written atomically, loaded strictly and without pickle."""

from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from competition.core.errors import UserError
from competition.core.files import atomic_write


def save_weights(path: Path, model: nn.Module) -> None:
    """Write the model's state to ``path``; pass the module itself, neither compiled nor wrapped."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    with atomic_write(path, "wb") as file:
        file.write(save(state))


def load_weights(path: Path, model: nn.Module) -> None:
    """Load ``path`` into the model; every tensor must be there and fit."""
    try:
        model.load_state_dict(load_file(path), strict=True)
    except (OSError, SafetensorError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"Weights {path} cannot be loaded ({reason}): delete that folder to train it again.") from error
