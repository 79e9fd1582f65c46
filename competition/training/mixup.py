"""Mixup (Zhang et al. 2018) and cutmix (Yun et al. 2019) for one logit: pictures and labels mixed within a batch."""

import numpy as np
import torch
from torch import Tensor


def mix(pixels: Tensor, target: Tensor, mixup: float, cutmix: float, seed: int) -> tuple[Tensor, Tensor]:
    """Mix each row with another of the batch.

    ``pixels`` (n, c, h, w) of any dtype, ``target`` (n,) float in 0..1; ``mixup`` and ``cutmix`` are Beta parameters,
    0 for off; with both on, the batch takes one at random. Returns pixels (float32 after mixup) and soft targets.
    """
    if not (mixup or cutmix):
        return pixels, target
    rng = np.random.default_rng(seed)
    paste = bool(cutmix) and (not mixup or rng.random() < 0.5)
    parameter = cutmix if paste else mixup
    keep = float(rng.beta(parameter, parameter))
    other = torch.as_tensor(rng.permutation(len(pixels)), device=pixels.device)
    if paste:
        pixels, keep = _paste(pixels, other, keep, rng)
    else:
        pixels = pixels.float() * keep + pixels[other].float() * (1 - keep)
    return pixels, target * keep + target[other] * (1 - keep)


def _paste(pixels: Tensor, other: Tensor, keep: float, rng: np.random.Generator) -> tuple[Tensor, float]:
    """Put a box of each row's partner over it; returns the share of its own that each row keeps."""
    height, width = pixels.shape[-2:]
    box_height, box_width = (round(side * (1 - keep) ** 0.5) for side in (height, width))
    top, left = int(rng.integers(height - box_height + 1)), int(rng.integers(width - box_width + 1))
    box = (..., slice(top, top + box_height), slice(left, left + box_width))
    pasted = pixels.clone()
    pasted[box] = pixels[other][box]
    return pasted, 1 - box_height * box_width / (height * width)
