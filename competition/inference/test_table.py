"""What is to be predicted: ids in the submission's order, where their images lie, and the submission's header."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from competition.core.errors import UserError
from competition.core.settings import Config
from competition.core.text import listed
from competition.data.layouts.class_folders import TEST, class_folders, images, images_to_predict, natural_order
from competition.data.layouts.csv_text import (
    FILE_COLUMNS,
    ID_COLUMNS,
    csv_rows,
    label_column_of,
    read_table,
    read_text,
    usual_column,
)
from competition.data.layouts.kaggle_csv import read_test
from competition.data.layouts.read import layout_settings, read_dataset
from competition.data.layouts.test_files import SAMPLES, submission_header
from competition.inference.run_record import Record


@dataclass(frozen=True)
class TestTable:
    """``ids`` in the order that the submission must have, with ``paths`` of their images, or ``pixels`` float32
    (m, H, W, C); ``header``: the submission's id column and label column."""

    __test__ = False  # not a test case, whatever pytest makes of the name

    ids: list[str]
    paths: list[str]
    pixels: np.ndarray | None
    header: tuple[str, str]


def read_test_table(root: Path, record: Record, config: Config) -> TestTable:
    """Return the test table in ``root``, laid out as the run's own data. Raises UserError where there is none."""
    test = find_test_table(root, record, config)
    if not test.ids:
        raise UserError(f"{root} holds no test images: name the folder of the test set with test=.")
    return test


def find_test_table(root: Path, record: Record, config: Config) -> TestTable:
    """Return the test table in ``root`` as :func:`read_test_table` does, or one without rows."""
    if not root.is_dir():
        raise UserError(f"There is no folder {root}: name the folder of the test set with test=.")
    if record.kind != "folders" and (header := _header_alone(root, record, config)):
        return TestTable([], [], None, submission_header(root, header, config.target))
    if record.kind == "pixels":  # train.csv says which column is which pixel
        dataset = read_dataset(root, dataclasses.replace(layout_settings(config), layout="pixels"))
        pixels = None if dataset.pixels is None else dataset.pixels[1]
        return TestTable(dataset.test["id"].tolist(), [], pixels, dataset.header)
    if record.kind == "folders":
        return _read_folders(root, config.target)
    test, header = read_test(root, config.id_column, _label_name(root, config))
    if header is None:
        raise UserError(f"{root} has neither a test.csv nor a {SAMPLES[0]}: name the folder that does with test=.")
    header = submission_header(root, header, config.target)
    return TestTable(test["id"].tolist(), test["path"].tolist(), None, header)


def _header_alone(root: Path, record: Record, config: Config) -> tuple[str, str] | None:
    """Return the submission's columns where the table of what to predict has a header and no rows, else None."""
    path = next((root / name for name in ("test.csv", *SAMPLES) if (root / name).is_file()), None)
    if path is None:
        return None
    rows = csv_rows(read_text(path), path)
    _, columns = next(rows)
    if next(rows, None) is not None:
        return None
    if config.id_column and config.id_column in columns:
        return config.id_column, _label_name(root, config)
    usual = "id" if record.kind == "pixels" else columns[0]
    return usual_column(columns, ID_COLUMNS + FILE_COLUMNS) or usual, _label_name(root, config)


def _label_name(root: Path, config: Config) -> str:
    """Return the label's column, by train.csv where it is there."""
    if not (root / "train.csv").is_file():
        return config.label_column or "label"
    train = read_table(root / "train.csv")
    return label_column_of(train.frame.columns, config.label_column, train.path)


def _read_folders(root: Path, target: str | None) -> TestTable:
    found = images_to_predict(root)
    if found is None and not class_folders(root):
        found = sorted(images(root, root), key=lambda image: natural_order(image[0])) or None
    if found is None:
        inside = listed(sorted(path.name for path in root.iterdir() if path.is_dir()), 6) or "no folder"
        raise UserError(
            f"{root} holds neither images nor a folder '{TEST[0]}' of them (it holds {inside}): name one that does "
            "with test=."
        )
    return TestTable([one for one, _ in found], [path for _, path in found], None, ("id", target or "label"))
