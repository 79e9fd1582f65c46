"""The files beside ``test.csv``: the form the answers must have, and, where known, the answers themselves."""

from pathlib import Path

import pandas as pd

from competition.core.errors import UserError, did_you_mean
from competition.core.text import counted, listed
from competition.data.layouts.csv_text import (
    FILE_COLUMNS,
    ID_COLUMNS,
    INDEX_COLUMNS,
    checked_ids,
    ids_and_files,
    label_column_of,
    read_table,
    usual_column,
)
from competition.data.layouts.dataset import table_of
from competition.data.layouts.labels import label_texts

SAMPLES = ("sample_submission.csv", "sampleSubmission.csv", "SampleSubmission.csv")


def read_sample(root: Path, test_ids: pd.Series | None) -> tuple[tuple[str, str], list[str]] | None:
    """Return the header and the ids of the sample submission, ``None`` where there is none.

    Its ids must be ``test_ids``, in any order, where these are known. Raises ``UserError``.
    """
    path = _sample(root)
    if path is None:
        return None
    table = read_table(path)
    columns = [name for name in table.frame.columns if name != usual_column(table.frame.columns, INDEX_COLUMNS)]
    if len(columns) != 2:
        raise UserError(
            f"{path} must have an id column and a label column and has {listed(table.frame.columns, 8)}: "
            "download it again."
        )
    id_name = usual_column(columns, ID_COLUMNS + FILE_COLUMNS) or columns[0]
    label_name = next(name for name in columns if name != id_name)
    ids = checked_ids(table.frame[id_name], path)
    if test_ids is not None:
        check_same_ids(ids, test_ids, path, "test.csv")
    return (id_name, label_name), list(ids)


def _sample(root: Path) -> Path | None:
    return next((root / name for name in SAMPLES if (root / name).is_file()), None)


def submission_header(root: Path, header: tuple[str, str], target: str | None) -> tuple[str, str]:
    """Return the submission's two columns, the second called ``target`` where that is given. Raises ``UserError`` where
    there is a sample submission that calls it otherwise."""
    path = _sample(root)
    if target and path and header[1] != target:
        raise UserError(f"target={target} is not the column of {path}, which is '{header[1]}': leave target= out.")
    return header[0], target or header[1]


def sample_probability(root: Path, column: str) -> str | None:
    """Return the first answer in the sample submission that is no whole number, such as 0.5; None where all are, and
    without a sample that has such a column."""
    path = _sample(root)
    frame = read_table(path).frame if path else None
    if frame is None or column not in frame.columns:
        return None
    return next((cell for cell in frame[column] if _is_fraction(cell)), None)


def _is_fraction(cell: str) -> bool:
    try:
        return "." in cell and 0 <= float(cell) <= 1
    except ValueError:
        return False


def check_same_ids(ids: pd.Series, test_ids: pd.Series, path: Path, other: str) -> None:
    """Raise ``UserError`` unless the ids in ``path`` are the test's, each once, in any order."""
    here, there = set(ids), set(test_ids)
    extra = [one for one in ids if one not in there]
    lacking = [one for one in test_ids if one not in here]
    if extra or lacking:
        problem = f"'{extra[0]}' is not in {other}" if extra else f"'{lacking[0]}' of {other} is not in it"
        raise UserError(
            f"The ids in {path} are not those of {other}: {problem} ({counted(len(extra) + len(lacking), 'such id')}): "
            "download both files again."
        )


def read_test_labels(
    root: Path, test_ids: pd.Series, label_name: str, classes: tuple[str, str], by_row: bool = False
) -> pd.DataFrame | None:
    """Return the known labels of the test set from ``test_labels.csv``, in the test's order; ``None`` without one.

    ``label_name`` and ``classes`` are the train set's. With ``by_row`` a file without an id column lists the labels in
    the test's order, as pixel CSVs do, which have no ids. Raises ``UserError``.
    """
    path = root / "test_labels.csv"
    if not path.is_file() or test_ids.empty:
        return None
    table = read_table(path)
    columns = list(table.frame.columns)
    column = label_name if label_name in columns else label_column_of(columns, None, path)
    labels = label_texts(table.frame[column], path)
    unknown = labels[~labels.isin(classes)]
    if len(unknown):
        raise UserError(
            f"{path}, line {unknown.index[0]}: '{unknown.iloc[0]}' is not a class of train.csv"
            f"{did_you_mean(unknown.iloc[0], classes)}"
        )
    if by_row and usual_column(columns, ID_COLUMNS) is None:
        if len(labels) != len(test_ids):
            raise UserError(
                f"{path} has {counted(len(labels), 'row')}, not the test set's {len(test_ids):,}: correct it."
            )
        ids = test_ids
    else:
        ids = ids_and_files(table, None, column)[0]
        check_same_ids(ids, test_ids, path, "the test set")
    by_id = dict(zip(ids, labels == classes[1], strict=True))
    return table_of(id=test_ids, label=[int(by_id[one]) for one in test_ids])
