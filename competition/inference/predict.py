"""The only prediction loop: a model, a store and named test-time views give logits by row."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from competition.core.config import Recipe
from competition.core.errors import UserError
from competition.data.loader import eval_feed
from competition.data.tta import TTA, turn
from competition.models.device import Placement


@torch.inference_mode()
def each_view(
    forward: Callable[[Tensor], Tensor],
    store,
    rows: Sequence[int],
    recipe: Recipe,
    placement: Placement,
    tta: str,
    workers: int,
    progress: Callable[[int], None],
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield each batch's rows (n,) and what ``forward`` makes of them under each view, (views, n, ...), on the device.

    ``forward`` takes pixels (n, c, h, w) on the placement's device.
    """
    views = TTA[tta]
    crops = list(dict.fromkeys(view.crop for view in views))
    feed = eval_feed(
        store, rows, recipe.image_size, recipe.fit, crops, recipe.batch_size, workers, pin=placement.device == "cuda"
    )
    for batch in feed:
        seen = {crop: placement.move(batch.pixels[:, index]) for index, crop in enumerate(crops)}
        with placement.autocast():
            out = torch.stack([forward(placement.move(turn(seen[view.crop], view.turn))) for view in views])
        yield batch.rows, out
        progress(len(batch.rows))


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
    model = placement.place(model).eval()
    forward = torch.compile(model) if recipe.compile else model
    parts = [out for _, out in each_view(forward, store, rows, recipe, placement, tta, workers, progress)]
    if not parts:
        return np.zeros((len(TTA[tta]), 0))
    logits = torch.cat(parts, dim=1).double().cpu().numpy()
    if not np.isfinite(logits).all():
        raise UserError(
            f"The model gives {logits[~np.isfinite(logits)][0]} for some images, so its training ran away: lower lr "
            f"(now {recipe.lr:g}), or use precision=fp32."
        )
    return logits
