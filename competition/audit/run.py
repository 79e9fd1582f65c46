"""The audit where it meets a run: the command, the quick look at a run's start, and the groups that it finds."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from competition.audit.duplicates import clusters
from competition.audit.equalised import equalised_metadata
from competition.audit.examine import audit, linked
from competition.audit.findings import Audit, sorted_findings
from competition.audit.write import REPORT, audit_lines, write_audit
from competition.core.files import fingerprint
from competition.core.intact import kept_record
from competition.core.paths import cache_folder, run_folder
from competition.core.settings import Config
from competition.data.layouts.dataset import Dataset
from competition.data.layouts.labels import split_group
from competition.data.run_data import RunData

QUIET = ("note",)  # levels that a run's start leaves to the audit's own files


def audit_folder(config: Config) -> Path:
    """Return where a run's findings lie."""
    return run_folder(config.name) / "audit"


def regroup(config: Config, dataset: Dataset) -> Dataset:
    """Return the data set with the groups that ``group=auto`` stands for: declared ones, duplicates and twins."""
    if not split_group(config.group)[1]:
        return dataset
    links = linked(dataset, cache_folder(config), config.seed)
    return dataclasses.replace(dataset, train=dataset.train.assign(group=merged_groups(dataset, links)))


def merged_groups(dataset: Dataset, links: pd.DataFrame) -> pd.Series:
    """Return the group (text) of each training row: declared groups, joined where copies or twins link them.

    A merged group is named after the first, by name, of the declared ones in it, so that neither the rows' order nor
    that of the ``links`` (see ``Audit``) matters.
    """
    train = dataset.train
    groups = pd.Index(sorted(set(train["group"])))
    group_of = pd.Series(groups.get_indexer(train["group"]), index=train["id"])
    links = links[links["id"].isin(group_of.index) & links["other"].isin(group_of.index)]
    pairs = np.stack([links[end].map(group_of).to_numpy(np.int64) for end in ("id", "other")], 1)
    cluster = clusters(pairs, len(groups))
    first = pd.Series(np.arange(len(groups))).groupby(cluster).min()
    names = groups.to_numpy(object)[first.loc[cluster].to_numpy()]
    return pd.Series(names[group_of.to_numpy()], index=train.index, dtype="str", name="group")


def quick_audit(config: Config, data: RunData) -> tuple[Audit, Sequence[str]]:
    """Return the audit of a few seconds that starts a run, and the lines of it to print."""
    folds = data.train[["id", "label", "group", "fold"]]
    found = audit(data.dataset, cache_folder(config), "quick", folds, config.seed)
    if left := equalised_metadata(data, found.metadata, config.seed):
        found = dataclasses.replace(found, findings=sorted_findings([*found.findings, left]))
    about, kept = audit_subject(data.dataset, folds), kept_record(audit_folder(config) / REPORT)
    if (kept.get("depth"), kept.get("about")) != ("full", about):  # which says more than a quick one of the same
        write_audit(audit_folder(config), found, about)
    loud = dataclasses.replace(found, findings=tuple(one for one in found.findings if one.level not in QUIET))
    return found, audit_lines(loud, audit_folder(config)) if loud.findings else []


def audit_subject(dataset: Dataset, folds: pd.DataFrame | None) -> str:
    """Return the fingerprint of the rows that an audit is about, and of their folds."""
    rows = [] if folds is None else folds[["id", "group", "fold"]].sort_values("id").to_numpy().tolist()
    return fingerprint(rows, dataset.train[["id", "label"]].to_numpy().tolist(), dataset.test["id"].tolist())
