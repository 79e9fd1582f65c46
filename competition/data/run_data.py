"""Everything a run reads, in one piece: tables, pixels and folds."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from competition.core.equalise import equalised_quality
from competition.core.errors import UserError
from competition.core.files import fingerprint, temporary_folder
from competition.core.paths import located
from competition.core.settings import Config, Recipe
from competition.core.splits import BY_SOURCE
from competition.data.demo.draw import DemoPlan, draw_demo, foresee_demo, is_drawn
from competition.data.duplicates.copies import ImageSet
from competition.data.extra import Added
from competition.data.folds import JUDGED, TRAIN
from competition.data.images.stores import DataStore, StoreSpec
from competition.data.layouts.dataset import Dataset
from competition.data.layouts.read import layout_settings, read_dataset
from competition.data.pairs import partners


@dataclass(frozen=True)
class FoldedRows:
    """``train``: id, label, group, perhaps source (see data/layouts/dataset.py) and fold (see data/folds.py) of the
    training rows; ``test``: id of the test rows, in submission order."""

    train: pd.DataFrame
    test: pd.DataFrame

    @property
    def hold_out(self) -> bool:
        """Whether the data is split once rather than into folds."""
        return bool((self.train["fold"] == TRAIN).any())

    @property
    def judged_apart(self) -> bool:
        """Whether scores are about rows that no model was stopped or tuned on: the third part of a hold-out."""
        return self.hold_out and bool((self.train["fold"] == JUDGED).any())

    def fitted(self, fold: int | None) -> np.ndarray:
        """Return which training rows the model of ``fold`` learns from, (n,) bool; None is the model on all rows."""
        part = self.train["fold"].to_numpy()
        if fold is None:
            return np.ones(len(part), bool)
        return part == TRAIN if self.hold_out else part != fold

    def held(self, fold: int | None) -> np.ndarray:
        """Return which training rows the model of ``fold`` is validated on, (n,) bool."""
        return np.zeros(len(self.train), bool) if fold is None else (self.train["fold"] == fold).to_numpy()

    def predicted(self, fold: int | None) -> np.ndarray:
        """Return which training rows have their out-of-fold prediction from the model of ``fold``, (n,) bool."""
        return ~self.fitted(fold)


@dataclass(frozen=True)
class RunData(FoldedRows):
    """Rows with their images: ``train`` and ``test`` have a path and a row (in the stores), too.

    ``stores``: for each way of storing, the train and the test store. ``unreadable_test``: ids that no model can see.
    ``full_size``: rows of the whole train and test tables, before a dry run's limit. ``added``: train-only rows, of
    which nothing else here knows.
    """

    dataset: Dataset
    unreadable_test: list[str]
    stores: Mapping[StoreSpec, tuple[DataStore, DataStore]]
    full_size: tuple[int, int]
    notes: list[str] = field(default_factory=list)
    added: tuple[Added, ...] = ()

    @cached_property
    def table_key(self) -> str:
        """The fingerprint of the training ids, labels and groups, whatever their order."""
        return fingerprint(self.train[["id", "label", "group"]].sort_values("id").to_numpy().tolist())

    def of(self, recipe: Recipe) -> tuple[DataStore, DataStore]:
        """Return the train and the test store that a recipe reads."""
        return self.stores[store_spec(recipe, self.dataset.floating)]

    def added_of(self, recipe: Recipe) -> list[DataStore]:
        """Return the stores of the train-only rows that a recipe reads."""
        return [added.stores[store_spec(recipe, self.dataset.floating)] for added in self.added]

    def with_stores(self, moved: Callable[[Any], Any]) -> "RunData":
        """Return the same with each of its stores ``moved`` to another."""
        stores: Any = {spec: tuple(map(moved, pair)) for spec, pair in self.stores.items()}
        added = [
            dataclasses.replace(one, stores={spec: moved(store) for spec, store in one.stores.items()})
            for one in self.added
        ]
        return dataclasses.replace(self, stores=stores, added=tuple(added))

    def learnt(self, fold: int | None) -> pd.DataFrame:
        """Return id, label and row of all that the model of ``fold`` learns from: training rows, then train-only ones.

        Rows are those of the train store joined with the stores of :meth:`added_of`; they start with
        ``fitted(fold)``'s.
        """
        parts = [self.train.loc[self.fitted(fold), ["id", "label", "row"]]]
        start = len(next(iter(self.stores.values()))[0])
        for added in self.added:
            parts.append(added.tables[fold].assign(row=added.tables[fold]["row"] + start))
            start += len(added)
        return pd.concat(parts, ignore_index=True)

    def partners(self, fold: int | None) -> np.ndarray:
        """Return for each row of ``learnt(fold)`` the position of its pair's other row, or its own, (n,) int64.

        Train-only rows are single.
        """
        own = partners(self.train[self.fitted(fold)])
        return np.concatenate([own, np.arange(len(own), len(self.learnt(fold)))])

    def added_key(self, fold: int | None, recipe: Recipe) -> list[str]:
        """Return the fingerprint of the train-only rows that the model of ``fold`` learns from; none without any."""
        if not self.added:
            return []
        rows = self.learnt(fold)[int(self.fitted(fold).sum()) :]
        digests = [store.digest for store in self.added_of(recipe)]
        return [fingerprint(rows.to_numpy().tolist(), digests)] if len(rows) else []


def store_spec(recipe: Recipe, floating: bool = False) -> StoreSpec:
    """Return how the cache keeps images for a recipe: N x N pixels, or native size up to a cap, compressed or not."""
    if floating:
        return StoreSpec(0, 0)
    quality = equalised_quality(recipe.equalise)
    if recipe.store_size or recipe.fit == "resize":
        return StoreSpec(recipe.store_size or recipe.image_size, 0, quality)
    return StoreSpec(0, recipe.store_cap, quality)


def data_root(config: Config) -> Path:
    """Return the data's folder as an absolute path, so that a cache knows its files wherever the line is run."""
    if not config.data:
        raise UserError("There is no data: give data=FOLDER, or preset=demo for the embedded data set.")
    return located(config.data)


def read_tables(config: Config) -> Dataset:
    """Read the tables that ``config.data`` holds, drawing the demo first where it is requested and can be read."""
    root = data_root(config)
    foreseen_demo(config)  # which refuses what could not be read
    if config.demo.draw:
        draw_demo(root, _demo_plan(config))
    return read_dataset(root, layout_settings(config))


def foreseen_demo(config: Config) -> Dataset | None:
    """Return the tables of a demo that is to be drawn, as they will be but for the images' names; else None.

    Nothing is drawn. Raises UserError where it cannot be drawn, or not be read under these settings.
    """
    if not config.demo.draw or is_drawn(root := data_root(config), plan := _demo_plan(config)):
        return None
    with temporary_folder() as folder:
        foresee_demo(folder, plan)
        try:
            return read_dataset(folder, layout_settings(config))
        except UserError as error:
            raise UserError(str(error).replace(str(folder), str(root))) from None


def _demo_plan(config: Config) -> DemoPlan:
    demo = config.demo
    return DemoPlan(demo.seed, (demo.train_scenes, demo.test_scenes), demo.world, demo.sources)


def split_table(config: Config, train: pd.DataFrame) -> pd.DataFrame:
    """Return what folds are made of: ``train``, with its column ``source`` only where whole sources are held out."""
    return train if config.split == BY_SOURCE else train.drop(columns="source", errors="ignore")


def image_sets(data: RunData) -> tuple[ImageSet, ImageSet]:
    """Return what the train and the test store show, whatever the folds say of their rows."""
    stores, dataset = next(iter(data.stores.values())), data.dataset
    return (
        ImageSet(stores[0], list(dataset.train["path"]), "training images"),
        ImageSet(stores[1], list(dataset.test["path"]), "test images"),
    )


def gigabytes(store: DataStore) -> float:
    """Return what a store's pixels take, in 10^9 bytes."""
    return sum(math.prod(store.shape(row)) for row in range(len(store)) if row not in store.bad) / 1e9
