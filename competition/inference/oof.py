"""Bring a member's fold models together, and the members: every join by id, one-to-one, as the design defines means."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from competition.core.errors import UserError
from competition.core.files import atomic_write, fingerprint
from competition.core.settings import Config
from competition.inference.job_files import check_intact
from competition.scoring.arrays import sigmoid
from competition.scoring.blend.average import mean_known, mean_logit


@dataclass(frozen=True)
class Predictions:
    """``oof`` (n,) probabilities in the training table's order, NaN where no model held the row out; ``test`` (m,) in
    the test table's, NaN for images that no model could see; ``parts`` (folds, m) as ``test``, by each fold's models
    alone."""

    oof: np.ndarray
    test: np.ndarray
    parts: np.ndarray


def read_predictions(path: Path) -> pd.DataFrame:
    """Read oof.csv or test.csv; ids are words whatever they look like, an empty cell is NaN."""
    check_intact(path)
    missing = {column: [""] for column in ("logit", "prob")}
    return pd.read_csv(path, dtype={"id": str, "logit": float, "prob": float}, keep_default_na=False, na_values=missing)


def prediction_settings(config: Config, test_ids: Sequence[str], digest: str, fold: int | None) -> dict[str, Any]:
    """Return what decides a job's predictions beside its weights; ``digest`` is that of the test set's images."""
    settings: dict[str, Any] = {"tta": config.tta, "test_data": fingerprint(list(test_ids), digest)}
    if fold is not None:  # a model on all rows leaves no diagnostics
        settings["evidence_rows"] = config.evidence_rows
    return settings


def write_predictions(path: Path, table: pd.DataFrame, logit: np.ndarray) -> None:
    """Write oof.csv or test.csv, atomically: the table's columns, each row's logit and its probability, numbers with
    all their digits; a missing number is an empty cell."""
    with atomic_write(path) as file:
        table.assign(logit=logit, prob=sigmoid(logit)).to_csv(file, index=False, lineterminator="\n")


def collect_member(
    folds: Sequence[Sequence[Path]], full: Sequence[Path], train_ids: Sequence[str], test_ids: Sequence[str]
) -> Predictions:
    """Average one member's models.

    ``folds``: for each fold its models' folders (several seeds), with oof.csv and test.csv; ``full``: the folders of
    models on all rows. Models are averaged as logits. Raises UserError when a file's ids are not the ones expected.
    """
    oof = pd.Series(np.nan, index=pd.Index(train_ids))
    for folders in folds:
        paths = [folder / "oof.csv" for folder in folders]
        tables = [read_predictions(path).set_index("id")["logit"] for path in paths]
        ids = tables[0].index
        if not ids.is_unique or not ids.isin(oof.index).all() or oof[ids].notna().any():
            raise UserError(f"The ids in {paths[0]} are not this fold's: delete that folder to make it again.")
        oof[ids] = mean_logit(np.stack([_aligned(table, ids, path) for table, path in zip(tables, paths, strict=True)]))
    groups = [[_test_logits(folder / "test.csv", test_ids) for folder in folders] for folders in [*folds, full]]
    everyone = [logit for group in groups for logit in group]
    return Predictions(
        oof=sigmoid(oof),
        test=sigmoid(_mean(everyone, len(test_ids))),
        parts=_stacked([sigmoid(_mean(group, len(test_ids))) for group in groups[:-1]], len(test_ids)),
    )


def _stacked(parts: Sequence[np.ndarray], rows: int) -> np.ndarray:
    """Return the parts, each (rows,), as one table, though there be none."""
    return np.array(parts).reshape(len(parts), rows)


def _test_logits(path: Path, test_ids: Sequence[str]) -> np.ndarray:
    return _aligned(read_predictions(path).set_index("id")["logit"], pd.Index(test_ids), path)


def _mean(logits: Sequence[np.ndarray], rows: int) -> np.ndarray:
    """Average logits row by row; NaN where there is none."""
    mean = np.full(rows, np.nan)
    if logits:
        seen = ~np.isnan(logits[0])
        mean[seen] = mean_logit(np.stack(logits)[:, seen])
    return mean


def _aligned(values: pd.Series, ids: pd.Index, path: Path) -> np.ndarray:
    if len(values) != len(ids) or not values.index.is_unique or not ids.isin(values.index).all():
        raise UserError(f"The ids in {path} are not the expected ones: delete that folder to make it again.")
    return values[ids].to_numpy()


def blend(members: Sequence[Predictions], weights: Sequence[float]) -> Predictions:
    """Return the members' weighted mean probability, row by row; NaN where a member has none."""
    oof, test, parts = (mean_known([getattr(m, what) for m in members], weights) for what in ("oof", "test", "parts"))
    return Predictions(oof, test, parts)
