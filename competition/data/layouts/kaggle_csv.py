"""The Kaggle layout: ``train.csv`` names images and labels, ``test.csv`` or ``sample_submission.csv`` what to predict.

Ids stay as the files spell them, folder prefix included, for that is what the submission must list; where an id lacks
its folder or its extension, the image is looked for in the usual places.
"""

import os
import posixpath
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from competition.data.images.formats import IMAGE_EXTENSIONS
from competition.data.layouts.csv_text import ids_and_files, label_column_of, read_table
from competition.data.layouts.dataset import Dataset, FolderNames, LayoutSettings, table_of
from competition.data.layouts.labels import encode, group_rows, label_texts
from competition.data.layouts.sources import column_sources
from competition.data.layouts.test_files import read_sample, read_test_labels

_EXTENSIONS = tuple(spelling for extension in IMAGE_EXTENSIONS for spelling in (extension, extension.upper()))


def read_kaggle(root: Path, settings: LayoutSettings) -> Dataset:
    """Read the tables in ``root``; the images need not be there. See :func:`data.layouts.read.read_dataset`."""
    table = read_table(root / "train.csv")
    label_name = label_column_of(table.frame.columns, settings.label_column, table.path)
    ids, files = ids_and_files(table, settings.id_column, label_name)
    texts = label_texts(table.frame[label_name], table.path)
    labels, classes = encode(texts, settings.positive, table.path)
    beside = {"group": group_rows(settings.group, table, ids), **column_sources(settings.source, table)}
    train = table_of(id=ids, path=find_images(root, files, "train"), label=labels, **beside)

    test, header = read_test(root, settings.id_column, label_name)
    known = read_test_labels(root, test["id"], label_name, classes)
    return Dataset("kaggle", root, train, test, known, None, header or (ids.name, label_name), classes)


def read_test(root: Path, id_column: str | None, label_name: str) -> tuple[pd.DataFrame, tuple[str, str] | None]:
    """Return what is to be predicted, as id and path in the submission's order, and the submission's two columns.

    The sample submission decides both, where there is one; no rows and None where there is no ``test.csv`` either.
    """
    test, header = table_of(id=[], path=[]), None
    if (root / "test.csv").is_file():
        table = read_table(root / "test.csv")
        # train.csv and test.csv may name their ids differently (file_name and id): id_column= then names the former.
        ids, files = ids_and_files(table, id_column if id_column in table.frame.columns else None, label_name)
        test, header = table_of(id=ids, path=find_images(root, files, "test")), (str(ids.name), label_name)
    sample = read_sample(root, test["id"] if len(test) else None)
    if sample is not None:
        header, order = sample
        by_id = test if len(test) else table_of(id=order, path=find_images(root, order, "test"))
        test = by_id.set_index("id", drop=False).loc[order].reset_index(drop=True)
    return test, header


def find_images(root: Path, names: Iterable[str], part: str) -> list[str]:
    """Return the path of the image that each name means; ``root/name`` for one that is nowhere to be found.

    A name is looked for as it stands, then with the usual extensions, first in ``root``, then in the folders whose
    name starts with ``part`` ("train" or "test") or is one of the usual ones (``images``, ``data``).
    """
    bases = [str(root), *_usual_folders(root, part)]
    folders, places, paths = FolderNames(), {}, []
    for name in names:
        head, tail = posixpath.split(name)
        if head not in places:
            places[head] = [os.path.join(base, head) if head else base for base in bases]
        full = posixpath.splitext(tail)[1].lower() in IMAGE_EXTENSIONS
        tails = [tail] if full else [tail, *(tail + extension for extension in _EXTENSIONS)]
        there = (os.path.join(place, one) for place in places[head] for one in tails if one in folders[place])
        paths.append(next(there, os.path.join(root, name)))
    return paths


def _usual_folders(root: Path, part: str) -> list[str]:
    """Return the folders in ``root`` in which images of ``part`` may lie, those named after it first."""
    inside = sorted(entry.name for entry in os.scandir(root) if entry.is_dir())
    named = [name for name in inside if name.lower().startswith(part)]
    common = [name for name in inside if name.lower() in ("images", "image", "imgs", "img", "data")]
    folders = []
    for name in named + common:
        nested = (root / name / part, root / name / "images", root / name / name)
        folders += [str(folder) for folder in (*nested, root / name) if folder.is_dir()]
    return folders
