import dataclasses
import itertools

import pytest

from competition.core.settings import Recipe
from competition.models.adapt import adapt
from competition.models.build import build_model
from competition.training.optim import learning_rate, make_optimizer, set_rate

RECIPE = Recipe(
    backbone="swin_tiny_patch4_window7_224",
    image_size=32,
    lr=1e-3,
    weight_decay=0.1,
    warmup=0.2,
    backbone_args={"patch_size": 2, "embed_dim": 24, "depths": [1, 1], "num_heads": [2, 4], "window_size": 4},
)


def test_the_rate_warms_up_linearly_then_falls_to_nearly_nothing():
    rates = [learning_rate(RECIPE, step, 100) for step in range(100)]
    assert rates[:20] == pytest.approx([1e-3 * (step + 1) / 20 for step in range(20)])
    assert rates[19] == max(rates) == 1e-3
    assert all(a > b for a, b in itertools.pairwise(rates[19:])) and 0 < rates[-1] < 1e-5


def test_biases_norms_and_position_tables_do_not_decay_and_everything_is_trained_once():
    model = build_model(RECIPE)
    groups = make_optimizer(model, RECIPE).param_groups
    names = {id(p): name for name, p in model.named_parameters()}
    decayed = {names[id(p)] for group in groups if group["weight_decay"] for p in group["params"]}
    assert decayed and all(name.endswith("weight") and "norm" not in name for name in decayed)
    assert sorted(names[id(p)] for g in groups for p in g["params"]) == sorted(names.values())


def test_layer_decay_gives_lower_layers_less():
    recipe = dataclasses.replace(RECIPE, layer_decay=0.5)
    model = build_model(recipe)
    optimizer = make_optimizer(model, recipe)
    set_rate(optimizer, 1e-3)
    rate = {id(p): g["lr"] for g in optimizer.param_groups for p in g["params"]}
    assert rate[id(model.backbone.patch_embed.proj.weight)] < rate[id(model.backbone.head.fc.weight)] == 1e-3


@pytest.mark.parametrize("head", [[], ["8", "relu"]], ids=["its own classifier", "a head"])
@pytest.mark.parametrize("change", [{}, {"layer_decay": 0.5}, {"adapt": "norms"}, {"adapt": "lora", "lora_rank": 2}])
def test_the_head_has_the_rate_of_head_lr_and_nothing_else_changes(change, head):
    usual = dataclasses.replace(RECIPE, head=head, **change)
    model = adapt(build_model(usual), usual)
    rates = []
    for recipe in (usual, dataclasses.replace(usual, head_lr=1e-2)):
        optimizer = make_optimizer(model, recipe)
        set_rate(optimizer, learning_rate(recipe, 19, 100))  # the end of the warm-up
        rates.append({id(p): (g["lr"], g["weight_decay"]) for g in optimizer.param_groups for p in g["params"]})
    last = {id(p) for p in model.head_parameters()}
    assert last and rates[0].keys() == rates[1].keys() == {id(p) for p in model.parameters() if p.requires_grad}
    for key, (rate, decay) in rates[0].items():
        assert rates[1][key] == (pytest.approx(1e-2 if key in last else rate), decay)
    assert {rates[0][key][0] for key in last} == {1e-3}
