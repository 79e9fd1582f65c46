import pytest
import torch
import yaml
from safetensors.torch import save_file

from competition.core.config import load_config
from competition.core.errors import UserError
from competition.core.files import write_text
from competition.models import weights
from competition.models.pretrained import digest_of, licence_lines, settle_pretrained

WORDS = ["preset=small", "members.swin=null", "members.resnet48=null", "members.resnet64=null", "members.resnet96=null"]


def hub_config(backbone="test_convnext.r160_in1k", pretrained="true", *more):
    return load_config(
        [*WORDS, "name=made", f"backbone={backbone}", "backbone_args={}", f"pretrained={pretrained}", *more]
    )


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """What the hub's cache holds and what the hub says, by name; nothing of the real ones."""
    monkeypatch.setenv("TELLTALE_HOME", str(tmp_path))
    found = {"cached": "a" * 64, "served": "b" * 64}
    monkeypatch.setattr(weights, "cached_digest", lambda name: found["cached"])
    monkeypatch.setattr(weights, "served_digest", lambda name: found["served"])
    return found


def begin(home, pretrained):
    """Leave the settings of a job that began under this fingerprint."""
    path = home / "folds/made/convnext/fold0/config.yaml"
    write_text(path, yaml.safe_dump({"pretrained": pretrained}))


def test_a_member_is_named_after_the_cached_file_or_else_what_the_hub_would_send(hub):
    config = hub_config()
    assert digest_of(config, "convnext") == "a" * 64
    hub["cached"] = None
    assert digest_of(config, "convnext") == "b" * 64
    hub["served"] = None
    with pytest.raises(UserError, match="are not cached, and the hub does not say which file they are"):
        digest_of(config, "convnext")


def test_a_changed_file_is_a_changed_job_and_a_missing_one_is_not(hub, tmp_path):
    begin(tmp_path, "c" * 64)
    assert digest_of(hub_config(), "convnext") == "a" * 64
    hub["cached"] = None
    assert digest_of(hub_config(), "convnext") == "c" * 64


def test_a_member_that_began_before_files_were_told_apart_goes_on(hub, tmp_path):
    begin(tmp_path, "true")
    assert digest_of(hub_config(), "convnext") == "true"
    assert digest_of(hub_config(pretrained="false"), "convnext") == "false"


def test_a_file_of_the_users_own_is_named_as_ever(hub, tmp_path):
    save_file({"weight": torch.zeros(2)}, tmp_path / "mine.safetensors")
    digest = digest_of(hub_config(pretrained=tmp_path / "mine.safetensors"), "convnext")
    assert len(digest) == 16


def test_the_licence_of_named_weights_is_told_and_that_of_none_is_not(hub):
    assert licence_lines(hub_config()) == ["convnext: pretrained weights test_convnext.r160_in1k, licence apache-2.0"]
    config = hub_config("resnet50.bamboo")
    assert licence_lines(config) == ["convnext: pretrained weights resnet50.bamboo, licence unknown"]
    assert licence_lines(hub_config(pretrained="false")) == []


def test_adapting_random_weights_is_said_and_not_refused(hub):
    _, notes = settle_pretrained(hub_config("test_convnext", "false", "adapt=lora"))
    assert len(notes) == 1 and "convnext starts from random weights, and adapt=lora leaves most of them so" in notes[0]
    assert settle_pretrained(hub_config("test_convnext", "true", "adapt=lora"))[1] == []
