import dataclasses

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.layers import resample_abs_pos_embed, resample_patch_embed

from competition.core.errors import UserError
from competition.core.settings import Recipe
from competition.models.build import build_model, check_model
from tests.runs import CONVNEXT, SWIN

VIT = {"embed_dim": 24, "depth": 1, "num_heads": 2}
RECIPES = {
    "convnext": Recipe(backbone="convnext_atto", backbone_args=CONVNEXT | {"patch_size": 4}, stem_stride=2),
    "resnet": Recipe(backbone="resnet18", backbone_args={"channels": [4, 8, 8, 8]}, stem_stride=1),
    "efficientnet": Recipe(backbone="tf_efficientnet_lite0", stem_stride=1),
    "vit": Recipe(backbone="vit_tiny_patch16_224", backbone_args=VIT, stem_stride=8),
    "swin": Recipe(backbone="swin_tiny_patch4_window7_224", backbone_args=SWIN | {"patch_size": 4}, stem_stride=2),
}


@pytest.mark.parametrize("name", RECIPES)
def test_half_the_stride_gives_four_times_the_places(name):
    lower = dataclasses.replace(RECIPES[name], image_size=64)
    own = dataclasses.replace(lower, stem_stride=0)
    with torch.device("meta"):
        pixels = torch.empty(1, 3, 64, 64)
        maps = [build_model(recipe, load=False).backbone.forward_features(pixels) for recipe in (own, lower)]
    channels = [one.shape[1 if name in ("convnext", "resnet", "efficientnet") else -1] for one in maps]
    places = [one.numel() // width - (name == "vit") for one, width in zip(maps, channels, strict=True)]
    assert channels[0] == channels[1] and places[1] == 4 * places[0]


@pytest.mark.parametrize("name", RECIPES)
def test_pretrained_weights_are_kept_or_resampled_as_timm_does(name, tmp_path):
    recipe = dataclasses.replace(RECIPES[name], image_size=64)
    torch.manual_seed(1)
    published = timm.create_model(recipe.backbone, **recipe.backbone_args).state_dict()
    save_file(published, tmp_path / "weights.safetensors")
    recipe = dataclasses.replace(recipe, pretrained=str(tmp_path / "weights.safetensors"))
    loaded = build_model(recipe).backbone.state_dict()
    first = timm.get_pretrained_cfg(recipe.backbone).first_conv + ".weight"
    expected = resample_patch_embed(published[first], list(loaded[first].shape[-2:]))
    torch.testing.assert_close(loaded[first], expected)
    assert (loaded[first].shape == published[first].shape) == (name in ("resnet", "efficientnet"))
    if name == "vit":
        table = resample_abs_pos_embed(published["pos_embed"], [8, 8], [14, 14])
        torch.testing.assert_close(loaded["pos_embed"], table)
    moved = {key for key in published if key in loaded and not torch.equal(published[key], loaded[key])}
    head = {key for key in loaded if key.startswith(("head", "classifier", "fc"))}
    assert moved <= {first, "pos_embed"} | head


def test_a_patch_that_is_resampled_still_sees_what_it_saw():
    """A filter of the smaller patch answers to an image shrunk by half as the larger one answered to the whole."""
    torch.manual_seed(0)
    recipe = dataclasses.replace(RECIPES["convnext"], image_size=32)
    own, lower = (build_model(dataclasses.replace(recipe, stem_stride=stride)) for stride in (0, 2))
    lower.backbone.stem[0].weight.data = resample_patch_embed(own.backbone.stem[0].weight.data, [2, 2])
    small = torch.rand(1, 3, 16, 16)
    large = torch.nn.functional.interpolate(small, scale_factor=2, mode="bicubic", antialias=True)
    own.backbone.stem[0].bias.data.zero_()
    lower.backbone.stem[0].bias.data.zero_()
    answers = [model.backbone.stem[0](image).flatten() for model, image in ((own, large), (lower, small))]
    assert torch.corrcoef(torch.stack(answers))[0, 1] > 0.9


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            {"backbone": "convnext_atto", "stem_stride": 8},
            "stem_stride=8 is more than the stride of 'convnext_atto', 4",
        ),
        ({"backbone": "levit_128", "stem_stride": 1}, "'levit_128' is made for one size of image at one stride"),
        ({"backbone": "small_cnn", "stem_stride": 1}, "'small_cnn' has no use for stem_stride=1"),
        ({"backbone": "resnet18", "stem_stride": 1, "small_stem": True}, "leave one of them out"),
        ({"backbone": "fastvit_t8", "stem_stride": 1}, "cannot take image_size=64 with stem_stride=1"),
    ],
)
def test_a_stride_that_cannot_be_is_one_sentence(change, said):
    with pytest.raises(UserError, match=said):
        check_model(Recipe(image_size=64, **change), 3, False)


def test_a_small_stem_is_a_first_stride_of_one_without_the_pooling():
    recipe = dataclasses.replace(RECIPES["resnet"], image_size=32)
    stride = build_model(recipe).eval()
    small = build_model(dataclasses.replace(recipe, stem_stride=0, small_stem=True)).eval()
    small.load_state_dict(stride.state_dict(), strict=True)
    stride.backbone.maxpool = torch.nn.Identity()
    pixels = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    assert torch.equal(stride(pixels), small(pixels))
