"""Groups that hold whatever an audit found to belong together, and the copies that two lists of files share."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from competition.audit.duplicates import clusters
from competition.audit.findings import Audit
from competition.audit.scan import scan
from competition.data.dataset import Dataset
from competition.data.perceptual import copies
from competition.data.survey import file_stats, recall, survey
from competition.files import cores


def merged_groups(dataset: Dataset, audit: Audit) -> pd.Series:
    """Return the group (text) of each training row: declared groups, joined where copies or twins link them.

    A merged group is named after the first, by name, of the declared ones in it, so that neither the rows' order nor
    that of the links matters. As much is merged as the audit looked at: near-duplicates at depth ``full`` alone.
    """
    train = dataset.train
    groups = pd.Index(sorted(set(train["group"])))
    group_of = pd.Series(groups.get_indexer(train["group"]), index=train["id"])
    links = audit.links[audit.links["id"].isin(group_of.index) & audit.links["other"].isin(group_of.index)]
    pairs = np.stack([links["id"].map(group_of).to_numpy(np.int64), links["other"].map(group_of).to_numpy(np.int64)], 1)
    cluster = clusters(pairs, len(groups))
    first = pd.Series(np.arange(len(groups))).groupby(cluster).min()
    names = groups.to_numpy(object)[first.loc[cluster].to_numpy()]
    return pd.Series(names[group_of.to_numpy()], index=train.index, dtype="str", name="group")


def overlap(paths: Sequence[str], others: Sequence[str], cache: Path) -> pd.DataFrame:
    """Return the files of one list that are copies of a file of the other: columns path, other and kind.

    kind: ``exact`` (equal bytes) or ``near`` (the same picture to the eye). Files that cannot be read are in no pair.
    A file may be in several pairs, of equal files of a list one of them stands for the near pairs of all.
    """
    lists = [_pictures(list(map(str, one)), cache) for one in (paths, others)]
    (names, digests, hashes, pictures), (_, other_digests, other_hashes, other_pictures) = lists
    left = pd.DataFrame({"path": names, "digest": digests})
    right = pd.DataFrame({"other": lists[1][0], "digest": other_digests})
    exact = left.merge(right, on="digest")[["path", "other"]].assign(kind="exact")
    side = np.repeat([0, 1], [len(digests), len(other_digests)])
    both = pd.DataFrame({"digest": [*digests, *other_digests], "side": side})
    chosen = np.flatnonzero(~both.duplicated().to_numpy())
    pairs = chosen[copies(np.concatenate([hashes, other_hashes])[chosen],
                          np.concatenate([pictures, other_pictures])[chosen])]  # fmt: skip
    digest = both["digest"].to_numpy(object)
    crossing = (pairs[:, 0] < len(names)) & (pairs[:, 1] >= len(names)) & (digest[pairs[:, 0]] != digest[pairs[:, 1]])
    pairs = pairs[crossing]
    near = pd.DataFrame({"path": np.array(names, object)[pairs[:, 0]],
                         "other": np.array(lists[1][0], object)[pairs[:, 1] - len(names)], "kind": "near"})  # fmt: skip
    return pd.concat([exact, near]).astype("str").sort_values(["path", "other"], ignore_index=True)


def _pictures(paths: list[str], cache: Path) -> tuple[list[str], list[bytes], np.ndarray, np.ndarray]:
    """Return path, digest, hash and thumbnail of each file that can be decoded."""
    stats = file_stats(paths)
    contents = recall(cache, stats) or survey(cache, stats, "images", cores())
    looked = scan(paths, contents.digests, cache, True, "images", cores())
    sound = np.flatnonzero(looked.facts["fault"].isna().to_numpy())
    digests = [contents.digests[row].tobytes() for row in sound]
    return [paths[row] for row in sound], digests, looked.hashes[sound], looked.thumbnails[sound]
