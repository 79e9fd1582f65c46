"""Pseudo-labels: test images that a finished run, the teacher, is sure of join the training rows of another run.

Fold k's model learns the labels that the teacher's fold-k models give, which never saw fold k either: no row
influences the model that judges it, and the out-of-fold score stays what it claims to be.
"""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from competition.core.errors import UserError
from competition.core.paths import FOLDS_FILE, cache_folder
from competition.core.settings import Config
from competition.core.text import counted, listed
from competition.data.duplicates.copies import copied
from competition.data.extra import Added
from competition.data.folds import read_folds
from competition.data.layouts.dataset import Dataset
from competition.data.run_data import RunData, image_sets
from competition.inference.job_files import begun_settings, read_done
from competition.inference.oof import blend, collect_member, read_predictions
from competition.inference.run_record import Record, read_record

FULL = "full"  # the folder of models on all rows


def find_teacher(config: Config, dataset: Dataset) -> Record:
    """Return the record of the run ``config.pseudo``. Raises UserError unless every fold of it is predicted."""
    if config.pseudo == config.name:
        raise UserError(f"pseudo={config.pseudo} is this run itself, which cannot teach itself: give it another name=.")
    if dataset.test.empty:
        raise UserError(
            f"pseudo={config.pseudo} labels test images, and there is no test set in the data: leave it out."
        )
    record = read_record(config.pseudo)
    for member, folders in record.members.items():
        for fold in range(config.parts):
            if not _of_fold(record, folders, str(fold)):
                raise UserError(
                    f"pseudo={config.pseudo} has no fold {fold} of {member}: train it to the end, in as "
                    "many folds as this run."
                )
        for folder in (record.folder / name for name in folders):
            if not _is_predicted(folder):
                raise UserError(
                    f"pseudo={config.pseudo} is not finished, for {folder} lacks its predictions: train it "
                    "to the end first."
                )
    if not (record.folder / FOLDS_FILE).exists():
        raise UserError(
            f"pseudo={config.pseudo} has lost its {FOLDS_FILE}, which says what its models saw: train another teacher."
        )
    return record


def _is_predicted(folder: Path) -> bool:
    """Whether a job's tables are there and no job is about to replace them: it then has no prediction_key."""
    tables = ["test.csv"] if folder.name.startswith(FULL) else ["oof.csv", "test.csv"]
    return all((folder / name).exists() for name in tables) and "prediction_key" in read_done(folder)


def _of_fold(record: Record, folders: Sequence[str], fold: str) -> list[Path]:
    """Return a member's folders of one fold, one for each seed, or with ``fold`` "full" those on all rows."""
    part = FULL if fold == FULL else f"fold{fold}"
    return [record.folder / name for name in folders if re.fullmatch(rf"{part}(-seed\d+)?", Path(name).name)]


def with_pseudo(config: Config, data: RunData) -> RunData:
    """Return ``data`` with the teacher's labels as train-only rows where ``config.pseudo`` names one.

    Raises UserError unless the teacher has the same training ids, labels and folds and the same test ids.
    """
    if not config.pseudo:
        return data
    record = find_teacher(config, data.dataset)
    _check_same_rows(config, data, record)
    prob = teacher_probabilities(record, config.parts, data.train["id"], data.test["id"])
    floors = config.pseudo_positive, config.pseudo_negative
    test = data.test[~data.test["id"].isin(data.unreadable_test)]
    labels = {fold: confident(test, values[test.index], *floors) for fold, values in prob.items()}
    shown = _shown_in_folds(config, data)
    tables = {fold: table if fold is None else table[~shown[table["row"], fold]] for fold, table in labels.items()}
    stores = {spec: test for spec, (_, test) in data.stores.items()}
    added = Added("pseudo", stores, tables, data.full_size[1])
    if not any(map(len, tables.values())):
        raise UserError(
            f"pseudo={config.pseudo} is sure of no test image: lower pseudo_positive={floors[0]:g} or "
            f"pseudo_negative={floors[1]:g}."
        )
    notes = _notes(config, data, labels, tables) + _teachers_patience(data, record)
    return dataclasses.replace(data, added=(*data.added, added), notes=[*data.notes, *notes])


def teacher_probabilities(
    record: Record, parts: int, train_ids: Sequence[str], test_ids: Sequence[str]
) -> dict[int | None, np.ndarray]:
    """Return a run's (m,) probabilities of the test rows, by fold: by each fold's models alone, and under None
    by all of its models.

    Members weigh the same, for weights fitted on out-of-fold rows would know what each fold is judged on.
    """
    members = []
    for folders in record.members.values():
        folds = [_of_fold(record, folders, str(fold)) for fold in range(parts)]
        members.append(collect_member(folds, _of_fold(record, folders, FULL), train_ids, test_ids))
    blended = blend(members, [1.0] * len(members))
    return {**dict(enumerate(blended.parts)), None: blended.test}


def confident(test: pd.DataFrame, prob: np.ndarray, positive: float, negative: float) -> pd.DataFrame:
    """Return id, label and row of the test rows that are sure: class 1 from probability ``positive`` on, class 0 up to
    1 - ``negative``; a row without a probability (NaN) is not."""
    label = np.select([prob >= positive, prob <= 1 - negative], [1, 0], -1)
    sure = label >= 0
    return test.loc[sure, ["id", "row"]].assign(label=label[sure])[["id", "label", "row"]]


def _check_same_rows(config: Config, data: RunData, record: Record) -> None:
    """Refuse a teacher whose folds are not this run's, row by row, or whose test set is another."""
    path = record.folder / FOLDS_FILE
    theirs = read_folds(path)
    ours = data.train.astype({"label": "str", "fold": "str"}).set_index("id")
    if sorted(theirs["id"]) != sorted(ours.index):
        raise UserError(
            f"pseudo={config.pseudo} was trained on other rows than these ({path} has other ids): its "
            "labels could leak into the score; train a teacher on this data."
        )
    theirs = theirs.set_index("id")
    for column, remedy in (
        ("label", "train a teacher on these labels"),
        ("fold", "give this run its seed=, folds=, split= and group="),
    ):
        differing = ours.index[(theirs.loc[ours.index, column] != ours[column]).to_numpy()]
        if len(differing):
            raise UserError(
                f"pseudo={config.pseudo} has another {column} for {counted(len(differing), 'row')}, first "
                f"'{differing[0]}', than this run: {remedy}."
            )
    for folder in (record.folder / name for names in record.members.values() for name in names):
        if set(read_predictions(folder / "test.csv")["id"]) != set(data.test["id"]):
            raise UserError(
                f"pseudo={config.pseudo} predicted another test set than this one ({folder / 'test.csv'} "
                "has other ids): train a teacher on this data."
            )


def _shown_in_folds(config: Config, data: RunData) -> np.ndarray:
    """Return which test images are copies of rows that each fold's models are judged on, (rows of the store, folds)."""
    train, test = image_sets(data)
    part = np.full(len(train), -1)
    for fold in range(config.parts):
        part[data.train["row"][data.predicted(fold)]] = fold
    return copied(test, train, part, cache_folder(config))


def _notes(
    config: Config, data: RunData, labels: Mapping[int | None, pd.DataFrame], tables: Mapping[int | None, pd.DataFrame]
) -> list[str]:
    """Say how many rows each fold has more, which ones it may not have, and what that makes of the test's figures."""
    folds = [fold for fold in tables if fold is not None]
    counts = [len(tables[fold]) for fold in folds]
    amounts = " to ".join(f"{count:,}" for count in sorted({min(counts), max(counts)}))
    shares = [f"{table['label'].mean():.1%}" if len(table) else "none" for table in (tables[fold] for fold in folds)]
    notes = [
        f"pseudo={config.pseudo} adds {amounts} of {len(data.test):,} test images to what each fold's model "
        f"learns from (by fold {listed(counts, 12)}; '{data.dataset.classes[1]}' {listed(shares, 12)}), labelled by "
        "those of its models that never saw the fold",
        "test images with pseudo-labels were trained on, so their predictions are firmer than out-of-fold ones: the "
        f"score holds, but whether the test set is of the same world is for the teacher to say (./run.sh report "
        f"name={config.pseudo})",
    ]
    ids = set().union(*(set(labels[fold]["id"]) - set(tables[fold]["id"]) for fold in folds))
    if ids:
        rows = data.test["id"][data.test["id"].isin(ids)]
        notes.append(
            f"{counted(len(rows), 'test image')} left out of pseudo-labels in the fold that is judged on a "
            f"copy of it ({listed(rows)})"
        )
    return notes


def _teachers_patience(data: RunData, record: Record) -> list[str]:
    """Say where the teacher's early stopping looked at the very rows that judge this run's models."""
    if data.judged_apart:
        return []
    stopped = []
    for member, folders in record.members.items():
        if (begun_settings(record.folder / folders[0]) or {}).get("patience"):
            stopped.append(member)
    if not stopped:
        return []
    return [
        f"the teacher's early stopping (patience of {', '.join(stopped)}) chose its epoch on the rows that judge "
        "this run, which flatters the score a little"
    ]
