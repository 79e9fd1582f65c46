"""Mixup (Zhang et al. 2018) and cutmix (Yun et al. 2019) for one logit: pictures and labels mixed within a batch."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

PAIR_BETA = 0.5  # of the share that a row mixed with its partner keeps of itself
PAIR_SHARE = 0.5  # of rows that are mixed with their partner; the others stay as they are


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


def mix_pairs(pixels: Tensor, target: Tensor, other: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """Mix rows with the other row of their pair, each row by a share of its own.

    ``pixels`` (n, c, h, w), ``target`` (n,) float in 0..1; ``other``: (n,) int64 place of each row's partner in the
    batch, or its own. A mixed row keeps a share of itself drawn from Beta(.5, .5), so that most stay near one of the
    two. Returns float32 pixels and soft targets.
    """
    rng = np.random.default_rng(seed)
    keep = rng.beta(PAIR_BETA, PAIR_BETA, len(pixels))
    keep[rng.random(len(pixels)) >= PAIR_SHARE] = 1
    share = torch.as_tensor(keep, dtype=torch.float32, device=pixels.device)
    other = other.to(pixels.device)
    wide = share.view(-1, 1, 1, 1)
    pixels = pixels.float() * wide + pixels[other].float() * (1 - wide)
    return pixels, target * share + target[other] * (1 - share)


def places_of_partners(rows: Tensor, partner: Mapping[int, int]) -> Tensor:
    """Return (n,) int64: where in a batch of these ``rows`` each one's partner stands, which must be among them."""
    place = {row: index for index, row in enumerate(rows.tolist())}
    return torch.tensor([place[partner[row]] for row in rows.tolist()])


def _paste(pixels: Tensor, other: Tensor, keep: float, rng: np.random.Generator) -> tuple[Tensor, float]:
    """Put a box of each row's partner over it; returns the share of its own that each row keeps."""
    height, width = pixels.shape[-2:]
    box_height, box_width = (round(side * (1 - keep) ** 0.5) for side in (height, width))
    top, left = int(rng.integers(height - box_height + 1)), int(rng.integers(width - box_width + 1))
    box = (..., slice(top, top + box_height), slice(left, left + box_width))
    pasted = pixels.clone()
    pasted[box] = pixels[other][box]
    return pasted, 1 - box_height * box_width / (height * width)
