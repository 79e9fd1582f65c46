"""Finished runs, opened and compared, so that their members can be blended by id."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from competition.core.errors import UserError
from competition.core.settings import Config
from competition.core.text import counted, listed
from competition.data.folds import SOURCE, crosses_folds
from competition.data.layouts.dataset import Dataset, limit_rows
from competition.data.run_data import RunData, read_tables
from competition.ensemble.member import Member
from competition.inference.oof import read_predictions
from competition.inference.run_inputs import run_folds, run_settings
from competition.inference.run_record import Record, read_record
from competition.inference.torch_member import job_settings


@dataclass(frozen=True)
class Run:
    """A finished run: its settings, its record, and the id, label, group, fold and perhaps source (all text) of its
    training rows."""

    config: Config
    record: Record
    folds: pd.DataFrame

    @property
    def by_source(self) -> bool:
        """Whether the run's folds hold out whole sources."""
        return SOURCE in self.folds

    @property
    def members(self) -> dict[str, Member]:
        """The run's members."""
        return {name: self.member(name) for name in self.record.members}

    def named_members(self, prefix: str) -> dict[str, Member]:
        """Return the run's members, named after the run as well; a run of one member by its own name."""
        return {
            prefix if len(self.record.members) == 1 else f"{prefix}-{name}": member
            for name, member in self.members.items()
        }

    def member(self, name: str, folders: Sequence[Path] = ()) -> Member:
        """Return a member of the run, its jobs' files in their own folders or in ``folders``, in the same order."""
        by_fold: dict[int, list[Path]] = {}
        full: list[Path] = []
        own = [self.record.folder / part for part in self.record.members[name]]
        for folder, found in zip(own, folders or own, strict=True):
            fold = job_settings(folder)["fold"]
            (full if fold is None else by_fold.setdefault(fold, [])).append(found)
        return Member(self.config.members[name], [by_fold[fold] for fold in sorted(by_fold)], full)


def run_names(names: str) -> list[str]:
    """Return the runs in ``names=a,b``; UserError unless there are two or more, each once."""
    found = [name for name in names.split(",") if name]
    if len(found) < 2 or len(set(found)) < len(found):
        raise UserError(f"names={names} must name two finished runs or more, each once, as in names=first,second.")
    return found


def open_run(name: str) -> Run:
    """Return the finished run of that name; UserError where one of its members lacks a fold."""
    record = read_record(name)
    config = run_settings(record)
    for member, parts in record.members.items():
        there = {job_settings(record.folder / part)["fold"] for part in parts}
        missing = [str(fold) for fold in range(config.parts) if fold not in there]
        if missing:
            raise UserError(
                f"The run '{name}' is not finished, for {member} lacks fold {', '.join(missing)}: complete "
                f"it with ./run.sh name={name} fold={','.join(missing)}."
            )
    return Run(config, record, run_folds(record, config))


def check_alike(first: str, one: Run, other: str, another: Run) -> None:
    """Raise UserError where two runs cannot be blended: their rows differ, or one judged a row by a model that had seen
    its group. Their folds may differ, but not how many there are."""
    pair = f"The runs '{first}' and '{other}' cannot be blended"
    for what in ("tta", "classes", "kind"):
        mine, theirs = getattr(one.record, what), getattr(another.record, what)
        if mine != theirs:
            remedy = f": say ./run.sh name={other} tta={mine} first" if what == "tta" else ""
            raise UserError(f"{pair}, for their {what} differ ({_plain(mine)} and {_plain(theirs)}){remedy}.")
    if one.config.shares is None and another.config.shares is None and one.config.parts == another.config.parts:
        check_same_rows(pair, one, another)
        for run, grouping in ((one, another), (another, one)):
            _check_unseen(pair, run, grouping)
    else:
        check_same_rows(pair, one, another, ("label", "group", "fold"))
    mine, theirs = (_test_ids(run) for run in (one, another))
    if set(mine) != set(theirs):
        first_id = sorted(set(mine) ^ set(theirs))[0]
        raise UserError(f"{pair}: the test row '{first_id}' is in one alone.")


def check_same_rows(pair: str, one: Run, another: Run, columns: Sequence[str] = ("label",)) -> None:
    """Raise UserError, a sentence that starts with ``pair``, where training rows are in one run alone or differ in one
    of the ``columns``."""
    rows, theirs = (run.folds.set_index("id") for run in (one, another))
    lacking = rows.index.symmetric_difference(theirs.index)
    if len(lacking):
        raise UserError(f"{pair}: {len(lacking):,} training rows are in one alone, first '{lacking[0]}'.")
    for column in columns:
        differing = rows.index[(rows[column] != theirs[column][rows.index]).to_numpy()]
        if len(differing):
            id = differing[0]
            raise UserError(
                f"{pair}: '{id}' has {column} {rows[column][id]} in one and {theirs[column][id]} in the other (as "
                f"{len(differing):,} rows do): train both with the same data, group=, folds= and seed=."
            )


def _check_unseen(pair: str, run: Run, grouping: Run) -> None:
    """Raise UserError for the first row that the ``run`` judged by a model that had learned from the row's group, as
    another run has groups."""
    groups = grouping.folds.set_index("id")["group"]
    fold = run.folds.set_index("id")["fold"][groups.index]
    seen = groups.index[crosses_folds(fold, groups)]
    if len(seen):
        id = seen[0]
        raise UserError(
            f"{pair}: '{id}' was judged in '{run.record.name}' by a model that had learned from its group "
            f"'{groups[id]}', as '{grouping.record.name}' has groups ({counted(len(seen), 'such row')}): train both "
            "with the same group=."
        )


def _plain(value: object) -> str:
    return listed(list(value)) if isinstance(value, tuple) else str(value)


def _test_ids(run: Run) -> list[str]:
    member = next(iter(run.record.members.values()))
    return read_predictions(run.record.folder / member[0] / "test.csv")["id"].tolist()


def joined_data(config: Config, run: Run, member: Member) -> RunData:
    """Return the data that the runs share: their folds, and the test rows as the submission must list them."""
    dataset: Dataset = read_tables(config)
    if config.limit:
        dataset = limit_rows(dataset, config.limit, config.seed)
    kept = run.folds.set_index("id")
    train = dataset.train.assign(row=np.arange(len(dataset.train)))
    train = train[train["id"].isin(kept.index)].reset_index(drop=True)
    if len(train) < len(kept):
        lost = sorted(set(kept.index) - set(train["id"]))
        raise UserError(
            f"{dataset.root} has no training row '{lost[0]}', which '{run.record.name}' was trained on: "
            "name the data that it had with data=."
        )
    rows = kept.loc[train["id"]]
    other = train["id"][(rows["label"].to_numpy() != train["label"].astype("str").to_numpy())]
    if len(other):
        raise UserError(
            f"{dataset.root} has another label for '{other.iloc[0]}' ({len(other):,} such rows) than "
            f"'{run.record.name}' was trained on: name the data that it had with data=."
        )
    train = train.assign(group=rows["group"].to_numpy(), fold=rows["fold"].astype("int64").to_numpy())
    test = dataset.test.assign(row=np.arange(len(dataset.test)))
    predicted = read_predictions(member.folders[0] / "test.csv").set_index("id")["logit"]
    unread = [id for id in test["id"] if id in predicted.index and np.isnan(predicted[id])]
    return RunData(train, test, dataset, unread, {}, (len(dataset.train), len(dataset.test)), [])
