import errno
import os
import resource

import numpy as np
import pytest
import torch
from torch import nn

from competition.core.errors import UserError
from competition.models.checkpoint import load_weights, save_weights
from competition.training.resume import load_resume, save_resume


def net(width=3):
    return nn.Sequential(nn.Linear(4, width), nn.BatchNorm1d(width))


def test_weights_come_back_bit_for_bit(tmp_path):
    one, other = net(), net()
    save_weights(tmp_path / "model.safetensors", one)
    load_weights(tmp_path / "model.safetensors", other)
    for name, tensor in one.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[name])


@pytest.mark.parametrize("damage", ["missing", "cut", "other shape", "other names"])
def test_weights_that_do_not_fit_exactly_are_refused_by_name(tmp_path, damage):
    path = tmp_path / "model.safetensors"
    model = {"other shape": net(5), "other names": nn.Linear(4, 3)}.get(damage, net())
    save_weights(path, model)
    if damage == "missing":
        path.unlink()
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(UserError, match=r"model\.safetensors cannot be loaded"):
        load_weights(path, net())


def test_a_resume_point_runs_no_code_when_it_is_read(tmp_path):
    class Trap:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "sprung"),)

    torch.save({"epoch": 1, "trap": Trap()}, tmp_path / "resume.pt")
    assert load_resume(tmp_path / "resume.pt") is None
    assert not (tmp_path / "sprung").exists()


def test_a_resume_point_comes_back_and_a_torn_or_missing_one_is_none(tmp_path):
    path = tmp_path / "resume.pt"
    assert load_resume(path) is None
    save_resume(path, {"epoch": 2, "model": net().state_dict(), "history": [{"loss": 0.5}]})
    assert load_resume(path)["history"] == [{"loss": 0.5}]
    whole = path.read_bytes()
    for size in (100, len(whole) // 2, len(whole) - 100):
        path.write_bytes(whole[:size])
        assert load_resume(path) is None
    save_resume(path, {"epoch": 2, "weights": torch.zeros(10_000), "history": [{"loss": 0.5}] * 50})
    whole = path.read_bytes()
    for size in range(37, len(whole), 37):  # torch has another error for many of these
        for damaged in (whole[:size], whole[size:]):
            path.write_bytes(damaged)
            assert load_resume(path) is None


def test_a_resume_point_with_a_flipped_bit_is_none_wherever_weights_lie(tmp_path):
    path = tmp_path / "resume.pt"
    save_resume(path, {"epoch": 2, "weights": torch.rand(5_000)})
    whole = path.read_bytes()
    start = whole.index(load_resume(path)["weights"].numpy().tobytes())
    for place in range(start, start + 20_000, 997):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
        assert load_resume(path) is None


@pytest.mark.parametrize("value", [np.float64(0.5), np.int64(1), np.bool_(True), {1, 2}])
def test_a_resume_point_that_could_not_be_read_is_not_written(tmp_path, value):
    with pytest.raises(TypeError, match=r"state\['history'\]\['loss'\] is .*, which a resume point cannot hold"):
        save_resume(tmp_path / "resume.pt", {"epoch": 2, "history": [{"loss": value}]})
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_the_systems_error_and_leaves_nothing(tmp_path):
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limit[1]))  # a write beyond fails as on a disk without room
    try:
        with pytest.raises(OSError) as refused:
            save_resume(tmp_path / "resume.pt", {"weights": torch.zeros(100_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert refused.value.errno == errno.EFBIG
    assert list(tmp_path.iterdir()) == []
