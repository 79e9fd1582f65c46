"""Train-only rows: what models learn from and are never judged on, so that no score, fold or table knows of them.

`extra=FOLDER` is one kind of them, confident test rows (training/pseudo_labels.py) another. Whatever shows a picture
that a model is to be judged on is left out, with a note.
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from competition.core.errors import UserError
from competition.core.paths import cache_folder, located
from competition.core.settings import Config
from competition.core.text import counted, listed
from competition.data.duplicates.copies import ImageSet, copied
from competition.data.images.stores import DataStore, StoreSpec
from competition.data.layouts.class_names import is_positive
from competition.data.layouts.dataset import Dataset, check_files
from competition.data.layouts.read import layout_settings, read_dataset


@dataclass(frozen=True)
class Added:
    """Train-only rows of one kind.

    ``kind``: ``extra`` or ``pseudo``. ``stores``: their pixels for each way of storing. ``tables``: for each fold, and
    None for the model on all rows, what its models learn from: id, label and row (in these stores). ``full_size``: the
    rows there are to choose from before a dry run's limit.
    """

    kind: str
    stores: Mapping[StoreSpec, DataStore]
    tables: Mapping[int | None, pd.DataFrame]
    full_size: int

    def __len__(self) -> int:
        """Return the number of rows in the stores, learnt from or not."""
        return len(next(iter(self.stores.values())))


def read_extra(config: Config, dataset: Dataset) -> Dataset:
    """Read the training rows of the folder ``config.extra``, whose layout need not be the data's; no test set.

    Raises UserError for a folder that is not a data set, lacks images, or holds other classes or another kind of pixels
    than ``dataset``.
    """
    root = located(config.extra)
    if not root.is_dir():
        raise UserError(f"There is no folder {root}: name one of labelled images with extra=, or leave it out.")
    extra = read_dataset(root, dataclasses.replace(layout_settings(config), layout="auto", group="none", source="none"))
    pixels = None if extra.pixels is None else (extra.pixels[0], extra.pixels[0][:0])
    extra = dataclasses.replace(extra, test=extra.test[:0], test_label=None, pixels=pixels)
    if not _same_classes(extra.classes, dataset.classes):
        raise UserError(
            f"extra={config.extra} has the classes {listed(extra.classes)} and the data "
            f"{listed(dataset.classes)}: name them alike, or name class 1 with positive=."
        )
    shapes = [None if one.pixels is None else one.pixels[0].shape[1:] for one in (dataset, extra)]
    if shapes[0] != shapes[1]:
        kinds = ["image files" if shape is None else "pixels of " + "x".join(map(str, shape)) for shape in shapes]
        raise UserError(f"extra={config.extra} holds {kinds[1]} and the data {kinds[0]}: give more of the same.")
    check_files(extra)
    return extra


def _same_classes(those: tuple[str, str], these: tuple[str, str]) -> bool:
    """Whether class 1 is the same thing in both: by its name, or by usual words for "made by AI" in both."""
    if [name.lower() for name in those] == [name.lower() for name in these]:
        return True
    return all(is_positive(one) and not is_positive(zero) for zero, one in (those, these))


def extra_rows(
    config: Config, extra: Dataset, images: ImageSet, train: ImageSet, test: ImageSet, kept: np.ndarray
) -> tuple[pd.DataFrame, list[str]]:
    """Return id, label and row of the training rows of ``extra`` that models may learn from, with notes.

    ``images`` shows them, row by row; copies of test and training images, and images that cannot be read, are left out.
    ``kept``: the rows of ``train``'s store that the run uses. Raises UserError where nothing is left.
    """
    table = extra.train.assign(row=np.arange(len(extra.train)))
    notes = _unreadable(config, table, images.store.bad)
    left_out = _left_out(images, train, test, kept, cache_folder(config))
    for what, rows in left_out.items():
        if rows.any():
            notes.append(
                f"{counted(int(rows.sum()), 'image')} of extra= left out: copies of {what} "
                f"({listed(table['id'][rows])})"
            )
    out = np.any(list(left_out.values()), axis=0)
    out[list(images.store.bad)] = True
    table = table.loc[~out, ["id", "label", "row"]].reset_index(drop=True)
    if table.empty:
        raise UserError(
            f"Nothing is left of extra={config.extra}, whose images are all in the data already: leave it out."
        )
    ones = int(table["label"].sum())
    zero, one = extra.classes
    notes.insert(
        0,
        f"extra={located(config.extra).name} adds {counted(len(table), 'image')} to what each model learns "
        f"from, {ones:,} '{one}' and {len(table) - ones:,} '{zero}'; no score counts them",
    )
    return table, notes


def _unreadable(config: Config, table: pd.DataFrame, bad: Mapping[int, str]) -> list[str]:
    if not bad:
        return []
    first = min(bad)
    sentence = f"{counted(len(bad), 'image')} of extra= cannot be read, first {table['path'][first]} ({bad[first]})"
    if config.bad_images == "error":
        raise UserError(f"{sentence}: replace them, or leave them out with bad_images=drop.")
    return [f"{sentence}; left out (bad_images=drop)"]


def _left_out(
    images: ImageSet, train: ImageSet, test: ImageSet, kept: np.ndarray, folder: Path
) -> dict[str, np.ndarray]:
    """Return which rows must not be learnt from, (n,) bool, by what they are copies of.

    A copy of a training image is left out of every fold, though it could harm but one: elsewhere it adds nothing.
    """
    part = np.full(len(train), -1)
    part[kept] = 0
    in_train = np.any(copied(images, train, part, folder), axis=1)
    in_test = np.any(copied(images, test, np.zeros(len(test), np.int64), folder), axis=1)
    return {
        "test images, whose labels no model may know": in_test,
        "training images, whose labels must stay unknown to the models judged on them": in_train & ~in_test,
    }
