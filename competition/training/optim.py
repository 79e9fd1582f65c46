"""The optimizer's groups, and the learning rate of every step."""

import math
from typing import Any

import torch
from timm.optim import param_groups_layer_decay, param_groups_weight_decay

from competition.core.settings import Recipe
from competition.models.build import Detector


def make_optimizer(model: Detector, recipe: Recipe) -> torch.optim.AdamW:
    """Return AdamW over the model's trained parameters: no decay on biases and norms, less learning rate further down.

    A timm backbone's own list of parameters to spare (position tables and the like) is honoured; the learning rate
    falls with depth inside each backbone, and a head has all of it, or its own ``head_lr``. Each group's ``lr_scale``
    multiplies the schedule's rate.
    """
    groups: list[dict[str, Any]] = []
    trunks = model.trunks()
    for trunk in trunks:
        spared: set[str] = getattr(trunk, "no_weight_decay", set)()
        shared: dict[str, Any] = {"weight_decay": recipe.weight_decay, "no_weight_decay_list": spared}
        if recipe.layer_decay < 1:
            groups += param_groups_layer_decay(trunk, layer_decay=recipe.layer_decay, **shared)
        else:
            groups += param_groups_weight_decay(trunk, **shared)
    inside = {id(parameter) for trunk in trunks for parameter in trunk.parameters()}
    rest = [p for p in model.parameters() if p.requires_grad and id(p) not in inside]
    matrices, vectors = [p for p in rest if p.ndim > 1], [p for p in rest if p.ndim <= 1]
    groups += [{"params": vectors, "weight_decay": 0.0}, {"params": matrices, "weight_decay": recipe.weight_decay}]
    groups = [{"lr_scale": 1.0, **group} for group in groups if group["params"]]
    if recipe.head_lr:
        groups = _head_apart(groups, {id(p) for p in model.head_parameters()}, recipe.head_lr / recipe.lr)
    return torch.optim.AdamW(groups, lr=recipe.lr, fused=True)


def _head_apart(groups: list[dict[str, Any]], head: set[int], scale: float) -> list[dict[str, Any]]:
    """Divide the groups so that the parameters of the head have a rate of ``scale`` times the schedule's."""
    divided = []
    for group in groups:
        for lr_scale, inside in ((group["lr_scale"], False), (scale, True)):
            if params := [p for p in group["params"] if (id(p) in head) == inside]:
                divided.append(group | {"params": params, "lr_scale": lr_scale})
    return divided


def learning_rate(recipe: Recipe, step: int, steps: int) -> float:
    """Return the rate of ``step`` (from 0) of ``steps``: linear warm-up, then a cosine down to nearly nothing."""
    warm = max(1, round(recipe.warmup * steps))
    if step < warm:
        return recipe.lr * (step + 1) / warm
    return recipe.lr * 0.5 * (1 + math.cos(math.pi * (step - warm + 1) / (steps - warm + 1)))


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Give every group its share of the rate."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["lr_scale"]
