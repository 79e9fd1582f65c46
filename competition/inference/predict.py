"""The only prediction loop: a model, a store and named test-time views give logits by row."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from competition.core.errors import UserError
from competition.core.settings import Recipe
from competition.data.images.stores import Store
from competition.data.loader import EvalSet, eval_feed
from competition.data.tta import TTA, TestView, turn
from competition.models.device import Placement


@dataclass(frozen=True)
class Predictor:
    """How models of one recipe predict: where they run, under which test-time views, and what feeds them.

    ``tta`` names the views; ``workers`` processes feed the model, none of them for 0; ``on_progress(images)`` is called
    after each batch.
    """

    recipe: Recipe
    placement: Placement
    tta: str = "none"
    workers: int = 0
    on_progress: Callable[[int], None] = lambda images: None

    @property
    def views(self) -> tuple[TestView, ...]:
        return TTA[self.tta]


@torch.inference_mode()
def each_view(
    forward: Callable[[Tensor], Tensor], store: Store, rows: Sequence[int], predictor: Predictor
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield each batch's rows (n,) and what ``forward`` makes of them under each view, (views, n, ...), on the device.

    ``forward`` takes pixels (n, c, h, w) on the placement's device.
    """
    recipe, placement, views = predictor.recipe, predictor.placement, predictor.views
    crops = list(dict.fromkeys(view.crop for view in views))
    images = EvalSet(store, recipe.image_size, recipe.fit, crops)
    for batch in eval_feed(images, rows, recipe.batch_size, predictor.workers, pin=placement.device == "cuda"):
        seen = {crop: placement.move(batch.pixels[:, index]) for index, crop in enumerate(crops)}
        with placement.autocast():
            out = torch.stack([forward(placement.move(turn(seen[view.crop], view.turn))) for view in views])
        yield batch.rows, out
        predictor.on_progress(len(batch.rows))


@torch.inference_mode()
def predict_logits(model: nn.Module, store: Store, rows: Sequence[int], predictor: Predictor) -> np.ndarray:
    """Return float64 logits (views, n) of the store's ``rows`` under each of the predictor's views, in their order.

    Raises UserError when a logit is not a number.
    """
    model = predictor.placement.place(model).eval()
    forward = torch.compile(model) if predictor.placement.compiled else model
    parts = [out for _, out in each_view(forward, store, rows, predictor)]
    if not parts:
        return np.zeros((len(predictor.views), 0))
    logits = torch.cat(parts, dim=1).cpu().double().numpy()
    if not np.isfinite(logits).all():
        raise UserError(
            f"The model gives {logits[~np.isfinite(logits)][0]} for some images, so its training ran away: lower lr "
            f"(now {predictor.recipe.lr:g}), or use precision=fp32."
        )
    return logits
