"""How a run's data get to a node: what lies there already is used, images that lie there are decoded there, and the
rest travels: decoded pixels, features and weights, each once, known by its content.

A run's tables travel with every job as :class:`RunData` whose stores are :class:`StoreAway`.
"""

import os
import shutil
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from competition.core.files import DRAFT, file_digest
from competition.core.settings import Config
from competition.data.images.cache import SPARE_GB, open_stores
from competition.data.images.stores import DataStore, DecodingStore, PixelStore, StoreSpec
from competition.data.run_data import RunData, data_root


@dataclass(frozen=True)
class Parcel:
    """What travels as one: a file or a folder of the cache called ``name``, which says what is in it.

    ``files``: what it is made of, each as (its path below the cache, beginning with the name; where it lies here; its
    size in bytes).
    """

    name: str
    files: tuple[tuple[str, str, int], ...]

    @property
    def size(self) -> int:
        """The bytes of all its files."""
        return sum(size for _, _, size in self.files)

    @classmethod
    def of(cls, name: str, files: Mapping[str, Path]) -> "Parcel":
        """Return the parcel of these files, by their paths below the cache."""
        return cls(name, tuple((place, str(path.resolve()), path.stat().st_size) for place, path in files.items()))


@dataclass(frozen=True)
class StoreAway:
    """A store of image files, to be opened on another machine.

    ``paths``: the files, as they are called here, where it is known which they are; ``cached``: whether it holds
    pixels, or the images themselves are needed to decode them at every access.
    """

    parcel: Parcel
    spec: StoreSpec
    cached: bool
    paths: tuple[str, ...]
    bad_paths: tuple[tuple[int, str], ...]

    def open(self, cache: Path, paths: Sequence[str]) -> DataStore:
        """Return the store, which has come to the ``cache``; ``paths``: its files as they are called there."""
        folder = cache / self.parcel.name
        if self.cached:
            return PixelStore(folder, dict(self.bad_paths))
        return DecodingStore(folder, dict(self.bad_paths), paths, self.spec)


def packed(data: RunData) -> RunData:
    """Return a run's data with a :class:`StoreAway` for each store of image files; other stores travel as they are."""
    files = {}
    for spec, pair in data.stores.items():
        for store, table in zip(pair, (data.dataset.train, data.dataset.test), strict=True):
            if isinstance(store, PixelStore | DecodingStore):
                files[id(store)] = spec, tuple(map(str, table["path"]))

    def away(store: DataStore) -> DataStore | StoreAway:
        if not isinstance(store, PixelStore | DecodingStore):
            return store
        spec, paths = files.get(id(store)) or (StoreSpec(0), ())
        name = store.folder.name
        inside = {f"{name}/{path.name}": path for path in sorted(store.folder.iterdir()) if path.is_file()}
        return StoreAway(Parcel.of(name, inside), spec, store.cached, paths, tuple(store.bad_paths.items()))

    return data.with_stores(away)


def stores_away(data: RunData) -> list[StoreAway]:
    """Return the stores of packed data that have to be opened on a node, each once."""
    stores: list[Any] = [store for pair in data.stores.values() for store in pair]
    stores += [store for added in data.added for store in added.stores.values()]
    return list(dict.fromkeys(store for store in stores if isinstance(store, StoreAway)))


def opened(data: RunData, config: Config, cache: Path) -> RunData:
    """Return packed data with their stores opened on this node, to which all that was missing has come."""

    def here(store: DataStore | StoreAway) -> DataStore:
        return store.open(cache, moved_paths(config, store.paths)) if isinstance(store, StoreAway) else store

    return data.with_stores(here)


def missing(config: Config, stores: Sequence[StoreAway], others: Iterable[Parcel], cache: Path) -> list[Parcel]:
    """Return what has yet to come to this node, having decoded what can be from images that lie here.

    ``others``: parcels that are needed beside the stores. Raises FileNotFoundError for an image that has to lie here,
    because it is decoded at every access, and does not.
    """
    for store in stores:
        if not store.cached:
            names = moved_paths(config, store.paths)
            if gone := next((name for name in names if not os.path.exists(name)), None):
                raise FileNotFoundError(gone)
    left = [store for store in stores if not (cache / store.parcel.name).exists()]
    for paths in dict.fromkeys(store.paths for store in left if store.cached and store.paths):
        names = moved_paths(config, paths)
        if all(map(os.path.exists, names)):
            specs = [store.spec for store in left if store.paths == paths and store.cached]
            open_stores(names, specs, cache, config.cache_gb, "images on the node")
    parcels = dict.fromkeys([*(store.parcel for store in left), *others])
    return [parcel for parcel in parcels if not (cache / parcel.name).exists()]


def moved_paths(config: Config, paths: Sequence[str]) -> list[str]:
    """Return the images' paths on a node: below ``ray.data`` where that is named, else the same as here."""
    if not config.ray.data:
        return list(paths)
    root, there = str(data_root(config)), config.ray.data
    return [there + path.removeprefix(root) if path.startswith(root) else path for path in paths]


def room(parcels: Sequence[Parcel], cache: Path) -> float:
    """Return the bytes that a node's disk has beyond these parcels and what is to stay free; negative: they lack."""
    cache.mkdir(parents=True, exist_ok=True)
    return shutil.disk_usage(cache).free - sum(parcel.size for parcel in parcels) - SPARE_GB * 1e9


def draft_name(parcel: Parcel) -> str:
    """Return the name of a folder in which a parcel's files gather until all are there."""
    return f".{parcel.name}.{uuid.uuid4().hex}{DRAFT}"


def publish(parcel: Parcel, digests: Mapping[str, str], draft_path: str, cache_path: str) -> str:
    """Put a parcel that has come whole in its place; returns the file that has not, or nothing."""
    draft, cache = Path(draft_path), Path(cache_path)
    for place, digest in digests.items():
        if file_digest(draft / place) != digest:
            shutil.rmtree(draft)
            return place
    if not (cache / parcel.name).exists():  # another run may have brought it meanwhile
        os.replace(draft / parcel.name, cache / parcel.name)
    shutil.rmtree(draft, ignore_errors=True)
    return ""
