import dataclasses
import json

import numpy as np
import pytest
import torch

from competition.core.errors import UserError
from competition.core.settings import Recipe
from competition.data.augment import train_transform
from competition.data.images.stores import ArrayStore
from competition.data.loader import EpochSampler, TrainFeed, TrainSet
from competition.inference.predict import Predictor, predict_logits
from competition.models.adapt import adapt, merged
from competition.models.build import build_model
from competition.models.device import Placement
from competition.training.fit import Task, fit

RECIPE = Recipe(
    backbone="resnet18",
    backbone_args={"channels": [4, 8, 8, 8]},
    image_size=16,
    epochs=4,
    batch_size=8,
    lr=3e-3,
    ema=0.9,
    dropout=0.2,
    mixup=0.2,
    label_smoothing=0.1,
)
CPU = Placement("cpu", "fp32", "contiguous", 8)
ROWS = 42
LABEL = torch.arange(ROWS).remainder(2).float()


class Killed(Exception):
    """Stands for a process that ends at once."""


@pytest.fixture(scope="module")
def store():
    """Two classes that differ in how fast they change from pixel to pixel."""
    rng = np.random.default_rng(0)
    pixels = rng.normal(size=(ROWS, 16, 16, 3)).astype(np.float32)
    pixels[::2] = (pixels[::2] + np.roll(pixels[::2], 1, axis=2)) / 2
    return ArrayStore(pixels, "digest")


def train(store, folder, recipe=RECIPE, placement=CPU, stop_at=None, key="key", workers=0, validate=None, **more):
    torch.manual_seed(1)
    model = adapt(build_model(recipe, floating=True), recipe)
    transform = train_transform("flips", recipe.image_size, "resize", floating=True)
    images = TrainSet(store, transform, 5)
    order = EpochSampler(range(ROWS), recipe.batch_size * recipe.accumulate, images.seed)
    feed = TrainFeed(images, order, workers, pin=False)
    seen = []

    def progress(images, note):
        seen.append((images, note))
        if len(seen) == stop_at:
            raise Killed

    task = Task(
        "net fold 0",
        recipe,
        placement,
        feed,
        LABEL,
        (1.0, 1.0),
        5,
        folder,
        0,
        validate or (lambda model: {}),
        progress,
        **more,
    )
    kept, history = fit(task, model, key)
    return kept, history, seen


def weights(model):
    return torch.cat([tensor.double().flatten() for tensor in model.state_dict().values()])


@pytest.mark.parametrize("stop_at", [3, 6, 14, 19])
def test_a_run_cut_anywhere_and_resumed_ends_in_the_same_bits(store, tmp_path, stop_at):
    straight, history, _ = train(store, tmp_path / "straight")
    with pytest.raises(Killed):
        train(store, tmp_path / "cut", stop_at=stop_at)
    resumed, history_of_both, seen = train(store, tmp_path / "cut", workers=2)
    assert torch.equal(weights(straight), weights(resumed))
    assert [line["train_loss"] for line in history] == [line["train_loss"] for line in history_of_both]
    assert len((tmp_path / "cut" / "history.jsonl").read_text().splitlines()) == RECIPE.epochs
    assert any(note == "resumed" for _, note in seen) == (stop_at > 5)


@pytest.mark.parametrize("change", [{"adapt": "norms"}, {"adapt": "lora", "lora_rank": 2}], ids=["norms", "lora"])
@pytest.mark.parametrize("patience", [0, 2])
def test_an_adaptation_cut_and_resumed_ends_in_the_same_bits(store, tmp_path, change, patience):
    recipe = dataclasses.replace(RECIPE, head_lr=1e-2, layer_decay=0.8, patience=patience, **change)

    def validate(model):
        return {"val_loss": float(weights(model).abs().sum())}

    straight, _, _ = train(store, tmp_path / "straight", recipe, validate=validate)
    with pytest.raises(Killed):
        train(store, tmp_path / "cut", recipe, stop_at=14, validate=validate)
    resumed, _, seen = train(store, tmp_path / "cut", recipe, validate=validate)
    assert any(note == "resumed" for _, note in seen)
    names = list(straight.state_dict())
    straight, resumed = merged(straight), merged(resumed)
    assert torch.equal(weights(straight), weights(resumed)) and (list(straight.state_dict()) == names) == (
        recipe.adapt == "norms"
    )


@pytest.mark.parametrize("change", [{"checkpointing": True}, {"accumulate": 2}])
def test_additions_are_trained_alike_with_and_without_what_saves_memory(store, tmp_path, change):
    plain = {"dropout": 0.0, "mixup": 0.0, "ema": 0.0, "epochs": 2, "lr": 1e-3, "batch_size": 16}
    small = {"depths": [1, 1, 1, 1], "dims": [4, 8, 8, 8], "patch_size": 1}
    recipe = dataclasses.replace(
        RECIPE, backbone="convnext_atto", backbone_args=small, adapt="lora", lora_rank=1, **plain
    )
    other = dataclasses.replace(recipe, **change, batch_size=16 // change.get("accumulate", 1))
    one, two = (train(store, tmp_path / str(n), r)[0] for n, r in enumerate((recipe, other)))
    torch.testing.assert_close(weights(one), weights(two), atol=2e-4, rtol=1e-4)


def test_a_resume_point_of_other_settings_is_not_used(store, tmp_path):
    with pytest.raises(Killed):
        train(store, tmp_path, stop_at=14, key="other")
    _, _, seen = train(store, tmp_path)
    assert not any(note == "resumed" for _, note in seen)


def test_micro_batches_give_the_gradient_of_the_whole_batch(store, tmp_path):
    small = {"depths": [1, 1, 1, 1], "dims": [4, 8, 8, 8], "patch_size": 1}
    plain = {"dropout": 0.0, "mixup": 0.0, "ema": 0.0, "epochs": 1, "lr": 1e-3}
    recipe = dataclasses.replace(RECIPE, backbone="convnext_atto", backbone_args=small, **plain)
    whole = train(store, tmp_path / "whole", dataclasses.replace(recipe, batch_size=16))[0]
    halves = train(store, tmp_path / "halves", dataclasses.replace(recipe, accumulate=2))[0]
    assert torch.allclose(weights(whole), weights(halves), atol=2e-4)


def test_the_loop_learns_and_keeps_the_moving_average(store, tmp_path):
    recipe = dataclasses.replace(RECIPE, epochs=25, mixup=0.0, dropout=0.0)
    kept, history, seen = train(store, tmp_path, recipe)
    logits = predict_logits(kept, store, range(ROWS), Predictor(recipe, CPU, "flip")).mean(axis=0)
    assert ((logits > 0) == LABEL.numpy().astype(bool)).mean() > 0.9
    assert history[-1]["train_loss"] < history[0]["train_loss"] and not kept.training
    assert sum(images for images, _ in seen) == 25 * 40


def test_a_loss_that_is_no_number_stops_with_a_sentence(store, tmp_path):
    pixels = np.stack([store[row] for row in range(ROWS)])
    pixels[3, 0, 0, 0] = np.inf
    with pytest.raises(UserError, match=r"The loss of net fold 0 is nan in epoch 1: lower lr \(now 0\.003\)"):
        train(ArrayStore(pixels, "digest"), tmp_path)


def test_early_stopping_keeps_the_best_epochs_weights(store, tmp_path):
    losses = iter([0.5, 0.3, 0.4, 0.6, 0.1])
    seen = []

    def validate(model):
        seen.append(weights(model))
        return {"val_loss": next(losses)}

    kept, history, _ = train(store, tmp_path, dataclasses.replace(RECIPE, patience=2), validate=validate)
    assert [line["val_loss"] for line in history] == [0.5, 0.3, 0.4, 0.6]
    assert torch.equal(weights(kept), seen[1])
    assert json.loads((tmp_path / "history.jsonl").read_text().splitlines()[-1])["epoch"] == 4


def test_bf16_on_a_cpu_stays_close_to_fp32(store, tmp_path):
    recipe = dataclasses.replace(RECIPE, dropout=0.0, mixup=0.0)
    exact = train(store, tmp_path / "fp32", recipe)[1][-1]["train_loss"]
    rough = train(store, tmp_path / "bf16", recipe, Placement("cpu", "bf16", "contiguous", 8))[1][-1]["train_loss"]
    assert rough != exact and rough == pytest.approx(exact, abs=0.1)


def test_how_often_the_fold_is_looked_at_changes_no_weight_and_the_last_epoch_is_always_seen(store, tmp_path):
    looks = {}
    for every in (1, 3, 9):
        kept, history, _ = train(
            store, tmp_path / str(every), validate=lambda model: {"val_loss": 0.5}, validate_every=every
        )
        looks[every] = [line["epoch"] for line in history if "val_loss" in line], kept.state_dict()
    assert [seen for seen, _ in looks.values()] == [[1, 2, 3, 4], [3, 4], [4]]
    for _, weights in looks.values():
        assert all(torch.equal(tensor, weights[name]) for name, tensor in looks[1][1].items())
