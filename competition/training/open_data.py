"""From tables to everything a run reads: groups that the audit finds, pixels and folds, and the teacher's labels."""

import dataclasses
from collections.abc import Callable
from functools import partial

import pandas as pd

from competition.audit.run import regroup
from competition.core.settings import Config
from competition.data.assemble import assemble
from competition.data.layouts.dataset import Dataset
from competition.data.pairs import check_pairs
from competition.data.run_data import RunData
from competition.inference.features import variants_gigabytes
from competition.training.pseudo_labels import with_pseudo


def open_data(
    config: Config, dataset: Dataset, folds_from: Callable[[pd.DataFrame], pd.DataFrame] | None = None
) -> RunData:
    """Return the run's data, the same in every process. Raises UserError where it cannot be used.

    ``folds_from`` returns the folds of rows where they were made elsewhere.
    """
    # Features must lie on disk, and images can be decoded anew: these get what the features leave of the budget.
    left = max(0.0, config.cache_gb - variants_gigabytes(config, dataset))
    data = assemble(dataclasses.replace(config, cache_gb=left), dataset, partial(_regroup, config), folds_from)
    return with_pseudo(config, data)


def _regroup(config: Config, dataset: Dataset) -> Dataset:
    dataset = regroup(config, dataset)
    for recipe in config.members.values():
        check_pairs(recipe, dataset.train)
    return dataset
