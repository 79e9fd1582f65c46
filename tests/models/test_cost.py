"""What a network costs, against what is known of some."""

import dataclasses

import pytest

from competition.core.settings import Recipe
from competition.models.cost import model_cost

RESNET = Recipe(backbone="resnet50", image_size=224)


def test_a_resnet50_costs_what_is_known_of_it():
    cost = model_cost(RESNET, 3, False)
    assert cost.flops == pytest.approx(2 * 4.09e9, rel=0.02)  # multiplications and additions, without the last layer's
    assert cost.parameters == cost.trained == 25_557_032 - 2_049_000 + 2049  # one logit in place of 1,000 classes
    assert 80e6 < cost.activations < 200e6
    assert cost.training_bytes(32) > 31 * cost.activations


def test_costs_grow_with_the_images_area_and_adapters_train_little():
    small = dataclasses.replace(RESNET, image_size=112)
    assert model_cost(RESNET, 3, False).flops == pytest.approx(4 * model_cost(small, 3, False).flops, rel=0.1)
    norms = dataclasses.replace(small, adapt="norms")
    assert model_cost(norms, 3, False).trained < 0.01 * model_cost(norms, 3, False).parameters
