"""A name becomes a module: any timm backbone behind any view, with one logit.

Weights come from the hub, from a local file, or from a folder of files named as on Kaggle; where they cannot be had or
do not fit, one sentence says so.
"""

import functools
import hashlib
import re
import warnings
from pathlib import Path
from typing import Any

import timm
import torch
from torch import Tensor, nn

from competition.config import Recipe
from competition.errors import UserError, did_you_mean
from competition.models.views import make_view

WEIGHT_FILES = (".safetensors", ".pth", ".pt", ".bin")


class Detector(nn.Module):
    """A view and a backbone: uint8 pixels in, one logit a row out (positive: class 1).

    Input (n, c, h, w): uint8, or float32 in 0..255 (mixed images), or standardised floats when ``floating``.
    Output (n,) float32.
    """

    def __init__(self, view: nn.Module, backbone: nn.Module, floating: bool):
        super().__init__()
        self.view = view
        self.backbone = backbone
        self.floating = floating

    def forward(self, pixels: Tensor) -> Tensor:
        with torch.autocast(pixels.device.type, enabled=False):  # bf16 has too few bits for a residual
            x = pixels.float() if self.floating else pixels.float() / 255
            x = self.view(x)
        return self.backbone(x).float().flatten()


def build_model(recipe: Recipe, channels: int = 3, floating: bool = False, load: bool = True) -> Detector:
    """Return the recipe's Detector for images of ``channels`` channels.

    ``load=False`` leaves the weights random whatever ``recipe.pretrained`` says (a checkpoint follows). Raises
    UserError for an unknown backbone, arguments it does not take, and weights that are missing or do not fit.
    """
    cfg = backbone_cfg(recipe.backbone)
    options: dict[str, Any] = {"img_size": recipe.image_size} if cfg.fixed_input_size else {}
    options |= {key: rate for key, rate in _rates(recipe).items() if rate or takes(recipe.backbone, key)}
    options |= {key: tuple(v) if isinstance(v, list) else v for key, v in recipe.backbone_args.items()}
    options |= _weights(recipe) if load else {"pretrained": False}
    backbone = _create(recipe, channels, options)
    if recipe.checkpointing:
        try:
            backbone.set_grad_checkpointing()
        except (AssertionError, AttributeError) as error:
            raise UserError(
                f"Backbone '{recipe.backbone}' has no gradient checkpointing: set checkpointing=false."
            ) from error
    mean, std = normalisation(recipe, channels, floating)
    return Detector(make_view(recipe.view, mean, std, floating), backbone, floating)


def check_model(recipe: Recipe, channels: int, floating: bool) -> None:
    """Raise UserError for a backbone, arguments, weights or an image size that do not go together; trains nothing."""
    with torch.device("meta"):  # shapes alone: neither memory nor time
        model = build_model(recipe, channels, floating, load=False)
        try:
            model.backbone(torch.empty(2, channels, recipe.image_size, recipe.image_size))
        except (RuntimeError, AssertionError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise UserError(f"Backbone '{recipe.backbone}' cannot take image_size={recipe.image_size} ({reason}): "
                            "change image_size or its backbone_args.") from error  # fmt: skip
    if recipe.pretrained != "false":
        build_model(recipe, channels, floating)


def _rates(recipe: Recipe) -> dict[str, float]:
    return {"drop_path_rate": recipe.drop_path, "drop_rate": recipe.dropout}


@functools.cache
def takes(name: str, argument: str) -> bool:
    """Whether the backbone takes ``argument``: timm's defaults are not all zero (Swin's stochastic depth is .1)."""
    with torch.device("meta"):
        try:
            timm.create_model(name, num_classes=1, **{argument: 0.0})
        except TypeError:
            return False
    return True


def backbone_cfg(name: str) -> Any:
    """Return timm's pretrained configuration of ``name`` ('resnet18', 'resnet18.a1_in1k'), or raise UserError."""
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        raise UserError(f"There is no backbone '{name}'{did_you_mean(architecture, timm.list_models())}")
    tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        raise UserError(f"Backbone '{architecture}' has no weights '{tag}'{did_you_mean(tag, tags)}")
    return timm.get_pretrained_cfg(name)


def normalisation(recipe: Recipe, channels: int, floating: bool) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation per channel, as the backbone was trained with; (0, 1) for floats."""
    if floating:
        return (0.0,) * channels, (1.0,) * channels
    cfg = backbone_cfg(recipe.backbone)
    if channels == 3:
        return tuple(cfg.mean), tuple(cfg.std)
    return (sum(cfg.mean) / 3,) * channels, (sum(cfg.std) / 3,) * channels


def _create(recipe: Recipe, channels: int, options: dict[str, Any]) -> nn.Module:
    name, source = recipe.backbone, recipe.pretrained
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # timm warns of arguments it renames; a wrong one still raises below
            return timm.create_model(name, num_classes=1, in_chans=channels, **options)
    except TypeError as error:
        reason = re.sub(r"^.*__init__\(\) ", "", str(error))
        raise UserError(f"Backbone '{name}' {reason}: take it out of backbone_args.") from error
    except AssertionError as error:
        raise UserError(f"Backbone '{name}' refuses image_size={recipe.image_size} ({error}): change one.") from error
    except OSError as error:  # the hub's errors are OSErrors too
        if source != "true":
            raise UserError(f"Weights {source} cannot be read ({error}): give another file.") from error
        raise UserError(
            f"The pretrained weights of '{name}' are neither cached nor to be fetched ({type(error).__name__}): go "
            "online once, give pretrained=FILE or FOLDER, or train from scratch with pretrained=false."
        ) from error
    except (RuntimeError, ValueError, KeyError, IndexError) as error:
        reason = " ".join(str(error).split())[:200]
        if source == "false":
            raise UserError(f"Backbone '{name}' cannot be built ({reason}): change its backbone_args.") from error
        raise UserError(f"Weights ({source}) do not fit '{name}' ({reason}): give weights of this backbone.") from error


def weights_digest(recipe: Recipe) -> str:
    """Return ``true``, ``false``, or a fingerprint of the weights file: where it lies does not matter."""
    overlay = _weights(recipe).get("pretrained_cfg_overlay")
    if not overlay:
        return recipe.pretrained
    with open(overlay["file"], "rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()[:16]


def _weights(recipe: Recipe) -> dict[str, Any]:
    """Return timm's arguments for where the weights come from."""
    source = recipe.pretrained
    if source in ("true", "false"):
        if source == "true" and not timm.get_pretrained_cfg(recipe.backbone).has_weights:
            raise UserError(f"timm has no pretrained weights for '{recipe.backbone}': set pretrained=false or a file.")
        return {"pretrained": source == "true"}
    path = Path(source).expanduser()
    if path.is_dir():
        path = _find_weights(path, recipe.backbone)
    if not path.is_file():
        raise UserError(f"pretrained={source} is no file or folder: give one, or true, or false.")
    return {"pretrained": True, "pretrained_cfg_overlay": {"file": str(path)}}


def _find_weights(folder: Path, name: str) -> Path:
    """Find the file of backbone ``name`` in a folder: NAME.safetensors, NAME/model.safetensors, NAME/1/NAME.pth, …

    Kaggle's names of data sets turn dots and underscores into dashes, so only letters and digits are compared.
    """

    def bare(text: str) -> str:
        return re.sub(r"[^a-z0-9]", "", text.lower().removeprefix("timm"))

    files = sorted(p for p in folder.rglob("*") if p.suffix in WEIGHT_FILES and p.is_file())
    for wanted in dict.fromkeys((bare(name), bare(name.partition(".")[0]))):
        for path in files:
            parents = path.relative_to(folder).parts[:-1]
            if wanted == bare(path.stem) or wanted in map(bare, parents):
                return path
    if len(files) == 1 and bare(folder.name) in (bare(name), bare(name.partition(".")[0])):
        return files[0]
    found = ", ".join(str(p.relative_to(folder)) for p in files[:3]) or "none"
    raise UserError(f"Folder {folder} holds no weights named for '{name}' (found: {found}): give the file itself.")


def count_parameters(model: nn.Module) -> tuple[int, int]:
    """Return how many parameters the model has, and how many of them are trained."""
    sizes = [(p.numel(), p.requires_grad) for p in model.parameters()]
    return sum(n for n, _ in sizes), sum(n for n, trained in sizes if trained)
