"""Any timm backbone by its name, with a sentence for whatever timm would answer with a traceback."""

import functools
import logging
import re
import warnings
from typing import Any

import timm
import torch
from safetensors import SafetensorError
from torch import nn

from competition.core.errors import UserError, did_you_mean
from competition.core.settings import Recipe
from competition.models.hub import NETWORK_ERRORS, weights_at_hand
from competition.models.own_backbones import own_names
from competition.models.stem import lower_stem, shrink_stem, stem_options
from competition.models.weights import weights_options

# timm lists every key it does not use, in one line of thousands of characters; check_weights reports what matters.
logging.getLogger("timm").setLevel(logging.ERROR)


def make_timm(recipe: Recipe, channels: int, load: bool, **output: Any) -> nn.Module:
    """Return the recipe's timm backbone for images of ``channels`` channels.

    ``output`` says what comes out: ``num_classes=1``, or ``num_classes=0`` for features (with ``global_pool=""`` the
    whole map), without the dropout that belongs to a classifier. ``load=False`` leaves the weights random whatever
    ``recipe.pretrained`` says.
    """
    cfg = backbone_cfg(recipe.backbone)
    options: dict[str, Any] = {"img_size": recipe.image_size} if cfg.fixed_input_size else {}
    rates = {"drop_path_rate": recipe.drop_path, "drop_rate": recipe.dropout if output["num_classes"] else 0.0}
    options |= {key: rate for key, rate in rates.items() if rate or takes(recipe.backbone, key)}
    options |= {key: tuple(v) if isinstance(v, list) else v for key, v in recipe.backbone_args.items()}
    options |= {"in_chans": channels} | output
    if recipe.stem_stride:
        with torch.device("meta"):
            options |= stem_options(_create(recipe, **options), recipe)
    backbone: Any = _create(recipe, **options, **(weights_options(recipe) if load else {}))
    if recipe.small_stem:
        shrink_stem(backbone, recipe)
    elif recipe.stem_stride:
        lower_stem(backbone, recipe)
    if recipe.checkpointing:
        try:
            backbone.set_grad_checkpointing()
        except (AssertionError, AttributeError) as error:
            raise UserError(
                f"Backbone '{recipe.backbone}' has no gradient checkpointing: set checkpointing=false."
            ) from error
    return backbone


@functools.cache
def takes(name: str, argument: str) -> bool:
    """Whether the backbone takes ``argument``: timm's defaults are not all zero (Swin's stochastic depth is .1)."""
    with torch.device("meta"):
        try:
            options: dict[str, Any] = {argument: 0.0}
            timm.create_model(name, num_classes=1, **options)
        except TypeError:
            return False
    return True


def backbone_cfg(name: str) -> Any:
    """Return timm's pretrained configuration of ``name`` ('resnet18', 'resnet18.a1_in1k'), or raise UserError."""
    architecture, _, tag = name.partition(".")
    if not timm.is_model(architecture):
        known = [*own_names(), *timm.list_models()]
        raise UserError(f"There is no backbone '{name}'{did_you_mean(architecture, known)}")
    tags = [full.partition(".")[2] for full in timm.list_pretrained(f"{architecture}.*")]
    if tag and tag not in tags:
        raise UserError(f"Backbone '{architecture}' has no weights '{tag}'{did_you_mean(tag, tags)}")
    return timm.get_pretrained_cfg(name)


def _create(recipe: Recipe, **options: Any) -> nn.Module:
    name, source = recipe.backbone, recipe.pretrained
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # timm warns of arguments it renames; a wrong one still raises below
            return timm.create_model(name, **options)
    except TypeError as error:
        reason = re.sub(r"^.*__init__\(\) ", "", str(error))
        raise UserError(f"Backbone '{name}' {reason}: take it out of backbone_args.") from error
    except AssertionError as error:
        raise UserError(f"Backbone '{name}' refuses image_size={recipe.image_size} ({error}): change one.") from error
    except NETWORK_ERRORS as error:
        if source != "true":
            raise UserError(f"Weights {source} cannot be read ({error}): give another file.") from error
        raise _unavailable(name, type(error).__name__) from error
    except (SafetensorError, RuntimeError, ValueError, KeyError, IndexError) as error:
        reason = " ".join(str(error).split())[:200]
        if source == "false":
            raise UserError(f"Backbone '{name}' cannot be built ({reason}): change its backbone_args.") from error
        raise UserError(f"Weights ({source}) do not fit '{name}' ({reason}): give weights of this backbone.") from error


def check_weights(recipe: Recipe, channels: int) -> None:
    """Raise UserError where a timm backbone's weights cannot be had, or leave most of it as random as it was: timm
    loads what has a name in common, be it nothing, and reports nothing."""
    name, source = recipe.backbone, recipe.pretrained
    if source == "true" and backbone_cfg(name).has_weights and not weights_at_hand(name):
        raise _unavailable(name, "the hub does not answer for them")
    with torch.random.fork_rng(devices=[]):
        models = []
        for load in (True, False):
            torch.manual_seed(0)
            models.append(make_timm(recipe, channels, load, num_classes=0))
    loaded, drawn = (dict(model.named_parameters()) for model in models)
    random = [key for key, value in drawn.items() if value.ndim > 1 and value.std() > 0]
    kept = sum(torch.equal(loaded[key], drawn[key]) for key in random)
    if 2 * kept > len(random):
        raise UserError(
            f"Weights ({source}) do not fit '{name}' (they hold {len(random) - kept} of its {len(random)} "
            "matrices): give weights of this backbone."
        )


def _unavailable(name: str, reason: str) -> UserError:
    return UserError(
        f"The pretrained weights of '{name}' are neither cached nor to be fetched ({reason}): go online "
        "once, give pretrained=FILE or FOLDER, or train from scratch with pretrained=false."
    )
