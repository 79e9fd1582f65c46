"""What the order of the rows gives away: place, parity, blocks, and pairs that could be a photo and its AI twin."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from competition.audit.findings import WARN_AUC, Finding
from competition.audit.inputs import AuditInputs
from competition.audit.separability import auc

MIN_PAIRS = 20
MIN_TWIN_SHARE = 0.25  # of the pairs that were compared; see twins.py for why so many must stand out
MIN_Z = 4.0  # standard errors


@dataclass(frozen=True)
class Comparison:
    """How alike the pictures of some pairs are.

    ``pairs``: (k, 2) positions; ``similarity``: (k,) of each pair; ``bar``: what 1 % of other pairs of opposite classes
    exceed.
    """

    pairs: np.ndarray
    similarity: np.ndarray
    bar: float

    @property
    def share(self) -> float:
        """The share of pairs above the bar: by chance .01."""
        return float((self.similarity > self.bar).mean())

    @property
    def are_twins(self) -> bool:
        """Whether so many pairs stand out that all of them are called twins."""
        return self.share >= MIN_TWIN_SHARE


def order_findings(inputs: AuditInputs, compared: Mapping[str, Comparison]) -> Iterator[Finding]:
    """Yield row-order, row-parity and possible-pairs; class folders have no order of their own.

    ``compared``: what the pictures of pairs say, by what pairs them (see :func:`candidate_pairs`).
    """
    train = inputs.train_rows
    label, n = train["label"].to_numpy(), len(train)
    ones = int(label.sum())
    if inputs.kind != "folders" and 0 < ones < n:
        chance = np.sqrt((n + 1) / (12 * ones * (n - ones)))  # of an AUC without meaning, Mann and Whitney (1947)
        remedy = "Let no model and no fold depend on the order of the rows; expect no such order in the test set."
        for name, place, words in (("row-order", np.arange(n), "place"), ("row-parity", np.arange(n) % 2, "parity")):
            value = auc(label, place)
            value = max(value, 1 - value)
            runs = _runs(label) if name == "row-order" else 0.0
            if (value >= WARN_AUC and value - 0.5 > MIN_Z * chance) or runs < -MIN_Z:
                how = f"AUC {value:.3f}" if value >= WARN_AUC else "rows of a class stand in blocks"
                what = f"The {words} of a row in the training table predicts its label ({how})."
                yield Finding(name, "warning", what, remedy, {"auc": round(value, 4), "runs_z": round(runs, 2)})
    for how, pairs in candidate_pairs(train).items():
        yield _possible(train, how, pairs, compared.get(how))


def candidate_pairs(train: pd.DataFrame) -> dict[str, np.ndarray]:
    """Return pairs (k, 2) of positions that could be a photo and its AI twin, by what pairs them.

    Neighbouring rows, from the first or the second row on, if at least 95 % of them hold one of each class; files of
    one name in both classes, if these are at least half of all rows.
    """
    label = train["label"].to_numpy()
    found: dict[str, np.ndarray] = {}
    for first in (0, 1):
        pairs = np.arange(first, first + (len(label) - first) // 2 * 2).reshape(-1, 2)
        opposite = pairs[label[pairs[:, 0]] != label[pairs[:, 1]]]
        if len(pairs) >= MIN_PAIRS and len(opposite) >= 0.95 * len(pairs) and not found:
            found["neighbouring rows"] = opposite
    stems = train["path"].map(lambda path: os.path.splitext(os.path.basename(path))[0])
    by_stem = pd.DataFrame({"stem": stems, "label": label, "row": np.arange(len(label))})[stems != ""]
    sizes = by_stem.groupby("stem")["label"].agg(["size", "sum"])
    twice = sizes.index[(sizes["size"] == 2) & (sizes["sum"] == 1)]
    if len(twice) >= MIN_PAIRS and 4 * len(twice) >= len(label):
        rows = by_stem[by_stem["stem"].isin(twice)].sort_values(["stem", "row"])
        found["files of one name"] = rows["row"].to_numpy().reshape(-1, 2)
    return found


def _possible(train: pd.DataFrame, how: str, pairs: np.ndarray, compared: Comparison | None) -> Finding:
    group = train["group"].to_numpy(object)
    together = int((group[pairs[:, 0]] == group[pairs[:, 1]]).sum())
    remedy = "They share a group already."
    if together < len(pairs):
        remedy = "Only their images can prove it (./run.sh audit); until then keep pairs in one fold" + (
            " with group=pairs." if how == "neighbouring rows" and pairs[0, 0] == 0 else "."
        )
    says = "possibly a photo and its AI twin"
    if compared is not None:
        stand_out = f"{compared.share:.1%} of {len(compared.pairs):,} stand out"
        says = f"by their pictures {'' if compared.are_twins else 'no '}twins ({stand_out})"
        remedy = "See twins." if compared.are_twins else "Nothing need be done."
    share = round(2 * len(pairs) / len(train), 4)
    figures = {"pairs": len(pairs), "paired_by": how, "share_of_rows": share, "in_one_group": together}
    what = f"{len(pairs):,} pairs of {how} hold one of each class: {says}."
    return Finding("possible-pairs", "note", what, remedy, figures)


def _runs(label: np.ndarray) -> float:
    """Return by how many standard errors the number of runs differs from chance (Wald and Wolfowitz, 1940)."""
    n, ones = len(label), int(label.sum())
    product = 2.0 * ones * (n - ones)
    expected, variance = 1 + product / n, product * (product - n) / (n * n * max(n - 1, 1))
    return (1 + np.count_nonzero(np.diff(label)) - expected) / np.sqrt(variance) if variance > 0 else 0.0
