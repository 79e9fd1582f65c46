"""A frozen backbone's features: computed once for each test-time view of each image, and kept beside decoded pixels.

They depend on neither fold nor epoch, so five folds of ten epochs cost one pass over the images.
"""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from tqdm import tqdm

from competition.core.errors import UserError
from competition.core.files import fingerprint
from competition.data.images.decode import DECODER
from competition.data.images.stores import ArrayStore, DataStore
from competition.data.run_data import store_spec
from competition.inference.predict import Predictor, each_view
from competition.models.build import Detector


def features_path(folder: Path, predictor: Predictor, weights: str, store: DataStore) -> Path:
    """Return the file in ``folder`` that is named after everything the features of a store's rows depend on.

    ``weights`` names the backbone's weights.
    """
    recipe, placement = predictor.recipe, predictor.placement
    views = [[view.crop, view.turn] for view in predictor.views]
    spec = store_spec(recipe, store.dtype != np.uint8)
    model = [recipe.backbone, recipe.backbone_args, recipe.view, recipe.image_size, recipe.fit, *spec.key]
    output = ["flatten" in recipe.head, recipe.small_stem, weights, placement.precision, placement.memory_format]
    return folder / f"features-{fingerprint([*model, *output, views, DECODER], store.digest)}.npy"


def load_features(path: Path) -> list[ArrayStore]:
    """Return the rows' features under each view, each (n, 1, 1, d) float32, the central view first.

    Rows that the images' store could not read are NaN.
    """
    features = np.load(path, mmap_mode="r")
    return [ArrayStore(view[:, None, None, :], fingerprint(path.stem, index)) for index, view in enumerate(features)]


def compute_features(path: Path, model: Detector, store: DataStore, predictor: Predictor, title: str) -> None:
    """Write the (views, n, d) features of all the store's rows to ``path``; the file is there whole or not at all."""
    predictor.placement.place(model).eval()
    rows = [row for row in range(len(store)) if row not in store.bad]
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        features = _fill(temporary, model, store, rows, predictor, title)
        if not all(np.isfinite(view[rows]).all() for view in features):
            raise UserError(
                f"The features of '{predictor.recipe.backbone}' are not finite for some images: use precision=fp32."
            )
        features.flush()
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _fill(
    path: Path, model: Detector, store: DataStore, rows: Sequence[int], predictor: Predictor, title: str
) -> np.memmap:
    trunk, features = model.with_head.trunk, None

    def forward(pixels: torch.Tensor) -> torch.Tensor:
        return trunk(model.seen(pixels)).float().flatten(1)

    with tqdm(total=len(rows), unit="img", desc=f"{title}: features", disable=None, dynamic_ncols=True) as bar:
        for batch, out in each_view(forward, store, rows, dataclasses.replace(predictor, on_progress=bar.update)):
            if features is None:  # on disk from the start: they may be more than memory holds
                features = open_memmap(path, "w+", np.float32, (out.shape[0], len(store), out.shape[2]))
                features[:, list(store.bad)] = np.nan
            features[:, batch.numpy()] = out.cpu().numpy()
    if features is None:
        features = open_memmap(path, "w+", np.float32, (len(predictor.views), len(store), 1))
        features[:] = np.nan
    return features
