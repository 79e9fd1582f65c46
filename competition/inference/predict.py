"""The only prediction loop: a model, a store and named test-time views give logits by row."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

from competition.config import Recipe
from competition.data.augment import TTA, turn
from competition.data.loader import eval_feed
from competition.errors import UserError
from competition.training.placement import Placement


@torch.inference_mode()
def predict_logits(
    model: nn.Module,
    store,
    rows: Sequence[int],
    recipe: Recipe,
    placement: Placement,
    tta: str,
    workers: int,
    progress: Callable[[int], None] = lambda images: None,
) -> np.ndarray:
    """Return float64 logits (views, n) of the store's ``rows`` under each view of the ``tta`` set, in its order.

    ``progress(images)`` hears of each batch. Raises UserError when a logit is not a number.
    """
    views = TTA[tta]
    crops = list(dict.fromkeys(view.crop for view in views))
    feed = eval_feed(store, rows, recipe.image_size, recipe.fit, crops, recipe.batch_size, workers,
                     pin=placement.device == "cuda")  # fmt: skip
    model = placement.place(model).eval()
    forward = torch.compile(model) if recipe.compile else model
    parts = []
    for batch in feed:
        seen = {crop: placement.move(batch.pixels[:, index]) for index, crop in enumerate(crops)}
        with placement.autocast():
            parts.append(torch.stack([forward(placement.move(turn(seen[view.crop], view.turn))) for view in views]))
        progress(len(batch.rows))
    if not parts:
        return np.zeros((len(views), 0))
    logits = torch.cat(parts, dim=1).double().cpu().numpy()
    if not np.isfinite(logits).all():
        raise UserError(
            f"The model gives {logits[~np.isfinite(logits)][0]} for some images, so its training ran away: lower lr "
            f"(now {recipe.lr:g}), or use precision=fp32."
        )
    return logits
