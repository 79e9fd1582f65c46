"""Look for what is wrong with the data before a model sees it; the findings are printed and go to the run's folder.

./run.sh audit ...                       what is wrong with the data: shortcuts, leaks, copies, broken files

Each finding is a note, a warning or an alarm, with its rows in folds/<name>/audit/. The exit status is 0 all the same.
"""

from collections.abc import Sequence

import pandas as pd

from competition.audit.examine import audit
from competition.audit.run import audit_folder, audit_subject, regroup
from competition.audit.write import audit_lines, write_audit
from competition.core.paths import FOLDS_FILE, cache_folder, run_folder
from competition.core.settings import Config
from competition.data.folds import folds_in
from competition.data.images.file_contents import forget
from competition.data.layouts.dataset import Dataset
from competition.data.run_data import data_root, read_tables


def main(config: Config, words: Sequence[str]) -> None:
    """Look at everything in the data, write what is found, and print it."""
    dataset = read_tables(config)
    for table in (dataset.train, dataset.test):
        forget(cache_folder(config), list(table["path"]))  # so that every file is read, whatever its date says
    dataset = regroup(config, dataset)
    folds = _kept_folds(config, dataset)
    found = audit(dataset, cache_folder(config), "full", folds, config.seed)
    write_audit(audit_folder(config), found, audit_subject(dataset, folds))
    print(f"{data_root(config)}: {_described(dataset)}", *audit_lines(found, audit_folder(config)), sep="\n")


def _described(dataset: Dataset) -> str:
    train, ones, groups = dataset.train, int(dataset.train["label"].sum()), dataset.train["group"].nunique()
    zero, one = dataset.classes
    aside = ", with labels kept aside" if dataset.test_label is not None else ""
    return (
        f"{len(train):,} training rows in {groups:,} groups, {ones:,} '{one}' (class 1) and {len(train) - ones:,} "
        f"'{zero}' (class 0); {len(dataset.test):,} test rows{aside}"
    )


def _kept_folds(config: Config, dataset: Dataset) -> pd.DataFrame | None:
    """Return the folds that the run has, where they are of these rows."""
    kept = folds_in(run_folder(config.name) / FOLDS_FILE)
    if kept is None or not set(kept) <= set(dataset.train["id"]):
        return None
    rows = dataset.train[dataset.train["id"].isin(kept)]  # less what could not be read
    return rows[["id", "label", "group"]].assign(fold=rows["id"].map(kept).astype("int64"))
