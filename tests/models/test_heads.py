import dataclasses

import pytest
import torch

from competition.core.errors import UserError
from competition.core.settings import Recipe
from competition.models.adapt import count_parameters
from competition.models.build import build_model, check_model
from competition.models.heads import make_head
from competition.training.optim import make_optimizer

SWIN = {"patch_size": 2, "embed_dim": 24, "depths": [1, 1], "num_heads": [2, 4], "window_size": 4}
ATTO = {"depths": [1, 1, 1, 1], "dims": [8, 16, 24, 32], "patch_size": 2}
TRUNKS = {
    "timm": Recipe(backbone="convnext_atto", backbone_args=ATTO),
    "swin": Recipe(backbone="swin_tiny_patch4_window7_224", backbone_args=SWIN),
    "convitx": Recipe(
        backbone="convitx",
        backbone_args={
            "convnext": "convnext_atto",
            "convnext_args": ATTO,
            "swin": "swin_tiny_patch4_window7_224",
            "swin_args": SWIN,
        },
    ),
    "small_cnn": Recipe(backbone="small_cnn", backbone_args={"widths": [4, 8, 8, 8]}),
}
HEAD = ["flatten", "16", "batchnorm", "relu", "dropout", "8", "relu"]
PIXELS = torch.randint(0, 256, (4, 3, 32, 32), dtype=torch.uint8)


@pytest.fixture(params=TRUNKS)
def recipe(request):
    return dataclasses.replace(TRUNKS[request.param], image_size=32, head=HEAD, dropout=0.5)


def test_any_trunk_under_any_head_gives_one_logit_a_row(recipe):
    for head in (HEAD, [], ["batchnorm", "4", "relu"]):
        model = build_model(dataclasses.replace(recipe, head=head)).eval()
        assert model(PIXELS).shape == (4,) and model(PIXELS).isfinite().all()


def test_every_parameter_is_trained_once_and_the_head_at_the_full_rate(recipe):
    model = build_model(recipe)
    optimizer = make_optimizer(model, dataclasses.replace(recipe, layer_decay=0.5))
    trained = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(trained) == sorted(id(p) for p in model.parameters())
    scale = {id(p): group["lr_scale"] for group in optimizer.param_groups for p in group["params"]}
    assert {scale[id(p)] for p in model.backbone.head.parameters()} == {1.0}
    if model.trunks():
        assert min(scale.values()) < 0.5


def test_a_frozen_trunk_trains_the_head_alone_and_keeps_its_statistics(recipe):
    model = build_model(dataclasses.replace(recipe, frozen=True, augment="none")).train()
    before = {name: tensor.clone() for name, tensor in model.backbone.trunk.state_dict().items()}
    optimizer = make_optimizer(model, recipe)
    model(PIXELS).square().mean().backward()
    optimizer.step()
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.backbone.trunk.state_dict().items())
    head = sum(p.numel() for p in model.backbone.head.parameters())
    assert count_parameters(model)[1] == head == sum(p.numel() for g in optimizer.param_groups for p in g["params"])


def test_dropout_is_where_the_head_says_and_nowhere_else(recipe):
    def rates(module):
        return [layer.p for layer in module.modules() if isinstance(layer, torch.nn.Dropout) and layer.p]

    model = build_model(recipe)
    if recipe.backbone != "small_cnn":  # whose own blocks have it
        assert rates(model.backbone.trunk) == []
    assert rates(model.backbone.head) == [0.5]
    assert rates(build_model(dataclasses.replace(recipe, head=[], frozen=True)).backbone.head) == [0.5]


def test_a_small_stem_keeps_the_resolution_and_the_weights():
    recipe = Recipe(backbone="resnet18", backbone_args={"channels": [4, 8, 8, 8]}, image_size=32)
    usual, small = (build_model(dataclasses.replace(recipe, small_stem=small)) for small in (False, True))
    small.load_state_dict(usual.state_dict(), strict=True)
    sizes = [model.backbone.forward_features(PIXELS.float()).shape[-1] for model in (usual, small)]
    assert sizes == [1, 4]


def test_the_head_is_exact_under_autocast():
    head = make_head(["8", "relu"], 16, 0.0)
    model = build_model(dataclasses.replace(TRUNKS["small_cnn"], image_size=32))
    model.backbone.head = head[:0]  # what is left is the trunk's features
    features = model.backbone.trunk(model.seen(PIXELS)).flatten(1)[:, :16]
    with torch.autocast("cpu", torch.bfloat16):
        assert head(features).dtype == torch.bfloat16
        assert model.backbone(model.seen(PIXELS)).dtype == torch.float32


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"head": ["16", "rellu"]}, "'rellu' is neither a width, as 256, nor a layer of a head; did you mean 'relu'"),
        ({"backbone": "convitx", "backbone_args": {}}, "Backbone 'convitx' needs a timm name for its convnext"),
        ({"backbone": "convitx", "backbone_args": {"convnxt": "a"}}, "no argument 'convnxt' in backbone_args; did"),
        ({"backbone": "small_cnn", "image_size": 12}, "Backbone 'small_cnn' cannot take image_size=12"),
        ({"backbone": "small_cnn", "backbone_args": {"width": 3}}, "it takes backbone_args.widths"),
        ({"backbone": "small_cnn", "pretrained": "true"}, "There are no pretrained weights of 'small_cnn'"),
        ({"backbone": "small-cnn"}, "There is no backbone 'small-cnn'; did you mean 'small_cnn'"),
        ({"backbone": "convnext_atto", "small_stem": True}, "has no ResNet's stem"),
        ({"backbone": "convnext_atto", "frozen": True}, "frozen=true computes an image's features once, .* variants=6"),
        ({"backbone": "convnext_atto", "variants": 2}, "variants=2 goes with frozen=true alone"),
    ],
)
def test_a_head_or_a_trunk_that_cannot_be_is_one_sentence(change, said):
    with pytest.raises(UserError, match=said):
        check_model(Recipe(**{"image_size": 32, **change}), 3, False)
