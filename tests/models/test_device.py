import dataclasses

import pytest
import torch

from competition.core.errors import UserError
from competition.core.intact import read_record_file, write_record_file
from competition.core.settings import Recipe
from competition.models.build import build_model
from competition.models.device import (
    LEAST_WORK,
    Placement,
    choose_device,
    choose_placement,
    in_memory,
    read_placement,
    step_seconds,
    write_placement,
)

RECIPE = Recipe(backbone="resnet18", backbone_args={"channels": [4, 8, 8, 8]}, image_size=16, batch_size=4)
PIXELS = torch.ones(4, 3, 16, 16, dtype=torch.uint8)


def place(recipe, path, build=None):
    """As a job does: what is stored, or else what is settled now."""
    return read_placement(recipe, "cpu", path) or choose_placement(
        recipe, "cpu", build or (lambda: build_model(recipe)), PIXELS
    )


def test_a_cpu_runs_fp32_in_plain_layout_unless_told(tmp_path):
    assert place(RECIPE, tmp_path / "p.json") == Placement("cpu", "fp32", "contiguous", 4)
    told = dataclasses.replace(RECIPE, precision="bf16", memory_format="channels_last")
    assert place(told, tmp_path / "p.json") == Placement("cpu", "bf16", "channels_last", 4)


def test_auto_measures_once_and_what_it_chose_is_kept(tmp_path):
    recipe, built = dataclasses.replace(RECIPE, precision="auto", memory_format="auto"), []

    def build():
        built.append(1)
        return build_model(recipe)

    chosen = place(recipe, tmp_path / "p.json", build)
    write_placement(tmp_path / "p.json", chosen, recipe)
    assert len(built) == 4 and chosen.precision in ("fp32", "bf16")
    assert place(recipe, tmp_path / "p.json", build) == chosen and len(built) == 4


@pytest.mark.parametrize(
    ("seconds", "steps", "compiled"),
    [
        ([1.0, 0.9], LEAST_WORK - 1, False),  # too little to do: it is not even tried
        ([1.0, 0.9], 2 * LEAST_WORK, True),
        ([1.0, 0.99], 2 * LEAST_WORK, False),  # it saves less than it takes
        ([1.0, 1.1], 2 * LEAST_WORK, False),
        ([1.0, RuntimeError("no compiler")], 2 * LEAST_WORK, False),
    ],
)
def test_compiling_is_chosen_where_it_saves_more_than_it_takes(monkeypatch, seconds, steps, compiled):
    models, clock = [], iter([0.0, 100.0])

    def step(placement, model, pixels):
        models.append(model)
        found = seconds[len(models) - 1]
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr("competition.models.device.step_seconds", step)
    monkeypatch.setattr("competition.models.device.time.perf_counter", lambda: next(clock))
    recipe = dataclasses.replace(RECIPE, compile="auto")
    placement = choose_placement(recipe, "cpu", lambda: build_model(recipe), PIXELS, int(steps))
    assert placement.compiled == compiled
    tried = [model._compiled_call_impl is not None for model in models]
    assert tried == ([False, True] if steps >= LEAST_WORK else [False])


def test_whether_to_compile_is_kept_with_the_rest_and_placements_of_before_stay_known(tmp_path):
    path = tmp_path / "p.json"
    write_placement(path, place(RECIPE, path), RECIPE)
    record = read_record_file(path)
    assert record.pop("compiled") is False
    write_record_file(path, record)
    assert place(RECIPE, path) == read_placement(RECIPE, "cpu", path)
    for word, compiled in (("true", True), ("auto", False)):
        recipe = dataclasses.replace(RECIPE, compile=word)
        assert read_placement(recipe, "cpu", path) is None
        write_placement(path, place(recipe, path), recipe)
        assert read_placement(recipe, "cpu", path).compiled == compiled


def test_a_halved_micro_batch_is_kept_until_the_batch_size_changes(tmp_path):
    write_placement(tmp_path / "p.json", dataclasses.replace(place(RECIPE, tmp_path / "p.json"), micro_batch=2), RECIPE)
    assert place(RECIPE, tmp_path / "p.json").micro_batch == 2
    assert place(dataclasses.replace(RECIPE, batch_size=3), tmp_path / "p.json").micro_batch == 3


def test_settling_alone_writes_nothing(tmp_path):
    place(RECIPE, tmp_path / "p.json")
    assert not list(tmp_path.iterdir())


def test_fp16_on_a_cpu_is_refused(tmp_path):
    with pytest.raises(UserError, match="precision=fp16 needs a GPU"):
        place(dataclasses.replace(RECIPE, precision="fp16"), tmp_path / "p.json")


def test_a_measured_step_takes_time_and_leaves_no_gradients():
    model = build_model(RECIPE)
    assert step_seconds(Placement("cpu", "fp32", "contiguous", 4), model, PIXELS) > 0
    assert all(p.grad is None for p in model.parameters())


def test_where_memory_runs_out_half_as_much_is_tried_until_not_one_row_fits():
    tried = []

    def work(rows, most):
        tried.append(rows)
        if rows > most:
            raise torch.OutOfMemoryError
        return rows

    assert in_memory(50, lambda rows: work(rows, 6)) == 6 and tried == [50, 25, 12, 6]
    with pytest.raises(UserError, match="Not one image fits in the GPU's memory"):
        in_memory(50, lambda rows: work(rows, 0))


def test_cuda_where_there_is_none_is_one_sentence():
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    assert choose_device("auto") == "cpu"
    with pytest.raises(UserError, match="device=cuda, but torch sees no CUDA device"):
        choose_device("cuda")


def test_a_macs_gpu_is_taken_where_there_is_one_and_trains_in_fp32(monkeypatch):
    with pytest.raises(UserError, match="device=mps, but torch sees no MPS device"):
        choose_device("mps")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert choose_device("auto") == choose_device("mps") == "mps" and choose_device("cpu") == "cpu"
    for wish in ("device", "auto", "fp32"):
        recipe = dataclasses.replace(RECIPE, precision=wish)
        assert choose_placement(recipe, "mps", lambda: None, PIXELS) == Placement("mps", "fp32", "contiguous", 4)
    with pytest.raises(UserError, match="precision=bf16 is not for a Mac's GPU"):
        choose_placement(dataclasses.replace(RECIPE, precision="bf16"), "mps", lambda: None, PIXELS)


@pytest.mark.parametrize(("capability", "precision"), [((9, 0), "bf16"), ((8, 0), "bf16"), ((7, 5), "fp16")])
def test_a_gpus_precision_follows_its_capability(monkeypatch, capability, precision):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: capability)
    assert choose_device("auto") == "cuda"
    for wish in ("device", "bf16"):  # a T4 claims bf16 and emulates it slowly
        recipe = dataclasses.replace(RECIPE, precision=wish)
        assert choose_placement(recipe, "cuda", lambda: None, PIXELS) == Placement(
            "cuda", precision, "channels_last", 4
        )


def test_a_gpu_too_old_for_torch_is_one_sentence(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (6, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla P100-PCIE-16GB")
    with pytest.raises(UserError, match=r"Tesla P100-PCIE-16GB has CUDA capability 6\.0, and torch needs 7\.0"):
        choose_device("auto")
