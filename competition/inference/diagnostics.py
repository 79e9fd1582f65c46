"""What a job leaves beside its predictions, so that later questions need no model: ``evidence.npz``."""

import dataclasses
import itertools
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import IO, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from torch import Tensor, nn

from competition.core.errors import UserError
from competition.core.files import atomic_write
from competition.core.intact import NO_ARRAYS
from competition.core.seeds import stream
from competition.data.images.perturb import PerturbedStore, conditions
from competition.data.images.stores import Store
from competition.inference.job_files import check_intact
from competition.inference.predict import Predictor, predict_logits
from competition.models.build import Detector
from competition.models.heads import WithHead
from competition.scoring.blend.average import mean_logit

FILE = "evidence.npz"
CLEAN = "clean"
MAX_SWEEP_ROWS = 200  # at most, of a fold's sampled rows: each costs a forward pass for every condition
MAX_FEATURES = 1024  # more features than these are added up in groups: 2,000 rows then take 4 MB


@dataclass(frozen=True)
class Diagnostics:
    """One job's ``evidence.npz``; ids are unique in each array of them.

    ``logits`` (V, n) float32: every held-out row (``ids``) under each of the test-time ``views``; their mean over V is
    oof.csv's logit. ``validation`` (s, d) and ``test`` (t, d) float16: what the last layer sees of sampled held-out
    and test rows under the first view ((0, 0) where there are none). ``sweep`` (C, k) float32: the logits of
    ``sweep_ids``, which are among ``validation_ids``, under the first view in each of ``conditions``, the first
    ``clean``.
    """

    views: tuple[str, ...]
    ids: NDArray[np.str_]
    logits: NDArray[np.float32]
    validation_ids: NDArray[np.str_]
    validation: NDArray[np.float16]
    test_ids: NDArray[np.str_]
    test: NDArray[np.float16]
    conditions: tuple[str, ...]
    sweep_ids: NDArray[np.str_]
    sweep: NDArray[np.float32]


def sample(ids: Sequence[str], count: int, *seed: object) -> NDArray[np.int64]:
    """Return the positions, ascending, of at most ``count`` ids.

    Ids and seed alone choose them, not their order; a smaller sample lies within a larger one of the same seed.
    """
    order = np.argsort(np.array(list(ids), dtype=str), kind="stable")
    return np.sort(np.random.default_rng(stream("evidence", *seed)).permutation(order)[:count])


def diagnostics_images(evidence_rows: int, held: int, tested: int, floating: bool) -> tuple[int, int]:
    """Return how many images a job sees once more for its features, and how many for its sweep."""
    if not held:  # a model on all rows leaves no diagnostics
        return 0, 0
    swept = min(evidence_rows, MAX_SWEEP_ROWS, held)
    return min(evidence_rows, held) + min(evidence_rows, tested), len(conditions(floating)) * swept


def penultimate(model: Detector, store: Store, rows: Sequence[int], predictor: Predictor) -> NDArray[np.float16]:
    """Return (n, d) what the model's last layer sees of the store's ``rows``, seen whole or by their centre.

    The predictor's test-time views play no part. Raises UserError for a model that never runs its last layer.
    """
    features = logits_and_features(model, store, rows, dataclasses.replace(predictor, tta="none"))[1]
    if len(features) < len(rows):
        raise UserError(
            f"Backbone '{predictor.recipe.backbone}' does not show what its last layer sees: set evidence_rows=0."
        )
    return features


def logits_and_features(
    model: Detector, store: Store, rows: Sequence[int], predictor: Predictor
) -> tuple[NDArray[np.float64], NDArray[np.float16]]:
    """Return the (views, n) logits of the store's ``rows``, and (n, d) what the last layer sees under the first view.

    More than ``MAX_FEATURES`` features are hashed to so many (see :func:`_narrow`); values beyond float16 are its
    largest. A model that never runs its last layer has (0, 0) of them.
    """
    # Never compiled: a compiled graph may pass the hook by.
    predictor = dataclasses.replace(predictor, placement=dataclasses.replace(predictor.placement, compiled=False))
    calls, parts = itertools.count(), [np.zeros((0, 0), np.float16)]

    def keep(_: nn.Module, given: tuple[Tensor, ...]) -> None:
        if next(calls) % len(predictor.views) == 0:
            largest, seen = np.finfo(np.float16).max, given[0].float().flatten(1)
            parts.append(_narrow(seen.cpu().numpy()).clip(-largest, largest).astype(np.float16))

    hook = _last_layer(model).register_forward_pre_hook(keep)
    try:
        logits = predict_logits(model, store, rows, predictor)
    finally:
        hook.remove()
    return logits, np.concatenate(parts[1:]) if len(parts) > 1 else parts[0]


def _last_layer(model: Detector) -> nn.Module:
    """Return the layer that gives the logit: the head's last, timm's classifier, or else the last with a matrix."""
    backbone = model.backbone
    if isinstance(backbone, WithHead):
        return backbone.head[-1]
    classifier: Any = getattr(backbone, "get_classifier", lambda: None)
    layer = classifier()
    layer = layer[0] if isinstance(layer, Sequence | nn.ModuleList) else layer  # a distilled ViT has two
    if isinstance(layer, nn.Module) and next(layer.parameters(), None) is not None:
        return layer
    return [layer for layer in backbone.modules() if isinstance(layer, nn.Linear | nn.Conv2d)][-1]


def _narrow(features: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return (n, min(d, MAX_FEATURES)): columns shuffled, given random signs and added up in groups.

    Feature hashing (Weinberger et al. 2009) in groups of equal size; inner products stay what they are on average. The
    same for all models of one width, and no matrix to keep.
    """
    width = features.shape[1]
    if width <= MAX_FEATURES:
        return features
    random = np.random.default_rng(stream("features", width))
    order, sign = random.permutation(width), random.choice(np.array([-1, 1], np.float32), width)
    starts = np.arange(MAX_FEATURES) * width // MAX_FEATURES
    return np.add.reduceat(features[:, order] * sign, starts, axis=1)


def sweep_logits(
    model: Detector, store: Store, rows: Sequence[int], predictor: Predictor
) -> dict[str, NDArray[np.float64]]:
    """Return the (n,) logits of the store's ``rows`` under each condition, seen as :func:`penultimate` sees them."""
    eager = dataclasses.replace(predictor.placement, compiled=False)  # too few images to be worth another compilation
    predictor = dataclasses.replace(predictor, placement=eager, tta="none")
    return {
        condition: predict_logits(model, PerturbedStore(store, condition), rows, predictor)[0]
        for condition in conditions(store.dtype != np.uint8)
    }


def write_diagnostics(folder: Path, diagnostics: Diagnostics) -> None:
    """Write ``evidence.npz`` into a job's folder, atomically; the same diagnostics give the same bytes."""
    with atomic_write(folder / FILE, "wb") as file:
        _pack(diagnostics, file)


def _pack(diagnostics: Diagnostics, file: IO[bytes]) -> None:
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for item in dataclasses.fields(diagnostics):
            entry = zipfile.ZipInfo(f"{item.name}.npy")  # dated 1980, and not by the clock as numpy may choose to
            entry.compress_type = zipfile.ZIP_DEFLATED
            value = getattr(diagnostics, item.name)
            array = np.array(value, dtype=str) if isinstance(value, tuple) else value
            with archive.open(entry, "w", force_zip64=True) as inner:
                np.lib.format.write_array(inner, array, allow_pickle=False)


def read_diagnostics(folder: Path) -> Diagnostics:
    """Read a job's ``evidence.npz``. Raises UserError where it is missing, damaged, or its ids are not unique."""
    path = Path(folder) / FILE
    remedy = "delete what there is of it and run the same line again"
    check_intact(path)
    try:
        with np.load(path, allow_pickle=False) as arrays:
            found = {item.name: arrays[item.name] for item in dataclasses.fields(Diagnostics)}
    except NO_ARRAYS as error:
        raise UserError(f"The evidence in {path} cannot be read ({type(error).__name__}): {remedy}.") from error
    diagnostics = Diagnostics(**found | {key: tuple(found[key].tolist()) for key in ("views", "conditions")})
    for ids, table in (
        (diagnostics.ids, diagnostics.logits.T),
        (diagnostics.validation_ids, diagnostics.validation),
        (diagnostics.test_ids, diagnostics.test),
        (diagnostics.sweep_ids, diagnostics.sweep.T),
    ):
        if len(ids) != len(table) or len(np.unique(ids)) != len(ids):
            raise UserError(f"The ids in {path} do not name its rows one by one: {remedy}.")
    return diagnostics


def collect_views(folders: Sequence[Sequence[Path]], train_ids: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Return one member's (n,) out-of-fold logits under each test-time view alone, in the training table's order.

    ``folders``: for each fold its models' folders (several seeds), which are averaged. NaN where no model held the row
    out. Raises UserError when a file's ids are not the ones expected.
    """
    return _collect(folders, train_ids, attrgetter("views", "ids", "logits"))


def collect_sweep(folders: Sequence[Sequence[Path]], train_ids: Sequence[str]) -> dict[str, NDArray[np.float64]]:
    """Return one member's (n,) out-of-fold logits under each condition, as :func:`collect_views` does its views'.

    NaN where a row was not sampled. Earlier versions had other conditions and sampled more rows: where jobs of several
    have met, it is the conditions that all know, and the rows that all of a fold's models have seen.
    """
    return _collect(folders, train_ids, attrgetter("conditions", "sweep_ids", "sweep"), sampled=True)


def _collect(
    folders: Sequence[Sequence[Path]],
    train_ids: Sequence[str],
    part: Callable[[Diagnostics], tuple[tuple[str, ...], NDArray[np.str_], NDArray[np.float32]]],
    sampled: bool = False,
) -> dict[str, NDArray[np.float64]]:
    index = pd.Index([str(id) for id in train_ids])
    tables = [[(folder, _logit_table(*part(read_diagnostics(folder)))) for folder in models] for models in folders]
    known = [set(table.columns) for models in tables for _, table in models]
    names = [name for name in tables[0][0][1].columns if all(name in others for others in known)] if known else []
    collected = {name: np.full(len(index), np.nan) for name in names}
    filled = np.zeros(len(index), bool)
    for models in tables:
        first = models[0][1]
        rows = first.index[np.all([first.index.isin(table.index) for _, table in models], axis=0)]
        for folder, table in models:
            at = index.get_indexer(table.index)
            strange = (at < 0).any() or filled[at].any()
            alike = set(table.index) == set(first.index) and list(table.columns) == list(tables[0][0][1].columns)
            if strange or not (sampled or alike):
                raise UserError(
                    f"The rows in {folder / FILE} are not this fold's: delete it and run the same line again."
                )
        at = index.get_indexer(rows)
        filled[at] = True
        for name, column in collected.items():
            column[at] = mean_logit(np.stack([table.loc[rows, name].to_numpy() for _, table in models]))
    return collected


def _logit_table(names: Sequence[str], ids: NDArray[np.str_], logits: NDArray[np.float32]) -> pd.DataFrame:
    return pd.DataFrame(logits.T.astype(np.float64), index=ids, columns=list(names))
