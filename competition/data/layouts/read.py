"""Kaggle CSV, class folders and pixel CSV: three layouts, one :class:`Dataset`.

The layout is seen from what lies in the folder, or named. Whatever is wrong with the folder or its tables is said
before anything is trained, as one sentence.
"""

from pathlib import Path

from competition.core.errors import UserError, did_you_mean
from competition.core.text import listed
from competition.data.layouts.class_folders import class_folders, read_folders, train_folder
from competition.data.layouts.dataset import Dataset, check_apart, check_files, limit_rows
from competition.data.layouts.kaggle_csv import read_kaggle
from competition.data.layouts.labels import group_column
from competition.data.layouts.pixel_csv import is_pixel_csv, read_pixels

__all__ = ["LAYOUTS", "Dataset", "check_files", "limit_rows", "read_dataset"]

LAYOUTS = ("auto", "kaggle", "folders", "pixels")


def read_dataset(
    root: Path,
    layout: str = "auto",
    label_column: str | None = None,
    id_column: str | None = None,
    positive: str | None = None,
    group: str = "none",
    image_shape: str | None = None,
) -> Dataset:
    """Read the data set in ``root``; no image is opened, and none needs to be there (:func:`check_files`).

    layout: ``kaggle`` (train.csv naming images), ``folders`` (a folder per class), ``pixels`` (train.csv of pixel
        values) or ``auto``.
    label_column, id_column: columns of train.csv, where their names are not usual ones.
    positive: the label or folder that is class 1, where it is neither ``1`` nor a usual word for "made by AI"
        (:data:`competition.data.layouts.labels.POSITIVE_NAMES`).
    group: rows that must share a fold: ``none``, ``pairs`` (rows 2k and 2k+1) or ``column:NAME``.
    image_shape: ``HEIGHTxWIDTHxCHANNELS`` of a pixel CSV whose images are not square.

    Raises ``UserError`` for anything that would make a table of ids, two classes and groups a guess.
    """
    root = Path(root)
    if not root.is_dir():
        raise UserError(f"There is no folder {root}: name the data set's folder with data=.")
    if layout not in LAYOUTS:
        raise UserError(f"layout={layout} is no layout{did_you_mean(layout, LAYOUTS)}")
    named = {label_column, id_column, group_column(group)}  # here, so that a misspelt rule is said first
    if layout == "auto":
        layout = _detect(root, named)
    if layout != "folders" and not (root / "train.csv").is_file():
        raise UserError(f"There is no train.csv in {root}, only {_contents(root)}: name another data= or layout=.")
    if layout == "kaggle":
        dataset = read_kaggle(root, label_column, id_column, positive, group)
    elif layout == "folders":
        dataset = read_folders(root, positive, group)
    else:
        dataset = read_pixels(root, label_column, id_column, positive, group, image_shape)
    check_apart(dataset)
    return dataset


def _detect(root: Path, named: set[str | None]) -> str:
    """Return the layout of ``root``. A train.csv goes before class folders, which may hold the images it names."""
    if (root / "train.csv").is_file():
        return "pixels" if is_pixel_csv(root / "train.csv", named) else "kaggle"
    names, in_train = class_folders(root), train_folder(root) != root
    # Folders beside a CSV other than train.csv are a download cut short more often than they are classes.
    if names and (not any(root.glob("*.csv")) or (in_train and len(names) == 2)):
        return "folders"
    raise UserError(
        f"{root} has neither a train.csv nor two folders of images, one for each class; it holds {_contents(root)}: "
        "name another data=, or the layout=."
    )


def _contents(root: Path) -> str:
    """Return the names in a folder for a message, folders with a slash."""
    names = sorted(path.name + "/" * path.is_dir() for path in root.iterdir() if path.name[0] != ".")
    return listed(names, 6) or "nothing"
