"""From tables to everything a run reads: groups that the audit finds, pixels and folds, and the teacher's labels."""

from collections.abc import Callable
from functools import partial

import pandas as pd

from competition.audit.run import regroup
from competition.core.settings import Config
from competition.data.assemble import assemble
from competition.data.layouts.dataset import Dataset
from competition.data.run_data import RunData
from competition.training.pseudo_labels import with_pseudo


def open_data(
    config: Config, dataset: Dataset, folds_from: Callable[[pd.DataFrame], pd.DataFrame] | None = None
) -> RunData:
    """Return the run's data, the same in every process. Raises UserError where it cannot be used.

    ``folds_from`` returns the folds of rows where they were made elsewhere.
    """
    return with_pseudo(config, assemble(config, dataset, partial(regroup, config), folds_from))
