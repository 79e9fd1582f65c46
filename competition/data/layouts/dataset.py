"""One table for every layout: which images there are, what is known of them, and what the submission must list.

Reading opens no image, so that a data set can be judged before it is downloaded; :func:`check_files` then reports
which images are missing.
"""

import os
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from competition.core.errors import UserError
from competition.core.text import counted, listed


@dataclass(frozen=True)
class Dataset:
    """A data set of two classes.

    kind: ``kaggle``, ``folders`` or ``pixels``.
    train: columns id (text), path (text; "" for pixels), label (int64, 0 or 1), group (text) and, where sources are
        known, source (text); index 0..n-1.
    test: columns id and path, in the order that the submission must have; without rows where there is no test set.
    test_label: columns id and label, in ``test``'s order, where the labels are known; only for the closing score.
    pixels: float32 (n, H, W, C) of train and of test; pixel CSV only.
    header: the submission's id column and label column.
    classes: the names of class 0 and class 1 in the data.
    """

    kind: str
    root: Path
    train: pd.DataFrame
    test: pd.DataFrame
    test_label: pd.DataFrame | None
    pixels: tuple[np.ndarray, np.ndarray] | None
    header: tuple[str, str]
    classes: tuple[str, str]

    @property
    def floating(self) -> bool:
        """Whether pixels are standardised floats (pixel CSV) rather than uint8."""
        return self.pixels is not None

    @property
    def channels(self) -> int:
        """The number of channels of every image."""
        return 3 if self.pixels is None else self.pixels[0].shape[-1]


@dataclass(frozen=True)
class LayoutSettings:
    """How a data set lies in its folder, as far as its files do not show it: see core/settings.py for each.

    ``group`` is the declared part of its rule: ``none``, ``pairs`` (rows 2k and 2k+1) or ``column:NAME``.
    """

    layout: str = "auto"
    label_column: str | None = None
    id_column: str | None = None
    positive: str | None = None
    group: str = "none"
    source: str = "none"
    image_shape: str | None = None
    target: str | None = None


class FolderNames(dict):
    """The names of what lies in each folder but for folders, listed once when first needed; none where there is none.

    What a link leads to is not looked at: whether it can be read shows when it is.
    """

    def __missing__(self, folder: str) -> frozenset[str]:
        try:
            with os.scandir(folder) as entries:
                self[folder] = frozenset(entry.name for entry in entries if not entry.is_dir(follow_symlinks=False))
        except OSError:
            self[folder] = frozenset()
        return self[folder]


def table_of(**columns: Iterable) -> pd.DataFrame:
    """Return a table with index 0..n-1: text columns, but ``label`` int64."""
    types = {name: "int64" if name == "label" else "str" for name in columns}
    return pd.DataFrame({name: pd.Series(list(values), dtype=types[name]) for name, values in columns.items()})


def check_apart(dataset: Dataset) -> None:
    """Raise ``UserError`` if two rows name one image file, in train, in test or across them.

    Ids may be the same in both, as where each set is numbered from 0: nothing joins train to test by id.
    """
    if dataset.kind == "pixels":
        return
    paths = pd.concat([dataset.train["path"], dataset.test["path"]], ignore_index=True)
    again = paths[paths.duplicated()]
    if len(again):
        raise UserError(
            f"{dataset.root} lists {counted(len(again), 'image file')} twice, in train, in test or in both, first "
            f"{again.iloc[0]}: list each once."
        )


def check_files(dataset: Dataset) -> None:
    """Raise ``UserError`` if images that the data set lists are not on disk: .15 s for 80,000, for it lists folders."""
    if dataset.kind == "pixels":
        return
    folders = FolderNames()
    paths = [*dataset.train["path"], *dataset.test["path"]]
    split = map(os.path.split, paths)
    missing = [path for path, (folder, name) in zip(paths, split, strict=True) if name not in folders[folder]]
    if missing:
        first = [os.path.relpath(path, dataset.root) for path in missing[:3]]
        raise UserError(
            f"{len(missing):,} of the {counted(len(paths), 'image')} listed are missing from {dataset.root}, "
            f"first {listed(first)}: put them there or name another data=."
        )


def limit_rows(dataset: Dataset, n: int, seed: int) -> Dataset:
    """Return the data set cut down for a dry run, in its own order.

    About ``n`` train rows: whole groups, drawn so that each class keeps its share (at least one group of each);
    at most ``n`` test rows, drawn without regard to labels, which a run may not look at.
    """
    if n < 2:
        raise UserError(f"limit={n} is too small a dry run: two classes need 2 rows or more.")
    rng = np.random.default_rng(seed)
    rows = _some_groups(dataset.train, n, rng)
    test = np.sort(rng.permutation(len(dataset.test))[:n])
    labels, pixels = dataset.test_label, dataset.pixels
    return replace(
        dataset,
        train=dataset.train.iloc[rows].reset_index(drop=True),
        test=dataset.test.iloc[test].reset_index(drop=True),
        test_label=None if labels is None else labels.iloc[test].reset_index(drop=True),
        pixels=None if pixels is None else (pixels[0][rows], pixels[1][test]),
    )


def _some_groups(train: pd.DataFrame, n: int, rng: np.random.Generator) -> np.ndarray:
    """Return the positions of about ``n`` rows: from groups of zeros, of ones and of both, the same share of each."""
    if n >= len(train):
        return np.arange(len(train))
    groups = train.groupby("group")["label"].agg(["size", "min", "max"]).sort_index()
    chosen = []
    for _, stratum in groups.groupby(["min", "max"]):
        stratum = stratum.iloc[rng.permutation(len(stratum))]
        quota = stratum["size"].sum() * n / len(train)
        # A group belongs if its middle row does: the sum then misses the quota by half a group at most.
        inside = stratum["size"].cumsum() - stratum["size"] / 2 <= quota
        inside.iloc[0] = True
        chosen.extend(stratum.index[inside])
    return np.flatnonzero(train["group"].isin(chosen))
