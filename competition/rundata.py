"""From tables to everything a run reads: groups that the audit finds, pixels and folds, and the teacher's labels."""

from functools import partial

from competition.auditing import regroup
from competition.config import Config
from competition.data.assemble import RunData, assemble
from competition.data.layouts import Dataset
from competition.inference.pseudo import with_pseudo


def open_data(config: Config, dataset: Dataset) -> RunData:
    """Return the run's data, the same in every process. Raises UserError for whatever the user must mend."""
    return with_pseudo(config, assemble(config, dataset, partial(regroup, config)))
