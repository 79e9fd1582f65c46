"""The closing table once more, from the files that a run leaves: what anyone can check in a dozen lines."""

import json
from pathlib import Path

import numpy as np
import pandas as pd

from competition.scoring.blend.average import mean_logit, mean_prob
from competition.scoring.blend.select import choose_blend
from competition.scoring.metrics import sigmoid
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
    judged = {m: (oof[m], oof[m], sigmoid(mean_logit(logit[m])), sigmoid(logit[m])) for m in members}
    blend = choose_blend(oof, folds["label"], folds["fold"], folds["group"])
    mean = [
        mean_prob(np.stack([judged[m][at].ravel() for m in members]), list(blend.choice.weights.values()))
        for at in (1, 2, 3)
    ]
    judged["ensemble"] = (blend.oof, *mean[:2], mean[2].reshape(logit[next(iter(members))].shape))
    return {
        m: score_predictions(folds["label"], prob, folds["fold"], folds["group"], test, parts, rule, whole=whole)
        for m, (prob, whole, test, parts) in judged.items()
    }
