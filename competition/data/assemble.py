"""From tables to everything a run reads: decoded, folded, and checked before anything is trained."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import pandas as pd

from competition.core.errors import UserError
from competition.core.files import fingerprint
from competition.core.paths import FOLDS_FILE, cache_folder, run_folder
from competition.core.settings import Config
from competition.core.splits import BY_SOURCE
from competition.core.text import printable
from competition.data.duplicates.copies import ImageSet
from competition.data.extra import Added, extra_rows, read_extra
from competition.data.folds import make_folds, open_folds
from competition.data.images.cache import open_stores
from competition.data.images.file_contents import forget
from competition.data.images.stores import ArrayStore, DataStore, StoreSpec
from competition.data.layouts.dataset import Dataset, limit_rows
from competition.data.run_data import RunData, gigabytes, image_sets, split_table, store_spec
from competition.data.source_folds import source_notes
from competition.data.tta import needs_padding


def assemble(
    config: Config,
    dataset: Dataset,
    regroup: Callable[[Dataset], Dataset] = lambda dataset: dataset,
    folds_from: Callable[[pd.DataFrame], pd.DataFrame] | None = None,
) -> RunData:
    """Check, decode and fold the data of :func:`read_tables`. Raises UserError for whatever the user must change.

    Of the run's folder nothing is written here; ``overwrite`` stands for new folds, and for a look into every file.
    ``regroup`` may give the rows that are used other groups; ``folds_from`` is :func:`open_folds`'s.
    """
    full_size = (len(dataset.train), len(dataset.test))
    extra = read_extra(config, dataset) if config.extra else None
    if config.limit:
        dataset = limit_rows(dataset, config.limit, config.seed)
    dataset = regroup(dataset)
    stores = _open_stores(config, dataset)
    train_store, test_store = next(iter(stores.values()))
    notes: list[str] = []
    train = dataset.train.assign(row=np.arange(len(dataset.train)))
    train = _without_unreadable(train, train_store.bad, config.bad_images, notes)
    test = dataset.test.assign(row=np.arange(len(dataset.test)))
    unreadable = [str(test["id"][row]) for row in sorted(test_store.bad)]
    if unreadable:
        notes.append(
            f"{len(unreadable)} test images cannot be read and get label {config.fallback}: "
            f"{printable(', '.join(unreadable[:3]))} (and probability .5 in figures)"
        )
    folds = _open_folds(config, train, folds_from)
    train = train.assign(fold=folds["fold"].to_numpy())
    if not all(store.cached for pair in stores.values() for store in pair):
        notes.append(
            f"decoded images take more than the {config.cache_gb:g} GB that cache_gb leaves for them, so some are "
            "decoded in every epoch"
        )
    notes += _padding(config, stores)
    notes += source_notes(train, dataset.classes) if config.split == BY_SOURCE else []
    data = RunData(train, test, dataset, unreadable, stores, full_size, notes)
    notes += _stopped_early(config, data)
    return _with_extra(config, data, extra) if extra else data


def _with_extra(config: Config, data: RunData, extra: Dataset) -> RunData:
    full_size = len(extra.train)
    if config.limit:
        extra = limit_rows(extra, config.limit, config.seed)
    paths, stores = list(extra.train["path"]), dict[StoreSpec, DataStore]()
    if extra.pixels is not None:
        stores = dict.fromkeys(data.stores, ArrayStore(extra.pixels[0], fingerprint(extra.pixels[0])))
    else:
        cached = [store for pair in data.stores.values() for store in pair if store.cached]
        left = config.cache_gb - sum(map(gigabytes, cached))
        stores = open_stores(paths, data.stores, cache_folder(config), max(0.0, left), "extra images")
    images = ImageSet(next(iter(stores.values())), paths, "extra images")
    table, notes = extra_rows(config, extra, images, *image_sets(data), data.train["row"].to_numpy())
    added = Added("extra", stores, dict.fromkeys([*range(config.parts), None], table), full_size)
    return dataclasses.replace(data, added=(added,), notes=[*data.notes, *notes])


def _open_stores(config: Config, dataset: Dataset) -> dict[StoreSpec, tuple[DataStore, DataStore]]:
    if dataset.pixels is not None:
        train_pixels, test_pixels = (ArrayStore(pixels, fingerprint(pixels)) for pixels in dataset.pixels)
        return {StoreSpec(0, 0): (train_pixels, test_pixels)}
    specs = list(dict.fromkeys(store_spec(recipe) for recipe in config.members.values()))
    folder = cache_folder(config)
    if config.overwrite:
        for table in (dataset.train, dataset.test):
            forget(folder, list(table["path"]))
    train = open_stores(list(dataset.train["path"]), specs, folder, config.cache_gb, "training images")
    left = config.cache_gb - sum(gigabytes(store) for store in train.values() if store.cached)
    test = open_stores(list(dataset.test["path"]), specs, folder, max(0.0, left), "test images")
    return {spec: (train[spec], test[spec]) for spec in specs}


def _open_folds(
    config: Config, train: pd.DataFrame, folds_from: Callable[[pd.DataFrame], pd.DataFrame] | None
) -> pd.DataFrame:
    path, train = run_folder(config.name) / FOLDS_FILE, split_table(config, train)
    if config.overwrite:
        return make_folds(train, config.folds, config.seed, config.shares)
    return open_folds(path, train, config.folds, config.seed, config.shares, folds_from)


def _without_unreadable(train: pd.DataFrame, bad: Mapping[int, str], policy: str, notes: list[str]) -> pd.DataFrame:
    if not bad:
        return train
    first = min(bad)
    sentence = f"{len(bad)} training images cannot be read, the first is {train['path'][first]} ({bad[first]})"
    if policy == "error":
        raise UserError(f"{sentence}: replace them, or leave them out with bad_images=drop.")
    notes.append(f"{sentence}; left out (bad_images=drop)")
    return train.drop(index=sorted(bad)).reset_index(drop=True)


def _stopped_early(config: Config, data: RunData) -> list[str]:
    """Say which scores are flattered by early stopping: those on the very rows that chose the epoch."""
    members = [name for name, recipe in config.members.items() if recipe.patience]
    if not members or data.judged_apart:
        return []
    return [
        f"early stopping (patience) chose the epoch of {', '.join(members)} on the rows that judge it, which "
        "flatters the score: split=holdout with three shares does not"
    ]


def _padding(config: Config, stores: Mapping[StoreSpec, tuple[DataStore, DataStore]]) -> list[str]:
    """Say once, for each crop size, that some images are smaller and get a mirrored border."""
    notes = {}
    for recipe in config.members.values():
        pair = stores.get(store_spec(recipe), next(iter(stores.values())))
        if recipe.fit == "crop" and recipe.image_size not in notes:
            small = sum(
                needs_padding(store.shape(row), recipe.image_size)
                for store in pair
                for row in range(len(store))
                if row not in store.bad
            )
            notes[recipe.image_size] = small
    return [
        f"{n} images are smaller than the {size}-pixel crop and get a mirrored border" for size, n in notes.items() if n
    ]
