"""Kaggle CSV, class folders and pixel CSV: three layouts, one :class:`Dataset`.

The layout is seen from what lies in the folder, or named. Whatever is wrong with the folder or its tables is
reported in one sentence before anything is trained.
"""

from dataclasses import fields, replace
from pathlib import Path

from competition.core.errors import UserError, did_you_mean
from competition.core.settings import CHOICES, Config
from competition.core.text import listed
from competition.data.layouts.class_folders import class_folders, read_folders, train_folder
from competition.data.layouts.dataset import Dataset, LayoutSettings, check_apart
from competition.data.layouts.kaggle_csv import read_kaggle
from competition.data.layouts.labels import group_column, split_group
from competition.data.layouts.pixel_csv import is_pixel_csv, read_pixels
from competition.data.layouts.sources import source_column
from competition.data.layouts.test_files import submission_header

READERS = {"kaggle": read_kaggle, "folders": read_folders, "pixels": read_pixels}
BY_ITS_FILES = LayoutSettings()


def layout_settings(config: Config) -> LayoutSettings:
    """Return the run's settings of its data set's layout, with the declared part of its group rule."""
    own = {item.name: getattr(config, item.name) for item in fields(LayoutSettings)}
    return LayoutSettings(**own | {"group": split_group(config.group)[0]})


def read_dataset(root: Path, settings: LayoutSettings = BY_ITS_FILES) -> Dataset:
    """Read the data set in ``root``; no image is opened, and none needs to be there (:func:`check_files`).

    Raises ``UserError`` for anything that would make a table of ids, two classes and groups a guess.
    """
    if not root.is_dir():
        raise UserError(f"There is no folder {root}: name the data set's folder with data=.")
    layout = settings.layout
    if layout not in CHOICES["layout"]:
        raise UserError(f"layout={layout} is not a layout{did_you_mean(layout, CHOICES['layout'])}")
    columns = group_column(settings.group), source_column(settings.source)  # a misspelt rule raises first
    named = {settings.label_column, settings.id_column, *columns}
    if layout == "auto":
        layout = _detect(root, named)
    if layout != "folders" and not (root / "train.csv").is_file():
        raise UserError(f"There is no train.csv in {root}, only {_contents(root)}: name another data= or layout=.")
    dataset = READERS[layout](root, settings)
    check_apart(dataset)
    return replace(dataset, header=submission_header(root, dataset.header, settings.target))


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
