"""Once images are compressed alike, the audit says what is left to a classifier that sees no pixel."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pandas as pd

from competition.audit.equalised import equalised_metadata
from competition.audit.findings import Separation
from competition.data.images.stores import ImageStore, StoreSpec


def made(grain, quality=96, rows=160):
    """Return a run's data: images of two classes, of class 1 with ``grain`` times as much noise."""
    rng = np.random.default_rng(0)
    label = np.tile([0, 1], rows // 2)
    noise = rng.normal(0, 12, (rows, 24, 24, 3)) * np.where(label == 1, grain, 1)[:, None, None, None]
    store = ImageStore(list((128 + noise).clip(0, 255).astype(np.uint8)))
    train = pd.DataFrame({"label": label, "group": [f"g{row}" for row in range(rows)], "row": range(rows)})
    return SimpleNamespace(train=train, stores={StoreSpec(24, 0, quality): (store, store)})


def test_a_class_with_more_detail_still_shows_in_the_bytes_and_one_like_the_other_does_not():
    telling = equalised_metadata(made(1.3), Separation(0.99, 0.98, 1.0), 0)
    assert telling.level == "alarm" and telling.figures["auc"] > 0.9
    assert "equalise=jpeg:96" in telling.what and "gave it AUC 0.990" in telling.what
    silent = equalised_metadata(made(1.0), None, 0)
    assert silent.level == "note" and abs(silent.figures["auc"] - 0.5) < 0.15
    assert dataclasses.asdict(silent)["name"] == "metadata-left"


def test_without_equalising_or_with_too_few_rows_nothing_is_said():
    assert equalised_metadata(made(1.0, quality=0), None, 0) is None
    assert equalised_metadata(made(1.0, rows=20), None, 0) is None
