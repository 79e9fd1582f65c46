"""Pairs: groups of exactly two training rows, one of each class, such as a photograph and its AI twin.

A row of any other group, a train-only row, and one whose partner cannot be read are single rows.
"""

import numpy as np
import pandas as pd

from competition.core.errors import UserError
from competition.core.settings import Recipe


def partners(rows: pd.DataFrame) -> np.ndarray:
    """Return for each of the ``rows`` (label, group) the position of its pair's other row, or its own; (n,) int64."""
    table = pd.DataFrame({"label": rows["label"].to_numpy(), "group": rows["group"].to_numpy()})
    at = np.arange(len(table))
    labels, places = table.groupby("group")["label"], pd.Series(at).groupby(table["group"])
    paired = (labels.transform("size") == 2) & (labels.transform("nunique") == 2)
    return np.where(paired, places.transform("sum") - at, at)


def check_pairs(recipe: Recipe, train: pd.DataFrame) -> None:
    """Raise UserError where ``recipe.pairs`` asks for pairs and most rows of ``train`` (label, group) stand in none, or
    where other settings leave no place for them."""
    if recipe.pairs == "none":
        return
    paired = int((partners(train) != np.arange(len(train))).sum())
    if 2 * paired < len(train):
        raise UserError(
            f"pairs={recipe.pairs} learns from groups of two rows, one of each class, and only {paired:,} of the "
            f"{len(train):,} training rows are in one: say with group= which rows are a pair, or set pairs=none."
        )
    if recipe.batch_size * recipe.accumulate % 2:
        raise UserError(
            f"pairs={recipe.pairs} needs batches of an even number of rows: make batch_size, now {recipe.batch_size}, "
            "even."
        )
    if recipe.pairs != "mixup":
        return
    if recipe.mixup or recipe.cutmix:
        raise UserError(
            "pairs=mixup mixes each row with its partner already: set mixup=0 and cutmix=0, or pairs=batch."
        )
    if recipe.frozen:
        raise UserError(
            "pairs=mixup mixes pixels, and frozen=true computes features before any are mixed: use pairs=batch."
        )
