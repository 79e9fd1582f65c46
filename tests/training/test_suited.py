"""preset=auto: what is chosen for a machine, its images and the weights at hand, and that a run stays with it."""

from types import SimpleNamespace

import pytest
import yaml

from competition.commands import config as config_command
from competition.commands.config import resolve
from competition.core.config import load_config
from competition.core.files import write_text
from competition.core.paths import run_folder
from competition.training import suited
from competition.training.suited import CPU, GPU, choose, suited_preset

SIZES = {size: load_config([f"preset={GPU}", f"size={size}", "data=x"]) for size in ("tiny", "base", "scratch")}
TITAN, T4 = 80e9, 15e9


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("TELLTALE_HOME", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("rows", "memory", "weights", "words"),
    [
        (500, T4, True, {"preset": GPU, "size": "tiny"}),
        (80_000, TITAN, True, {"preset": GPU, "size": "base"}),
        (80_000, TITAN, False, {"preset": GPU, "size": "scratch"}),
        (19_999, T4, False, {"preset": CPU}),
    ],
)
def test_what_is_chosen_on_a_gpu(monkeypatch, rows, memory, weights, words):
    asked = []
    monkeypatch.setattr(suited, "weights_at_hand", lambda name: asked.append(name) or weights)
    assert choose(rows, memory, SIZES) == words
    assert all("tiny" in name if memory == T4 else "base" in name for name in asked)


def test_a_cpu_trains_small_networks_and_a_run_stays_with_the_preset_it_began_with(monkeypatch):
    monkeypatch.setattr(suited, "choose_device", lambda device: "cpu")
    assert suited_preset(["data=x"]) == {"preset": CPU}
    for member, recipe in SIZES["base"].members.items():
        text = yaml.safe_dump({"backbone": recipe.backbone})
        write_text(run_folder("x") / member / "fold0" / "config.yaml", text)
    assert suited_preset(["data=x"]) == {"preset": GPU, "size": "base"}
    assert suited_preset(["data=x", "name=other"]) == {"preset": CPU}


@pytest.mark.parametrize("words", [["data=x"], ["preset=auto", "data=x"], ["preset=auto", "data=x", "epochs=1"]])
def test_the_line_takes_what_suits_without_naming_it(monkeypatch, capsys, words):
    monkeypatch.setattr(config_command.shutil, "which", lambda name: None)
    if not config_command.Path("/proc/driver/nvidia").exists():
        assert resolve(words).preset == CPU and not capsys.readouterr().out
    monkeypatch.setattr(config_command.shutil, "which", lambda name: name)
    monkeypatch.setattr(suited, "suited_preset", lambda words: {"preset": GPU, "size": "tiny"})
    found = resolve(words)
    assert (found.preset, found.size, found.members["swin"].epochs) == (GPU, "tiny", 1 if "epochs=1" in words else 3)
    assert "preset=gpu size=tiny suits this machine's GPU" in capsys.readouterr().out


def test_the_smallest_memory_of_several_gpus_decides(monkeypatch, tmp_path):
    memory = {0: TITAN, 1: T4}
    monkeypatch.setattr(suited, "choose_device", lambda device: "cuda")
    monkeypatch.setattr(suited.torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(suited.torch.cuda, "mem_get_info", lambda index: (0, memory[index]))
    monkeypatch.setattr(suited, "read_tables", lambda config: SimpleNamespace(train=range(30_000)))
    monkeypatch.setattr(suited, "weights_at_hand", lambda name: True)
    assert suited_preset(["data=x"]) == {"preset": GPU, "size": "tiny"}
