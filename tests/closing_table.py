"""The closing table once more, from the files that a run leaves: what anyone can check in a dozen lines."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from competition.scoring.arrays import sigmoid
from competition.scoring.blend.average import mean_logit, mean_prob
from competition.scoring.blend.select import choose_blend
from competition.scoring.rows import OofRows, TestRows
from competition.scoring.scorecard import Score, score_predictions


def recomputed(run: Path, card: Path) -> dict[str, Score]:
    """Return each member's score and the ensemble's, of a run in folds whose verdict is not a label shift."""
    rule, folds = (
        json.loads(card.read_text())["threshold"]["asked"],
        pd.read_csv(run / "folds.csv", dtype={"group": str}),
    )
    members = {path.name: sorted(path.glob("fold*")) for path in sorted(run.glob("*")) if (path / "fold0").exists()}
    read = lambda folder, name: pd.read_csv(folder / name, index_col="id")  # noqa: E731
    oof = {
        m: pd.concat(read(f, "oof.csv") for f in parts)["prob"][folds["id"]].to_numpy() for m, parts in members.items()
    }
    logit = {m: np.stack([read(f, "test.csv")["logit"] for f in parts]) for m, parts in members.items()}
    rows = {m: OofRows(folds["label"], oof[m], folds["fold"], folds["group"]) for m in members}
    test = {m: TestRows(sigmoid(mean_logit(logit[m])), sigmoid(logit[m])) for m in members}
    blend = choose_blend(rows)
    weights = list(blend.choice.weights.values())
    mean, test_mean = (mean_prob(np.stack([found[m].prob for m in members]), weights) for found in (rows, test))
    parts = np.stack([mean_prob(fold, weights) for fold in zip(*(test[m].parts for m in members), strict=True)])
    rows["ensemble"] = rows[next(iter(members))].with_prob(mean, blend.oof)
    test["ensemble"] = TestRows(test_mean, parts)
    return {m: score_predictions(rows[m], test[m], rule) for m in rows}
