"""Several stores as one, for rows that lie in different places but are trained on together."""

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from competition.data.images.stores import DataStore


class JoinedStore(DataStore):
    """Several stores as one: the rows of each after those of the one before. Nothing is copied."""

    def __init__(self, stores: Sequence[DataStore]):
        self.dtype = stores[0].dtype
        if any(store.dtype != self.dtype for store in stores):
            raise ValueError(f"stores of {', '.join(str(store.dtype) for store in stores)} cannot be joined")
        self._stores = tuple(stores)
        self._starts = np.cumsum([0, *map(len, stores)])
        self.cached = all(store.cached for store in stores)
        shapes = {store.common_shape for store in stores if len(store)}
        self.common_shape = shapes.pop() if len(shapes) == 1 else None
        starts = self._starts.tolist()
        self.bad = {
            start + row: reason
            for start, store in zip(starts, stores, strict=False)
            for row, reason in store.bad.items()
        }

    def __reduce__(self):
        return JoinedStore, (self._stores,)

    def __len__(self) -> int:
        return int(self._starts[-1])

    def _parts(self, rows: np.ndarray) -> np.ndarray:
        """Return which store holds each row."""
        outside = rows[(rows < 0) | (rows >= len(self))]
        if len(outside):
            raise IndexError(f"row {outside[0]}: rows count from 0 to {len(self) - 1}")
        return np.searchsorted(self._starts, rows, side="right") - 1

    def _place(self, row: int) -> tuple[DataStore, int]:
        """Return the store that holds a row, and the row there."""
        part = int(self._parts(np.array([row]))[0])
        return self._stores[part], int(row - self._starts[part])

    def __getitem__(self, row: int) -> np.ndarray:
        store, inside = self._place(row)
        return store[inside]

    def shape(self, row: int) -> tuple[int, ...]:
        store, inside = self._place(row)
        return store.shape(inside)

    def batch(self, rows: Sequence[int]) -> np.ndarray:
        """Return rows of one shape as a new (n, H, W, C), each store's in one gather."""
        places = np.asarray(rows, np.int64)
        owner = self._parts(places)
        held = {part: self._stores[part].batch(places[owner == part] - self._starts[part]) for part in np.unique(owner)}
        if len(held) == 1:
            return held.popitem()[1]
        shapes = {pixels.shape[1:] for pixels in held.values()}
        if len(shapes) > 1:
            raise ValueError(f"images of different sizes make no batch: {sorted(shapes)}")
        whole = np.empty((len(places), *shapes.pop()), self.dtype)
        for part, pixels in held.items():
            whole[owner == part] = pixels
        return whole

    @cached_property
    def digests(self) -> np.ndarray:
        return np.concatenate([store.digests for store in self._stores])
