"""A look at the tables alone: classes, groups, order and missing files. It opens no image and trains nothing."""

import numpy as np
from sklearn.metrics import roc_auc_score

from competition.data.layouts import Dataset, check_files
from competition.errors import UserError


def table_findings(dataset: Dataset) -> list[str]:
    """Return one sentence for each thing that the tables show."""
    train, test = dataset.train, dataset.test
    zero, one = dataset.classes
    ones = int(train["label"].sum())
    found = [f"{len(train):,} training rows: {ones:,} '{one}' (class 1) and {len(train) - ones:,} '{zero}' (class 0)",
             f"{len(test):,} test rows" + (", with labels kept aside" if dataset.test_label is not None else ""),
             _groups(dataset), *_order(train["label"].to_numpy())]  # fmt: skip
    try:
        check_files(dataset)
    except UserError as error:
        found.append(str(error))
    else:
        found.append("every listed image file is there")
    return found


def _groups(dataset: Dataset) -> str:
    sizes = dataset.train.groupby("group").size()
    if sizes.max() == 1:
        return "no groups: every training row may go to a fold of its own"
    if sizes.nunique() == 1:
        return f"{len(sizes):,} groups of {sizes.iloc[0]} rows, each of which stays in one fold"
    return f"{len(sizes):,} groups of {sizes.min()} to {sizes.max()} rows, each of which stays in one fold"


def _order(label: np.ndarray) -> list[str]:
    """Say whether the order of the rows gives the labels away."""
    found = []
    places = {"position": np.arange(len(label)), "parity": np.arange(len(label)) % 2}
    for name, place in places.items():
        auc = roc_auc_score(label, place) if 0 < label.sum() < len(label) else 0.5
        auc = max(auc, 1 - auc)
        if auc >= 0.6:
            found.append(f"the {name} of a row predicts its label (AUC {auc:.3f}): never let a model see the row order")
    pairs = label[: len(label) // 2 * 2].reshape(-1, 2)
    if len(pairs) and (pairs.sum(axis=1) == 1).mean() >= 0.95:
        found.append("neighbouring rows 2k and 2k+1 hold one of each class: possible twins, which only their images "
                     "can prove; group=pairs keeps them in one fold")  # fmt: skip
    return found
