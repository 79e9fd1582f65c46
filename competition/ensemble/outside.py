"""Members whose predictions come from files: anyone's code made them, and they are blended by id.

A folder holds ``oof.csv`` and ``test.csv``, each with an id and a column of probabilities or of logits, or ``oof.npy``
and ``test.npy`` beside ``oof_ids.txt`` and ``test_ids.txt``, an id in each line. An oof.csv may hold the row's fold and
label, which are then checked.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from competition.core.errors import UserError
from competition.core.files import fingerprint
from competition.core.intact import NO_ARRAYS
from competition.core.paths import located
from competition.core.settings import Config
from competition.core.text import counted, listed
from competition.data.folds import crosses_folds
from competition.data.layouts.csv_text import (
    ID_COLUMNS,
    LABEL_COLUMNS,
    Table,
    checked_ids,
    ids_and_files,
    read_table,
    read_text,
    usual_column,
)
from competition.data.layouts.dataset import Dataset
from competition.data.run_data import FoldedRows
from competition.inference.oof import Predictions
from competition.scoring.arrays import Floats, sigmoid
from competition.scoring.metrics import auc

PROBS = ("prob", "probability", "proba", "p", "score", "prediction", "pred")
LOGITS = ("logit", "logits")
FOLD, LABEL = "fold", "label"
MIN_Z = 2.0  # standard errors that the AUC must lie above chance


@dataclass(frozen=True)
class Outsider:
    """One such member. ``oof`` and ``test``: probabilities of class 1 by id. ``fold``: by id, which of its maker's
    models judged a row; None where the files do not say."""

    folder: Path
    oof: pd.Series
    test: pd.Series
    fold: pd.Series | None

    @property
    def digest(self) -> str:
        """The fingerprint of what was read."""
        return fingerprint(self.oof.sort_index().to_dict(), self.test.sort_index().to_dict())

    def predictions(self, data: FoldedRows, folds: int) -> Predictions:
        """Return the predictions in the order of ``data``; each of so many ``folds`` is given the same test rows."""
        test = self.test[data.test["id"]].to_numpy()
        return Predictions(self.oof[data.train["id"]].to_numpy(), test, np.tile(test, (folds, 1)))


def read_outsiders(config: Config, dataset: Dataset) -> dict[str, Outsider]:
    """Return the members that ``config.predictions`` names. Raises UserError for files that cannot be joined to the
    ``dataset`` by id, row by row, and for predictions that tell nothing of its labels."""
    if twice := config.predictions.keys() & config.members.keys():
        raise UserError(f"predictions.{min(twice)} bears the name of a member that is trained: choose another.")
    found = {}
    for name, place in config.predictions.items():
        folder = located(place)
        oof, test = (
            _joined(_read(folder, part, config), rows["id"], f"{part} row of {dataset.root.name}")
            for part, rows in (("oof", dataset.train), ("test", dataset.test))
        )
        label = dataset.train.set_index("id")["label"]
        _check_labels(folder, oof, label)
        _check_tells(folder, oof["prob"], label)
        fold = oof[FOLD] if FOLD in oof and oof[FOLD].nunique() > 1 else None
        found[name] = Outsider(folder, oof["prob"], test["prob"], fold)
        _check_unseen(found[name], dataset.train)
    return found


def outside_notes(config: Config, outsiders: Mapping[str, Outsider], data: FoldedRows) -> list[str]:
    """Return notes on what these members leave unknown. UserError for the first row that was judged by a model that had
    learned from the row's group, as the folds of an oof.csv say."""
    notes = []
    if outsiders and config.threshold_on == "web":
        notes.append(f"the threshold is tuned on clean images: degraded ones are not known to {', '.join(outsiders)}")
    for name, one in outsiders.items():
        if one.fold is None:
            notes.append(f"the folds of {name} are unknown, so its score, and that of a blend with it, may flatter")
        _check_unseen(one, data.train)  # whose groups may be those that the audit found
    return notes


def _check_unseen(one: Outsider, train: pd.DataFrame) -> None:
    """Raise UserError for the first row that was judged by a model that had learned from its group in ``train``."""
    if one.fold is None:
        return
    seen = crosses_folds(one.fold[train["id"]], train["group"])
    if seen.any():
        row = train[seen].iloc[0]
        raise UserError(
            f"{one.folder}: '{row['id']}' was judged by a model that had learned from its group '{row['group']}' "
            f"({counted(int(seen.sum()), 'such row')}): split the rows as folds.csv does, or drop its column fold, and "
            "the score is marked as one that may flatter."
        )


def _read(folder: Path, part: str, config: Config) -> pd.DataFrame:
    """Return a part's predictions as ``prob``, and its fold and label where they stand there, by id."""
    arrays, path = folder / f"{part}.npy", folder / f"{part}.csv"
    if arrays.exists() and not path.exists():
        ids_path = folder / f"{part}_ids.txt"
        lines = pd.Series(read_text(ids_path).splitlines())
        ids = checked_ids(lines.set_axis(lines.index + 1), ids_path)
        return pd.DataFrame({"prob": _array(arrays, len(ids))}, index=pd.Index(ids, name="id"))
    table = read_table(path)
    column, is_logit = _value_column(table, config)
    value = pd.to_numeric(table.frame[column], errors="coerce").to_numpy(np.float64)
    if (bad := ~np.isfinite(value) | (not is_logit and ((value < 0) | (value > 1)))).any():
        line = table.frame.index[bad][0]
        kind = "a number" if is_logit else "a probability (logits go into a column of that name)"
        raise UserError(f"{path}, line {line}: {column} holds '{table.frame[column][line]}', which is not {kind}.")
    ids, _ = ids_and_files(table, config.id_column if config.id_column in table.frame else None, column)
    found = pd.DataFrame({"prob": sigmoid(value) if is_logit else value}, index=pd.Index(ids.to_numpy(), name="id"))
    for key, names in ((FOLD, (FOLD,)), (LABEL, LABEL_COLUMNS)):
        if (one := usual_column(table.frame.columns, names)) and one != column:
            found[key] = table.frame[one].to_numpy()
    return found


def _value_column(table: Table, config: Config) -> tuple[str, bool]:
    """Return the column of predictions, and whether it holds logits; UserError where it cannot be told."""
    columns = table.frame.columns
    for names, is_logit in ((PROBS, False), (LOGITS, True)):
        if (found := usual_column(columns, names)) is not None:
            return found, is_logit
    known = {usual_column(columns, ID_COLUMNS), usual_column(columns, LABEL_COLUMNS), FOLD, config.id_column, "group"}
    left = [column for column in columns if column not in known]
    left = [column for column in left if pd.to_numeric(table.frame[column], errors="coerce").notna().all()]
    if len(left) != 1:
        raise UserError(
            f"{table.path} has no column that is surely its predictions among {listed(columns, 8)}: call it prob, or "
            "logit."
        )
    return left[0], False


def _array(path: Path, rows: int) -> Floats:
    """Return (rows,) probabilities; of two columns the second is class 1's."""
    try:
        value = np.load(path, allow_pickle=False).astype(np.float64)
    except NO_ARRAYS as error:
        raise UserError(
            f"{path} is not an array of numbers ({type(error).__name__}): save it with numpy.save."
        ) from error
    value = value[:, -1] if value.ndim == 2 and value.shape[1] <= 2 else value
    if value.shape != (rows,):
        raise UserError(f"{path} has the shape {value.shape}, and its ids are {rows:,}: give one number for each.")
    if not ((value >= 0) & (value <= 1)).all():
        first = value[~((value >= 0) & (value <= 1))][0]
        raise UserError(f"{path} holds {first:g}, which is not a probability: save probabilities of class 1.")
    return np.asarray(value)


def _joined(table: pd.DataFrame, ids: pd.Series, what: str) -> pd.DataFrame:
    """Return the rows of ``ids``; UserError unless these are all that the table has, each once."""
    strange, lacking = table.index.difference(ids), pd.Index(ids).difference(table.index)
    if len(strange):
        raise UserError(
            f"Predictions name {counted(len(strange), 'id')} that no {what} has, first '{strange[0]}' (ids there look "
            f"like '{ids.iloc[0]}')."
            if len(ids)
            else f"Predictions name '{strange[0]}', and there is no {what}."
        )
    if len(lacking):
        raise UserError(f"Predictions lack {counted(len(lacking), what)}, first '{lacking[0]}': give one for each.")
    return table.loc[ids]


def _check_labels(folder: Path, oof: pd.DataFrame, label: pd.Series) -> None:
    if LABEL not in oof or not oof[LABEL].isin(["0", "1"]).all():
        return
    if (other := oof[LABEL].astype("int64") != label[oof.index]).any():
        first = oof.index[other][0]
        raise UserError(
            f"{folder}: '{first}' has label {oof[LABEL][first]} there and {label[first]} in the data (as "
            f"{counted(int(other.sum()), 'row')}): its rows are shuffled or shifted, or class 1 is the other one."
        )


def _check_tells(folder: Path, prob: pd.Series, label: pd.Series) -> None:
    """Raise UserError where the ranking is no better than chance, by the AUC's standard error for equal classes."""
    ones = int(label.sum())
    area = auc(label[prob.index].to_numpy(), prob.to_numpy())
    chance = 0.5 + MIN_Z * np.sqrt((len(label) + 1) / (12 * max(1, ones) * max(1, len(label) - ones)))
    if area <= chance:
        raise UserError(
            f"The predictions in {folder} tell nothing of the labels (AUC {area:.3f}, by chance up to {chance:.3f}): "
            "their rows may be shuffled or shifted, or class 1 is the other one."
        )
