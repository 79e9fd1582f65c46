"""Class folders: the label of an image is the folder it lies in, as in CIFAKE's ``train/REAL`` and ``train/FAKE``.

An id is the image's path relative to the root. Hidden files and folders, and folders beside ``train`` and ``test``
(``valid``, say), are not read.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from competition.core.errors import UserError
from competition.core.text import listed
from competition.data.images.find import HIDDEN, image_files
from competition.data.layouts.class_names import two_classes
from competition.data.layouts.dataset import Dataset, LayoutSettings, table_of
from competition.data.layouts.labels import group_column
from competition.data.layouts.sources import folder_sources

TRAIN, TEST = ("train", "training", "train_set"), ("test", "testing", "test_set")


def read_folders(root: Path, settings: LayoutSettings) -> Dataset:
    """Read ``train/<two classes>`` with ``test/``, labelled or not, or two class folders in the root itself.

    See :func:`data.layouts.read.read_dataset`.
    """
    if group_column(settings.group) or settings.group != "none":
        raise UserError(
            f"group={settings.group} needs the rows of a train.csv; {root} has class folders: leave group out."
        )
    base, test_folder = train_folder(root), _folder(root, TEST)
    found_in = {name: list(images(base / name, root)) for name in class_folders(root)}
    empty = [name for name, found in found_in.items() if not found]
    if empty:
        raise UserError(f"{base / empty[0]} holds no images: put them there or remove the folder.")
    classes = two_classes(list(found_in), settings.positive, base)
    label_of = {classes[0]: 0, classes[1]: 1}
    rows = [(*image, label_of[name]) for name, found in found_in.items() for image in found]
    ids, paths, labels = zip(*sorted(rows, key=lambda row: natural_order(row[0])), strict=True)
    sources = folder_sources(settings.source, ids, base, root)
    train = table_of(id=ids, path=paths, label=labels, group=ids, **sources)
    test, known = _read_test(root, test_folder, label_of)
    return Dataset("folders", root, train, test, known, None, ("id", "label"), classes)


def class_folders(root: Path) -> list[str]:
    """Return the names of the folders that are classes: those in ``train``, else those in the root but the test's.

    In the root itself a folder without images is none: it may hold anything.
    """
    base, test_folder = train_folder(root), _folder(root, TEST)
    names = [name for name in _subfolders(base) if base / name != test_folder]
    return names if base != root else [name for name in names if next(images(base / name, root), None)]


def check_new_class(root: Path, name: str) -> None:
    """Raise ``UserError`` unless images in the folder ``name`` of ``root``, there or not, will be those of a class."""
    if name.lower() in TRAIN + TEST:
        raise UserError(f"label={name} names a part of a data set, not a class: say what the images are, as label=ai.")
    if not root.exists():
        return
    if not root.is_dir():
        raise UserError(f"out={root} is a file: name a folder.")
    if (base := train_folder(root)) != root:
        raise UserError(f"out={root} holds the folder {base.name}, whose classes are read: name out={base}.")
    if other := next(root.glob("*.csv"), None):
        raise UserError(f"out={root} holds {other.name}, so it is another data set: name a folder of its own.")
    if twin := next((one for one in _subfolders(root) if one != name and one.lower() == name.lower()), None):
        raise UserError(f"out={root} has '{twin}' already: write label={twin}.")


def natural_order(text: str) -> tuple[list, str]:
    """Return a sort key by which ``a (2)`` comes before ``a (10)``; the text itself settles ``1`` against ``01``."""
    pieces = re.split("([0-9]+)", text)
    return [int(piece) if odd % 2 else piece for odd, piece in enumerate(pieces)], text


def _read_test(root: Path, folder: Path | None, label_of: dict[str, int]) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Return the test's table, and its labels where its folders are the train's classes."""
    found = images_to_predict(root) or []
    ids = [one for one, _ in found]
    test = table_of(id=ids, path=[path for _, path in found])
    # The second part of an id is the class folder, or the image itself where there is none.
    folded = {name.lower(): label for name, label in label_of.items()}
    insides = [one.split("/")[1].lower() for one in ids]
    unknown = [one for one, inside in zip(ids, insides, strict=True) if inside not in folded]
    if len(unknown) == len(ids):
        return test, None
    if unknown:
        raise UserError(
            f"{folder} holds images both in the class folders {listed(label_of)} and outside of them, first "
            f"'{unknown[0]}': put all into class folders or none."
        )
    return test, table_of(id=ids, label=[folded[inside] for inside in insides])


def images_to_predict(root: Path) -> list[tuple[str, str]] | None:
    """Return (id, path) of each image of the test set in the order of a submission, or None without such a folder."""
    folder = _folder(root, TEST)
    return None if folder is None else sorted(images(folder, root), key=lambda image: natural_order(image[0]))


def train_folder(root: Path) -> Path:
    """Return the folder that holds the class folders: ``train`` in the root, else the root itself."""
    return _folder(root, TRAIN) or root


def _folder(root: Path, names: tuple[str, ...]) -> Path | None:
    """Return the folder in ``root`` with one of these names, whatever its case."""
    found = {name.lower(): root / name for name in _subfolders(root)}
    return next((found[name] for name in names if name in found), None)


def _subfolders(folder: Path) -> list[str]:
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(HIDDEN))


def images(folder: Path, root: Path) -> Iterator[tuple[str, str]]:
    """Yield (id, path) of each image in ``folder``, however deep; ``UserError`` for a name that no CSV can hold."""
    start = folder.relative_to(root)
    for path in image_files(folder):
        one = os.path.normpath(f"{start}{path[len(str(folder)) :]}").replace(os.sep, "/")
        if re.search("[\r\n\ud800-\udfff]", one):
            raise UserError(f"The file name {one!r} in {root} holds a line break or is not UTF-8: rename the file.")
        yield one, path
