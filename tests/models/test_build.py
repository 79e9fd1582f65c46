import dataclasses

import pytest
import timm
import torch
from safetensors.torch import save_file

from competition.core.errors import UserError
from competition.core.settings import CHOICES, Recipe
from competition.models.adapt import count_parameters
from competition.models.build import build_model

SWIN = {"patch_size": 2, "embed_dim": 24, "depths": [1, 1], "num_heads": [2, 4], "window_size": 4}
RECIPES = {
    "convnext": Recipe(backbone="convnext_atto", backbone_args={"depths": [1, 1, 1, 1], "dims": [8, 16, 24, 32]}),
    "swin": Recipe(backbone="swin_tiny_patch4_window7_224", backbone_args=SWIN),
    "resnet": Recipe(backbone="resnet18", backbone_args={"channels": [8, 8, 16, 16]}),
}


@pytest.mark.parametrize("view", CHOICES["view"])
@pytest.mark.parametrize("size", [32, 48])
@pytest.mark.parametrize("name", RECIPES)
def test_any_backbone_behind_any_view_gives_one_logit_a_row(name, size, view):
    model = build_model(dataclasses.replace(RECIPES[name], image_size=size, view=view)).eval()
    logits = model(torch.randint(0, 256, (3, 3, size, size), dtype=torch.uint8))
    assert logits.shape == (3,) and logits.dtype == torch.float32 and logits.isfinite().all()


def test_uint8_and_the_same_values_as_floats_give_the_same_logits():
    model = build_model(dataclasses.replace(RECIPES["convnext"], image_size=32)).eval()
    pixels = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    assert torch.equal(model(pixels), model(pixels.float()))


def test_standardised_floats_of_any_channel_count_are_taken_as_they_are():
    model = build_model(dataclasses.replace(RECIPES["resnet"], image_size=20), channels=1, floating=True).eval()
    pixels = torch.randn(2, 1, 20, 20)
    assert torch.equal(model.view(pixels), pixels)
    assert model(pixels).shape == (2,)


def test_a_residual_is_not_rounded_to_bf16_under_autocast():
    model = build_model(dataclasses.replace(RECIPES["convnext"], image_size=32, view="residual")).eval()
    pixels = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8)
    seen = []
    model.view.register_forward_hook(lambda module, args, out: seen.append(out))
    with torch.autocast("cpu", torch.bfloat16):
        model(pixels)
    model(pixels)
    assert seen[0].dtype == torch.float32 and torch.equal(*seen)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"backbone": "convnext_ato"}, "There is no backbone 'convnext_ato'; did you mean 'convnext_atto'?"),
        ({"backbone": "resnet18.a1_in1"}, "Backbone 'resnet18' has no weights 'a1_in1'; did you mean"),
        ({"backbone": "resnet18", "backbone_args": {"window_size": 3}}, "Backbone 'resnet18' got an unexpected"),
        ({"pretrained": "/no/such/file.pth"}, "pretrained=/no/such/file.pth is not a file or folder"),
        ({"backbone_args": {"depths": [1, 1]}}, "Backbone 'convnext_atto' cannot be built"),
    ],
)
def test_a_model_that_cannot_be_is_one_sentence(change, said):
    with pytest.raises(UserError) as error:
        build_model(dataclasses.replace(Recipe(backbone="convnext_atto", image_size=32), **change))
    assert str(error.value).startswith(said) and "\n" not in str(error.value)


@pytest.fixture
def weights(tmp_path):
    """Weights as timm publishes them: a classifier of a thousand classes."""
    torch.manual_seed(1)
    model = timm.create_model("resnet18", num_classes=1000)
    save_file(model.state_dict(), tmp_path / "resnet18.a1_in1k.safetensors")
    torch.save(model.state_dict(), tmp_path / "other.pth")
    return tmp_path, model.state_dict()["layer1.0.conv1.weight"]


@pytest.mark.parametrize("where", ["file", "pth", "folder", "kaggle"])
def test_pretrained_weights_come_from_a_file_or_a_folder(weights, where):
    folder, expected = weights
    if where == "kaggle":
        place = folder / "timm-resnet18-a1-in1k" / "1"
        place.mkdir(parents=True)
        (folder / "resnet18.a1_in1k.safetensors").rename(place / "model.safetensors")
    source = {"file": folder / "resnet18.a1_in1k.safetensors", "pth": folder / "other.pth"}.get(where, folder)
    model = build_model(Recipe(backbone="resnet18.a1_in1k", pretrained=str(source), image_size=32))
    assert torch.equal(model.backbone.state_dict()["layer1.0.conv1.weight"], expected)


def test_weights_of_another_backbone_or_none_in_the_folder_are_one_sentence(weights):
    folder, _ = weights
    with pytest.raises(UserError, match="do not fit 'convnext_atto'"):
        build_model(Recipe(backbone="convnext_atto", pretrained=str(folder / "other.pth"), image_size=32))
    with pytest.raises(UserError, match="holds no weights named for 'convnext_atto'"):
        build_model(Recipe(backbone="convnext_atto", pretrained=str(folder), image_size=32))


def test_offline_without_weights_names_the_remedies(monkeypatch, tmp_path):
    import huggingface_hub.constants as hub

    monkeypatch.setattr(hub, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(hub, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match="online once, give pretrained=FILE or FOLDER, or train from scratch"):
        build_model(Recipe(backbone="resnet18.a1_in1k", pretrained="true", image_size=32))


def test_count_parameters_tells_trained_from_frozen():
    model = build_model(dataclasses.replace(RECIPES["resnet"], image_size=32))
    total, trained = count_parameters(model)
    model.backbone.conv1.weight.requires_grad_(False)
    assert (total, trained - model.backbone.conv1.weight.numel()) == count_parameters(model)
