"""A frozen backbone's features: computed once for each test-time view of each image, and kept beside decoded pixels.

They depend on neither fold nor epoch, so five folds of ten epochs cost one pass over the images.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from competition.config import Recipe
from competition.data.augment import TTA
from competition.data.decode import DECODER
from competition.data.stores import ArrayStore
from competition.errors import UserError
from competition.files import atomic_write, fingerprint
from competition.inference.predict import each_view
from competition.models.zoo import Detector
from competition.training.placement import Placement


def open_features(
    folder: Path,
    recipe: Recipe,
    weights: str,
    placement: Placement,
    tta: str,
    store,
    build: Callable[[], Detector],
    workers: int,
    title: str,
) -> list[ArrayStore]:
    """Return the features of the store's rows under each view of ``tta``, in its order, each (n, 1, 1, d) float32.

    ``weights`` names the backbone's weights, for the file's name in ``folder``; ``build`` makes the model where the
    features are not there yet. The central view's, which training reads, is the first of the set. Rows that the store
    cannot read are NaN.
    """
    views = [[view.crop, view.turn] for view in TTA[tta]]
    seen = [recipe.backbone, recipe.backbone_args, recipe.view, recipe.image_size, recipe.fit, "flatten" in recipe.head,
            recipe.small_stem, weights, placement.precision, placement.memory_format, views, DECODER]  # fmt: skip
    path = folder / f"features-{fingerprint(seen, store.digest)}.npy"
    if not path.exists():
        model = placement.place(build()).eval()
        rows = [row for row in range(len(store)) if row not in store.bad]
        _compute(path, model, store, rows, recipe, placement, tta, workers, title)
    features = np.load(path, mmap_mode="r")
    return [ArrayStore(view[:, None, None, :], fingerprint(path.stem, index)) for index, view in enumerate(features)]


def _compute(path: Path, model: Detector, store, rows: Sequence[int], recipe: Recipe, placement: Placement, tta: str,
             workers: int, title: str) -> None:  # fmt: skip
    """Write the (views, n, d) features of all the store's rows to ``path``."""
    trunk, features = model.backbone.trunk, None

    def forward(pixels: torch.Tensor) -> torch.Tensor:
        return trunk(model.seen(pixels)).float().flatten(1)

    with tqdm(total=len(rows), unit="img", desc=f"{title}: features", disable=None, dynamic_ncols=True) as bar:
        for batch, out in each_view(forward, store, rows, recipe, placement, tta, workers, bar.update):
            if features is None:
                features = np.full((out.shape[0], len(store), out.shape[2]), np.nan, np.float32)
            features[:, batch.numpy()] = out.cpu().numpy()
    if features is None:
        features = np.full((len(TTA[tta]), len(store), 1), np.nan, np.float32)
    if not np.isfinite(features[:, list(rows)]).all():
        raise UserError(f"The features of '{recipe.backbone}' are no numbers for some images: use precision=fp32.")
    with atomic_write(path, "wb") as file:
        np.save(file, features)
