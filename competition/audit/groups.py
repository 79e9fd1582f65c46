"""Groups that hold whatever an audit found to belong together."""

import numpy as np
import pandas as pd

from competition.audit.duplicates import clusters
from competition.data.layouts.dataset import Dataset


def merged_groups(dataset: Dataset, links: pd.DataFrame) -> pd.Series:
    """Return the group (text) of each training row: declared groups, joined where copies or twins link them.

    A merged group is named after the first, by name, of the declared ones in it, so that neither the rows' order nor
    that of the ``links`` (see ``Audit``) matters. Near-duplicates are among them where every image was decoded.
    """
    train = dataset.train
    groups = pd.Index(sorted(set(train["group"])))
    group_of = pd.Series(groups.get_indexer(train["group"]), index=train["id"])
    links = links[links["id"].isin(group_of.index) & links["other"].isin(group_of.index)]
    pairs = np.stack([links["id"].map(group_of).to_numpy(np.int64), links["other"].map(group_of).to_numpy(np.int64)], 1)
    cluster = clusters(pairs, len(groups))
    first = pd.Series(np.arange(len(groups))).groupby(cluster).min()
    names = groups.to_numpy(object)[first.loc[cluster].to_numpy()]
    return pd.Series(names[group_of.to_numpy()], index=train.index, dtype="str", name="group")
