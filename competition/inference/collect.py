"""Bring a member's fold models together, and the members: every join by id, one-to-one, as the design defines means."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from competition.errors import UserError
from competition.scoring.blend import mean_logit, mean_prob
from competition.scoring.metrics import sigmoid


@dataclass(frozen=True)
class Predictions:
    """``oof`` (n,) probabilities in the training table's order, NaN where no model held the row out; ``test`` (m,) in
    the test table's, NaN for images that no model could see."""

    oof: np.ndarray
    test: np.ndarray


def read_predictions(path: Path) -> pd.DataFrame:
    """Read oof.csv or test.csv; ids are words whatever they look like, an empty cell is NaN."""
    missing = {column: [""] for column in ("logit", "prob")}
    return pd.read_csv(path, dtype={"id": str}, keep_default_na=False, na_values=missing)


def collect_member(oof_parts: Sequence[Sequence[Path]], test_parts: Sequence[Path], train_ids: Sequence[str],
                   test_ids: Sequence[str]) -> Predictions:  # fmt: skip
    """Average one member's models.

    ``oof_parts``: for each fold its models' oof.csv (several seeds); ``test_parts``: every model's test.csv. Both are
    averaged as logits. Raises UserError when a file's ids are not the ones expected.
    """
    oof = pd.Series(np.nan, index=pd.Index(train_ids))
    for paths in oof_parts:
        tables = [read_predictions(path).set_index("id")["logit"] for path in paths]
        ids = tables[0].index
        if not ids.is_unique or not ids.isin(oof.index).all() or oof[ids].notna().any():
            raise UserError(f"The ids in {paths[0]} are not this fold's: delete that folder to make it again.")
        oof[ids] = mean_logit(np.stack([_aligned(table, ids, path) for table, path in zip(tables, paths, strict=True)]))
    test_ids = pd.Index(test_ids)
    logits = [_aligned(read_predictions(path).set_index("id")["logit"], test_ids, path) for path in test_parts]
    test = np.full(len(test_ids), np.nan)
    if logits:
        seen = ~np.isnan(logits[0])
        test[seen] = sigmoid(mean_logit(np.stack(logits)[:, seen]))
    known = oof.notna().to_numpy()
    prob = np.full(len(oof), np.nan)
    prob[known] = sigmoid(oof.to_numpy()[known])
    return Predictions(prob, test)


def _aligned(values: pd.Series, ids: pd.Index, path: Path) -> np.ndarray:
    if len(values) != len(ids) or not values.index.is_unique or not ids.isin(values.index).all():
        raise UserError(f"The ids in {path} are not the expected ones: delete that folder to make it again.")
    return values[ids].to_numpy()


def blend(members: Sequence[Predictions]) -> Predictions:
    """Return the members' mean probability, row by row."""

    def mean(rows: list[np.ndarray]) -> np.ndarray:
        table = np.stack(rows)
        known = ~np.isnan(table).any(axis=0)
        blended = np.full(table.shape[1], np.nan)
        if known.any():
            blended[known] = mean_prob(table[:, known])
        return blended

    return Predictions(mean([m.oof for m in members]), mean([m.test for m in members]))
