import copy
import dataclasses

import hypothesis
import hypothesis.strategies as st
import pytest
import torch

from competition.core.errors import UserError
from competition.core.settings import Recipe
from competition.models.adapt import LowRank, adapt, count_parameters, merged
from competition.models.build import build_model, check_model
from competition.training.optim import make_optimizer
from tests.runs import TINY

PIXELS = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
WITH_NORMS = [name for name in TINY if name not in ("frozen", "small_cnn")]
RANK = 2


def recipe_of(name, **changes):
    return dataclasses.replace(TINY[name], lora_rank=RANK, **changes)


def stepped(recipe):
    """Return a model after a few steps of training, and its state before them."""
    torch.manual_seed(0)
    model = adapt(build_model(recipe), recipe).train()
    before = copy.deepcopy(model.state_dict())
    optimizer = make_optimizer(model, recipe)
    for _ in range(3):
        model(PIXELS).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
    return model, before


def changed(model, before):
    """Return the names of the parameters that are not what they were."""
    after = model.state_dict()
    return {name for name, _ in model.named_parameters() if not torch.equal(after[name], before[name])}


def head_names(model):
    head = {id(parameter) for parameter in model.head_parameters()}
    return {name for name, parameter in model.named_parameters() if id(parameter) in head}


@pytest.mark.parametrize("name", WITH_NORMS)
def test_norms_trains_the_normalisation_layers_and_the_head_alone(name):
    model, before = stepped(recipe_of(name, adapt="norms"))
    moved = changed(model, before) - head_names(model)
    layers = dict(model.named_modules())
    assert moved and all("norm" in type(layers[key.rpartition(".")[0]]).__name__.lower() for key in moved)
    assert all(key.rpartition(".")[2] in ("weight", "bias") for key in moved)


@pytest.mark.parametrize("name", [*WITH_NORMS, "small_cnn"])
def test_lora_trains_its_additions_and_the_head_alone(name):
    model, before = stepped(recipe_of(name, adapt="lora"))
    moved = changed(model, before) - head_names(model)
    assert moved and all(key.endswith((".up", ".down")) for key in moved)
    assert count_parameters(model)[1] == sum(p.numel() for p in model.parameters() if p.requires_grad)


@pytest.mark.parametrize("name", [*WITH_NORMS, "small_cnn"])
def test_lora_begins_at_the_weights_that_it_is_given(name):
    recipe = recipe_of(name, adapt="lora")
    torch.manual_seed(0)
    plain = build_model(recipe).eval()
    adapted = adapt(copy.deepcopy(plain), recipe).eval()
    assert torch.equal(plain(PIXELS), adapted(PIXELS))
    assert count_parameters(adapted)[0] == count_parameters(plain)[0]


@pytest.mark.parametrize("name", [*WITH_NORMS, "small_cnn"])
def test_a_merged_model_is_one_like_any_other_and_answers_as_before(name):
    model, _ = stepped(recipe_of(name, adapt="lora"))
    before = model.eval()(PIXELS)
    plain = build_model(recipe_of(name)).eval()
    plain.load_state_dict(merged(model).state_dict(), strict=True)
    torch.testing.assert_close(plain(PIXELS), before)


def test_the_moving_average_of_additions_merges_without_the_model_it_averages():
    recipe = recipe_of("convnext", adapt="lora", ema=0.5)
    model, _ = stepped(recipe)
    average = copy.deepcopy(model)
    before = average.eval()(PIXELS)
    torch.testing.assert_close(merged(average)(PIXELS), before)


def test_under_autocast_the_weight_that_is_trained_is_the_one_that_is_saved():
    layer = LowRank(torch.randn(16, 8), rank=2, alpha=3.0)
    torch.nn.init.normal_(layer.up)
    weight = torch.randn(16, 8)
    with torch.autocast("cpu", torch.bfloat16):
        inside = layer(weight)
    assert inside.dtype == torch.float32 and torch.equal(inside, layer(weight))


@hypothesis.given(st.integers(1, 4), st.integers(5, 12), st.integers(1, 3), st.floats(0.5, 32))
def test_an_addition_has_the_rank_and_the_scale_that_are_set(rank, out, side, alpha):
    weight = torch.randn(out, 3, side, side)
    layer = LowRank(weight, rank, alpha)
    assert torch.equal(layer(weight), weight)
    torch.nn.init.normal_(layer.up)
    added = (layer(weight) - weight).double().flatten(1)
    torch.testing.assert_close(added, (alpha / rank) * (layer.up @ layer.down).double(), rtol=1e-3, atol=1e-3)
    assert (torch.linalg.svdvals(added)[rank:] < 1e-3 * (1 + torch.linalg.svdvals(added)[0])).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"backbone": "small_cnn", "backbone_args": {}, "adapt": "norms"}, "has no normalisation layers"),
        ({"adapt": "lora", "lora_rank": 256}, "an addition of lora_rank=256"),
        ({"adapt": "norms", "frozen": True, "augment": "none"}, "frozen=true trains the head alone, so adapt=norms"),
    ],
)
def test_what_cannot_be_adapted_is_one_sentence(change, said):
    recipe = dataclasses.replace(TINY["resnet"], **change)
    with pytest.raises(UserError, match=said):
        adapt(check_model(recipe, 3, False), recipe)


def test_depthwise_filters_and_the_classifier_get_no_addition():
    recipe = Recipe(backbone="convnext_atto", image_size=32, adapt="lora", lora_rank=4)
    model = adapt(check_model(recipe, 3, False), recipe)
    names = [name for name, layer in model.named_modules() if isinstance(layer, LowRank)]
    assert names and not any("conv_dw" in name or "head.fc" in name for name in names)
