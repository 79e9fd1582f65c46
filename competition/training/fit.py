"""The only training loop: one model, one feed of batches, resumable at every epoch's end to the same bits.

Randomness inside an epoch (dropout, stochastic depth, mixing) is reseeded from (seed, epoch), so a resume point holds
weights and optimizer state and no generator's.
"""

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from competition.core.errors import Untrainable
from competition.core.files import write_text
from competition.core.seeds import stream
from competition.core.settings import Recipe
from competition.data.loader import Batch
from competition.models.build import Detector
from competition.models.device import Placement
from competition.training.mixup import mix, mix_pairs, places_of_partners
from competition.training.optim import learning_rate, make_optimizer, set_rate
from competition.training.resume import load_resume, save_resume

MAX_BATCH_POINTS = 100  # of an epoch's batch losses in its line of history
STEPS_PER_CHECK = 25  # steps between looks at the loss: each look makes the GPU wait


class Feed(Protocol):
    """Batches of training images, the same number of them in every epoch."""

    def __len__(self) -> int: ...

    def epoch(self, number: int) -> Iterator[Batch]: ...


@dataclass
class Task:
    """What to fit. ``validate(model)`` returns an epoch's figures on the whole held-out fold (empty: no such fold);
    ``on_progress(images, note)`` is called after each batch."""

    title: str
    recipe: Recipe
    placement: Placement
    feed: Feed
    label: Tensor  # (rows of the store,) float, indexed by a batch's rows
    class_weight: tuple[float, float]  # of class 0 and class 1 in the loss
    seed: int
    folder: Path  # history.jsonl and the resume point live here
    checkpoint_seconds: float
    validate: Callable[[nn.Module], dict[str, float]]
    on_progress: Callable[[int, str], None]
    validate_every: int = 1  # epochs; the last one is validated in any case
    partner: Mapping[int, int] = field(default_factory=dict)  # pairs that are mixed: each row's other row, or itself


@dataclass
class State:
    """Everything that an epoch changes."""

    model: Detector
    optimizer: torch.optim.Optimizer
    ema: ModelEmaV3 | None
    scaler: torch.amp.GradScaler
    epoch: int = 0
    history: list[dict[str, Any]] = field(default_factory=list)
    best: dict[str, Any] = field(default_factory=dict)  # loss, epoch and weights, for early stopping

    @property
    def kept(self) -> Detector:
        """The module whose weights are validated and kept."""
        return self.ema.module if self.ema else self.model

    def dump(self, key: str) -> dict[str, Any]:
        return {
            "key": key,
            "epoch": self.epoch,
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "ema": self.ema.module.state_dict() if self.ema else {},
            "scaler": self.scaler.state_dict(),
            "history": self.history,
            "best": self.best,
        }

    def restore(self, point: dict[str, Any]) -> None:
        self.model.load_state_dict(point["model"], strict=True)
        self.optimizer.load_state_dict(point["optimizer"])
        if self.ema:
            self.ema.module.load_state_dict(point["ema"], strict=True)
        self.scaler.load_state_dict(point["scaler"])
        self.epoch, self.history, self.best = point["epoch"], point["history"], point["best"]


def fit(task: Task, model: Detector, key: str) -> tuple[Detector, list[dict[str, Any]]]:
    """Train ``model`` and return the module to keep, with a line of history per epoch.

    ``key`` is the job's fingerprint: a resume point made under another one is not used. Raises Untrainable when the
    loss is no longer a number; lets torch.OutOfMemoryError pass.
    """
    recipe, placement = task.recipe, task.placement
    model = placement.place(model)
    scaler = torch.amp.GradScaler(placement.device, enabled=placement.precision == "fp16")
    ema = ModelEmaV3(model, decay=recipe.ema, use_warmup=True) if recipe.ema else None  # warmed up, for short runs
    state = State(model, make_optimizer(model, recipe), ema, scaler)
    point = load_resume(task.folder / "resume.pt")
    if point and point["key"] == key:
        state.restore(point)
        task.on_progress(state.epoch * len(task.feed) * recipe.batch_size * recipe.accumulate, "resumed")
    forward = torch.compile(model) if placement.compiled else model
    saved = time.monotonic()
    began = saved - (state.history[-1].get("elapsed", 0.0) if state.history else 0.0)
    while state.epoch < recipe.epochs and not _stale(state, recipe):
        line = _train_epoch(task, state, forward)
        state.epoch += 1
        if state.epoch % task.validate_every == 0 or state.epoch == recipe.epochs:
            line |= task.validate(state.kept)
        line["elapsed"] = time.monotonic() - began
        state.history.append(line)
        write_text(task.folder / "history.jsonl", "".join(json.dumps(line) + "\n" for line in state.history))
        _remember_best(state, recipe)
        if time.monotonic() - saved >= task.checkpoint_seconds and state.epoch < recipe.epochs:
            save_resume(task.folder / "resume.pt", state.dump(key))
            saved = time.monotonic()
    if state.best:
        state.kept.load_state_dict(state.best["weights"])
    return state.kept, state.history


def _train_epoch(task: Task, state: State, forward: Callable[[Tensor], Tensor]) -> dict[str, Any]:
    recipe, epoch, steps = task.recipe, state.epoch, len(task.feed)
    torch.manual_seed(stream("epoch", task.seed, epoch))
    state.model.train()
    losses = torch.zeros(steps, device=task.placement.device)
    start, images, rate = time.perf_counter(), 0, 0.0
    for index, batch in enumerate(task.feed.epoch(epoch)):
        step = epoch * steps + index
        rate = learning_rate(recipe, step, steps * recipe.epochs)
        set_rate(state.optimizer, rate)
        losses[index] = _step(task, state, forward, batch, step)
        images += len(batch.rows)
        if index % STEPS_PER_CHECK == 0 or index == steps - 1:
            _check_loss(task, float(losses[: index + 1].sum()), epoch)
        task.on_progress(len(batch.rows), f"{task.title} epoch {epoch + 1}/{recipe.epochs}")
    seconds = time.perf_counter() - start
    return {
        "epoch": epoch + 1,
        "lr": rate,
        "train_loss": float(losses.sum()) / steps,
        "seconds": seconds,
        "images_per_second": images / seconds,
        "batch_loss": _thinned(losses),
    }


def _thinned(losses: Tensor) -> list[float]:
    """Return the batches' losses in order, where there are many of them as means of equal stretches."""
    # In this order, for a Mac's GPU has no float64.
    stretches = losses.cpu().double().tensor_split(min(len(losses), MAX_BATCH_POINTS))
    return [round(float(stretch.mean()), 6) for stretch in stretches]


def _step(task: Task, state: State, forward: Callable[[Tensor], Tensor], batch: Batch, step: int) -> Tensor:
    """One optimizer step over a batch, in as many forward passes as fit; returns the mean loss, on the device."""
    recipe, placement = task.recipe, task.placement
    target = task.label[batch.rows].to(placement.device, non_blocking=True)
    pixels, seed = placement.move(batch.pixels), stream(task.seed, step)
    if task.partner:
        pixels, target = mix_pairs(pixels, target, places_of_partners(batch.rows, task.partner), seed)
    else:
        pixels, target = mix(pixels, target, recipe.mixup, recipe.cutmix, seed)
    weight = target * task.class_weight[1] + (1 - target) * task.class_weight[0]
    target = target * (1 - recipe.label_smoothing) + recipe.label_smoothing / 2
    total = torch.zeros((), device=placement.device)
    for piece in _pieces(len(pixels), placement.micro_batch):
        with placement.autocast():
            logit = forward(pixels[piece])
        loss = F.binary_cross_entropy_with_logits(logit, target[piece], weight[piece], reduction="sum") / len(pixels)
        state.scaler.scale(loss).backward()
        total += loss.detach()
    if recipe.clip_grad:
        state.scaler.unscale_(state.optimizer)
        nn.utils.clip_grad_norm_(state.model.parameters(), recipe.clip_grad)
    state.scaler.step(state.optimizer)
    state.scaler.update()
    state.optimizer.zero_grad(set_to_none=True)
    if state.ema:
        state.ema.update(state.model, step=step + 1)
    return total


def _pieces(rows: int, most: int) -> list[slice]:
    """Divide a batch's rows; a last row alone joins the piece before it, for batch normalisation needs two."""
    starts = list(range(0, rows, most))
    if len(starts) > 1 and most > 1 and rows - starts[-1] == 1:
        starts.pop()
    return [slice(start, end) for start, end in zip(starts, [*starts[1:], rows], strict=True)]


def _check_loss(task: Task, total: float, epoch: int) -> None:
    if not math.isfinite(total):
        raise Untrainable(
            f"The loss of {task.title} is {total} in epoch {epoch + 1}: lower lr (now {task.recipe.lr:g}), "
            "or use precision=fp32."
        )


def _remember_best(state: State, recipe: Recipe) -> None:
    """With early stopping, keep the weights of the epoch with the least validation loss."""
    loss = state.history[-1].get("val_loss")
    if not recipe.patience or loss is None:
        return
    if not state.best or loss < state.best["loss"]:
        weights = {name: tensor.detach().clone() for name, tensor in state.kept.state_dict().items()}
        state.best = {"loss": loss, "epoch": state.epoch, "weights": weights}


def _stale(state: State, recipe: Recipe) -> bool:
    return bool(state.best) and state.epoch - state.best["epoch"] >= recipe.patience
