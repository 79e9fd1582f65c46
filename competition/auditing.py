"""The audit where it meets a run: the command, the quick look at a run's start, and the groups that it finds."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from competition.audit import REPORT, Audit, audit, audit_lines, linked, merged_groups, write_audit
from competition.config import Config
from competition.data.assemble import FOLDS_FILE, RunData, cache_folder, data_root, read_tables, run_folder
from competition.data.classes import split_group
from competition.data.folds import folds_in
from competition.data.layouts import Dataset
from competition.files import fingerprint, read_json

QUIET = ("note",)  # levels that a run's start leaves to the audit's own files


def audit_folder(config: Config) -> Path:
    """Return where a run's findings lie."""
    return run_folder(config) / "audit"


def full_audit(config: Config) -> list[str]:
    """Look at everything in the data, write what is found, and return it as lines for the terminal."""
    dataset = regroup(config, read_tables(config))
    folds = _kept_folds(config, dataset)
    found = audit(dataset, cache_folder(config), "full", folds, config.seed)
    write_audit(audit_folder(config), found, _about(dataset, folds))
    return [f"{data_root(config)}: {_described(dataset)}", *audit_lines(found, audit_folder(config))]


def _described(dataset: Dataset) -> str:
    train, ones, groups = dataset.train, int(dataset.train["label"].sum()), dataset.train["group"].nunique()
    zero, one = dataset.classes
    aside = ", with labels kept aside" if dataset.test_label is not None else ""
    return (f"{len(train):,} training rows in {groups:,} groups, {ones:,} '{one}' (class 1) and {len(train) - ones:,} "
            f"'{zero}' (class 0); {len(dataset.test):,} test rows{aside}")  # fmt: skip


def regroup(config: Config, dataset: Dataset) -> Dataset:
    """Return the data set with the groups that ``group=auto`` stands for: declared ones, duplicates and twins."""
    if not split_group(config.group)[1]:
        return dataset
    links = linked(dataset, cache_folder(config), config.seed)
    return dataclasses.replace(dataset, train=dataset.train.assign(group=merged_groups(dataset, links)))


def quick_audit(config: Config, data: RunData) -> tuple[Audit, Sequence[str]]:
    """Return what a look of seconds finds at a run's start, and the lines that its user should read now."""
    folds = data.train[["id", "label", "group", "fold"]]
    found = audit(data.dataset, cache_folder(config), "quick", folds, config.seed)
    about, kept = _about(data.dataset, folds), read_json(audit_folder(config) / REPORT) or {}
    if (kept.get("depth"), kept.get("about")) != ("full", about):  # which says more than a quick one of the same
        write_audit(audit_folder(config), found, about)
    loud = dataclasses.replace(found, findings=[one for one in found.findings if one.level not in QUIET])
    return found, audit_lines(loud, audit_folder(config)) if loud.findings else []


def _about(dataset: Dataset, folds: pd.DataFrame | None) -> str:
    """Return the fingerprint of the rows that an audit is about, and of their folds."""
    rows = [] if folds is None else folds[["id", "group", "fold"]].sort_values("id").to_numpy().tolist()
    return fingerprint(rows, dataset.train[["id", "label"]].to_numpy().tolist(), dataset.test["id"].tolist())


def _kept_folds(config: Config, dataset: Dataset) -> pd.DataFrame | None:
    """Return the folds that the run has, where they are of these rows."""
    path = run_folder(config) / FOLDS_FILE
    kept = folds_in(path) if path.exists() else None
    if kept is None or not set(kept) <= set(dataset.train["id"]):
        return None
    rows = dataset.train[dataset.train["id"].isin(kept)]  # less what could not be read
    return rows[["id", "label", "group"]].assign(fold=rows["id"].map(kept).astype("int64"))
