"""On what device, in what precision and memory layout a member runs: settled once, stored, reused by every fold."""

import contextlib
import dataclasses
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor, nn

from competition.core.errors import UserError
from competition.core.intact import read_record_file, stands, write_record_file
from competition.core.options import DEVICES
from competition.core.settings import Recipe

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
FORMATS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}
PROBE_STEPS = 5
# Seconds of training from which compile=auto compiles to see what that gains. On one core of a CPU a compilation took
# 39 to 103 s, and a step was then .84 (ResNet-18), 1.0 (ConvNeXt-atto), 1.05 (Swin-T) and 1.11 times as fast
# (ConvNeXt-T).
LEAST_WORK = 1200.0

Model = TypeVar("Model", bound=nn.Module)
T = TypeVar("T")


@dataclass(frozen=True)
class Placement:
    """``micro_batch``: rows in one forward pass, at most the recipe's batch size; halved when memory ran out.
    ``compiled``: whether training and its predictions run through torch.compile."""

    device: str
    precision: str
    memory_format: str
    micro_batch: int
    compiled: bool = False

    def autocast(self) -> contextlib.AbstractContextManager:
        """Return the context in which the model runs forward."""
        if self.precision == "fp32":
            return contextlib.nullcontext()
        return torch.autocast(self.device, DTYPES[self.precision])

    def place(self, model: Model) -> Model:
        """Move the model to the device, in its memory layout."""
        return model.to(self.device).to(memory_format=FORMATS[self.memory_format])

    def move(self, pixels: Tensor) -> Tensor:
        """Move (n, c, h, w) pixels to the device, in the model's memory layout."""
        return pixels.to(self.device, non_blocking=True).contiguous(memory_format=FORMATS[self.memory_format])


@contextlib.contextmanager
def memory_errors() -> Iterator[None]:
    """Let a GPU without memory be a MemoryError, as a machine without memory is."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise MemoryError(str(error)) from error


def choose_device(wanted: str) -> str:
    """Return ``cpu``, ``cuda`` or ``mps`` (the GPU of a Mac); UserError where a GPU is requested and is not there, or
    is too old."""
    if wanted not in DEVICES:
        raise UserError(f"device={wanted} is not one of {', '.join(DEVICES)}.")
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available()}
    if not available.get(wanted, True):
        raise UserError(
            f"device={wanted}, but torch sees no {wanted.upper()} device here: use device=cpu or repair the driver."
        )
    device = wanted if wanted != "auto" else next((name for name, there in available.items() if there), "cpu")
    if device == "cuda":
        _check_capability()
    return device


def _check_capability() -> None:
    major, minor = torch.cuda.get_device_capability()
    if major < 7:
        name = torch.cuda.get_device_name()
        raise UserError(
            f"The GPU {name} has CUDA capability {major}.{minor}, and torch needs 7.0: choose another accelerator "
            "(on Kaggle: T4), or device=cpu."
        )


def read_placement(recipe: Recipe, device: str, path: Path) -> Placement | None:
    """Return the placement in ``path``, or None where there is none or it was settled for another
    precision, memory format, batch size or ``compile``.

    Another device takes over its precision and layout, so that all folds of a member are made alike.
    """
    found = read_record_file(path)
    if found is None or found.pop("wish") != _requested(recipe):
        return None
    return dataclasses.replace(Placement(**found), device=device)


def choose_placement(
    recipe: Recipe, device: str, build: Callable[[], nn.Module], pixels: Tensor, steps: int = 0
) -> Placement:
    """Choose precision, memory layout and compilation as the recipe says, by measuring where that is ``auto``.

    ``build`` makes the model and ``pixels`` (n, c, h, w) is one batch: both serve the measurement alone. ``steps``: how
    many such batches the member will be trained on, in all its jobs.
    """
    precisions, formats = _candidates(recipe, device)
    candidates = [Placement(device, p, f, recipe.batch_size) for p in precisions for f in formats]
    if len(candidates) == 1:
        chosen = candidates[0]
    else:
        chosen = min(candidates, key=lambda candidate: step_seconds(candidate, build(), pixels))
    compiled = recipe.compile == "true" or (recipe.compile == "auto" and _compiling_pays(chosen, build, pixels, steps))
    return dataclasses.replace(chosen, compiled=compiled)


def _compiling_pays(placement: Placement, build: Callable[[], nn.Module], pixels: Tensor, steps: int) -> bool:
    """Whether so many steps save by compiled code what compiling takes, which is done here to know that.

    Jobs after the first find the code in torch's cache on the disk. Where all steps together take less than
    ``LEAST_WORK`` seconds, or nothing can be compiled, it is not tried.
    """
    eager = step_seconds(placement, build(), pixels)
    if steps * eager < LEAST_WORK:
        return False
    torch.compiler.reset()
    start, model = time.perf_counter(), build()
    model.compile()
    try:
        compiled = step_seconds(placement, model, pixels)
    except RuntimeError:  # of every kind: no compiler for the CPU, no Triton, an operation that it does not know
        return False
    return steps * (eager - compiled) > time.perf_counter() - start


def _requested(recipe: Recipe) -> list:
    wish = [recipe.precision, recipe.memory_format, recipe.batch_size]
    return wish if recipe.compile == "false" else [*wish, recipe.compile]  # as it was before this could be chosen


def write_placement(path: Path, placement: Placement, recipe: Recipe) -> None:
    """Write the placement for the member's other jobs, unless it stands there."""
    value = {**dataclasses.asdict(placement), "wish": _requested(recipe)}
    if not stands(path, value):
        write_record_file(path, value)


def _candidates(recipe: Recipe, device: str) -> tuple[list[str], list[str]]:
    """Return the precisions and memory formats to choose from, the device's usual one first."""
    usual = "fp32"
    if device == "cuda":  # a T4 (7.5) claims bf16 and emulates it slowly
        usual = "bf16" if torch.cuda.get_device_capability()[0] >= 8 else "fp16"
    if recipe.precision == "fp16" and device == "cpu":
        raise UserError("precision=fp16 needs a GPU (its gradients are scaled there): use bf16 or fp32 on a CPU.")
    if recipe.precision in ("bf16", "fp16") and device == "mps":
        raise UserError(f"precision={recipe.precision} is not for a Mac's GPU: leave it out (fp32), or use device=cpu.")
    wanted = "device" if (device, recipe.precision) == ("cuda", "bf16") else recipe.precision
    measured = {"cpu": ["fp32", "bf16"], "cuda": [usual, "fp32"], "mps": ["fp32"]}
    precisions = {"device": [usual], "auto": measured[device]}
    formats = {"device": ["channels_last" if device == "cuda" else "contiguous"], "auto": list(FORMATS)}
    return precisions.get(wanted, [wanted]), formats.get(recipe.memory_format, [recipe.memory_format])


def in_memory(rows: int, work: Callable[[int], T]) -> T:
    """Return what ``work`` returns of so many ``rows``; where the GPU's memory runs out, of half as many, and so on.

    Raises UserError where not one fits.
    """
    while True:
        try:
            return work(rows)
        except torch.OutOfMemoryError:
            if rows < 2:
                raise UserError(
                    "Not one image fits in the GPU's memory: choose a smaller backbone or image_size."
                ) from None
        torch.accelerator.empty_cache()
        rows //= 2


def step_seconds(placement: Placement, model: nn.Module, pixels: Tensor) -> float:
    """Measure one training step (forward, backward, no optimizer) on a batch: the median of a few after a warm-up.

    Where the batch does not fit in the GPU's memory, parts of it are measured.
    """
    return in_memory(len(pixels), lambda rows: len(pixels) / rows * _step_seconds(placement, model, pixels[:rows]))


def _step_seconds(placement: Placement, model: nn.Module, pixels: Tensor) -> float:
    model = placement.place(model).train()
    pixels = placement.move(pixels)
    times = []
    for _ in range(1 + PROBE_STEPS):
        start = time.perf_counter()
        with placement.autocast():
            loss = model(pixels).square().mean()
        loss.backward()
        model.zero_grad()
        if placement.device != "cpu":
            torch.accelerator.synchronize()
        times.append(time.perf_counter() - start)
    return sorted(times[1:])[PROBE_STEPS // 2]
