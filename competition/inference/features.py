"""A frozen backbone's features: computed once for each test-time view and each augmented variant of each image.

They are kept beside decoded pixels and depend on neither fold nor epoch, so five folds of ten epochs cost one pass over
the images for each view and variant. A pass that was killed goes on from where it was, to the same bytes.
"""

import dataclasses
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.lib.format import open_memmap
from torch import Tensor
from tqdm import tqdm

from competition.core.errors import UserError
from competition.core.files import fingerprint, read_json, write_json
from competition.core.locks import waited_for
from competition.core.settings import Config
from competition.data.augment import train_transform
from competition.data.extra import read_extra
from competition.data.images.cache import SPARE_GB
from competition.data.images.decode import DECODER
from competition.data.images.stores import ArrayStore, DataStore
from competition.data.layouts.dataset import Dataset
from competition.data.loader import TrainSet, variant_feed
from competition.data.run_data import store_spec
from competition.inference.predict import Predictor, each_view
from competition.models.build import Detector, check_model

MARK_SECONDS = 15.0  # least time between two points that a killed pass goes on from


@dataclass(frozen=True)
class Variant:
    """The augmented variant ``number`` (1, 2 ...) of each image, as (``seed``, number, row) draws it."""

    seed: int
    number: int


@dataclass(frozen=True)
class FeaturePass:
    """One file of features: of a store's rows under the predictor's test-time views, or else of one variant of them."""

    path: Path
    store: DataStore
    predictor: Predictor
    name: str
    variant: Variant | None = None

    @property
    def rows(self) -> list[int]:
        """The rows that have features: those that can be read."""
        return [row for row in range(len(self.store)) if row not in self.store.bad]

    @property
    def views(self) -> int:
        """How often each row is seen."""
        return 1 if self.variant else len(self.predictor.views)

    def batches(self, model: Detector, rows: Sequence[int]) -> Iterator[tuple[Tensor, Tensor]]:
        """Yield each batch's rows (n,) and features (views, n, d) float32, on the device."""
        trunk = model.with_head.trunk

        def forward(pixels: Tensor) -> Tensor:
            return trunk(model.seen(pixels)).float().flatten(1)

        if self.variant is None:
            yield from each_view(forward, self.store, rows, self.predictor)
            return
        recipe, placement, workers = self.predictor.recipe, self.predictor.placement, self.predictor.workers
        transform = train_transform(recipe.augment, recipe.image_size, recipe.fit, self.store.dtype != np.uint8)
        images = TrainSet(self.store, transform, self.variant.seed)
        pin = placement.device == "cuda"
        for batch in variant_feed(images, self.variant.number, rows, recipe.batch_size, workers, pin):
            with torch.inference_mode(), placement.autocast():
                out = forward(placement.move(batch.pixels))
            yield batch.rows, out[None]
            self.predictor.on_progress(len(batch.rows))


def weights_origin(weights: str, seed: int, member: str) -> str:
    """Return what names a backbone's weights: the fingerprint of pretrained ones, or how random ones (``false``) were
    drawn."""
    return weights if weights != "false" else f"random {seed} {member}"


def features_path(
    folder: Path, predictor: Predictor, weights: str, store: DataStore, variant: Variant | None = None
) -> Path:
    """Return the file in ``folder`` that is named after everything the features of a store's rows depend on.

    ``weights`` names the backbone's weights.
    """
    recipe, placement = predictor.recipe, predictor.placement
    seen: list[list] = [[view.crop, view.turn] for view in predictor.views]
    if variant is not None:
        seen = [[recipe.augment, variant.seed, variant.number]]
    spec = store_spec(recipe, store.dtype != np.uint8)
    model = [recipe.backbone, recipe.backbone_args, recipe.view, recipe.image_size, recipe.fit, *spec.key]
    output = ["flatten" in recipe.head, recipe.small_stem, weights, placement.precision, placement.memory_format]
    output += [recipe.stem_stride] if recipe.stem_stride else []  # which came later: older files keep their names
    return folder / f"features-{fingerprint([*model, *output, seen, DECODER], store.digest)}.npy"


def variants_gigabytes(config: Config, dataset: Dataset) -> float:
    """Return what the features of all members' variants take, in 10^9 bytes."""
    rows = min(len(dataset.train), config.limit or len(dataset.train))
    rows += len(dataset.test) if config.pseudo else 0
    members = [recipe for recipe in config.members.values() if recipe.frozen and recipe.variants]
    rows += len(read_extra(config, dataset).train) if config.extra and members else 0
    sizes = [
        feature_bytes(check_model(recipe, dataset.channels, dataset.floating)) * recipe.variants for recipe in members
    ]
    return rows * sum(sizes) / 1e9


def feature_bytes(model: Detector) -> int:
    """Return what one pass over one image leaves on disk."""
    return model.with_head.features * np.dtype(np.float32).itemsize


def load_features(path: Path) -> list[ArrayStore]:
    """Return the rows' features under each view, each (n, 1, 1, d) float32, the central view first.

    Rows that the images' store could not read are NaN.
    """
    features = np.load(path, mmap_mode="r")
    return [ArrayStore(view[:, None, None, :], fingerprint(path.stem, index)) for index, view in enumerate(features)]


def compute_features(passes: Sequence[FeaturePass], model: Detector, title: str) -> None:
    """Write the (views, n, d) features of each pass whose file is missing; a file is there whole or not at all.

    Raises UserError where they are no numbers, or the disk is too full for them.
    """
    if all(one.path.exists() for one in passes):
        return
    folder = passes[0].path.parent
    folder.mkdir(parents=True, exist_ok=True)
    with waited_for(folder / "features.lock", f"{title}: waiting for another run to compute features"):
        missing = [one for one in passes if not one.path.exists()]
        _check_room(missing, model, folder, title)
        for one in missing[:1]:
            one.predictor.placement.place(model).eval()
        total = sum(len(one.rows) * one.views for one in missing)
        with tqdm(total=total, unit="img", disable=None, dynamic_ncols=True) as bar:
            for one in missing:
                bar.set_description(f"{title} {one.name}: features")
                _compute(one, model, bar)


def _check_room(missing: Sequence[FeaturePass], model: Detector, folder: Path, title: str) -> None:
    needed = sum(one.views * len(one.store) for one in missing) * feature_bytes(model) / 1e9
    free = shutil.disk_usage(folder).free / 1e9
    if needed and needed + SPARE_GB > free:
        raise UserError(
            f"The features of {title} take {needed:.1f} GB and {SPARE_GB:.0f} GB to spare, but only {free:.1f} GB are "
            f"free in {folder}: keep the cache on another disk with cache=DIR, or lower variants."
        )


def _compute(one: FeaturePass, model: Detector, bar: tqdm) -> None:
    """Write one file of features, from where a killed pass left off."""
    partial, mark = (one.path.with_name(f".{one.path.stem}.{ending}") for ending in ("partial", "json"))
    rows, batch_size, point = one.rows, one.predictor.recipe.batch_size, read_json(mark)
    if partial.exists() and point and point["batch_size"] == batch_size:  # the same batches, hence the same bytes
        done, features = point["rows"], open_memmap(partial, "r+")
    else:
        mark.unlink(missing_ok=True)  # or it would speak of the new file
        done, shape = 0, (one.views, len(one.store), model.with_head.features)
        features = open_memmap(partial, "w+", np.float32, shape)  # on disk: they may be more than memory holds
        features[:, list(one.store.bad)] = np.nan
    bar.update(done * one.views)
    watched = dataclasses.replace(one.predictor, on_progress=lambda images: bar.update(images * one.views))
    saved = time.monotonic()
    for batch, out in dataclasses.replace(one, predictor=watched).batches(model, rows[done:]):
        features[:, batch.numpy()] = out.cpu().numpy()
        done += len(batch)
        if time.monotonic() - saved >= MARK_SECONDS:
            features.flush()
            write_json(mark, {"rows": done, "batch_size": batch_size})
            saved = time.monotonic()
    finite = all(np.isfinite(view[rows]).all() for view in features)
    features.flush()
    if finite:
        os.replace(partial, one.path)
    partial.unlink(missing_ok=True)
    mark.unlink(missing_ok=True)
    if not finite:
        raise UserError(
            f"The features of '{one.predictor.recipe.backbone}' are not finite for some images: use precision=fp32."
        )
