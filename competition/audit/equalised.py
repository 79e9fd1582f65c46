"""What metadata still tell of the classes once equalise= has compressed all stored images alike."""

import numpy as np
import pandas as pd

from competition.audit.findings import Finding, Separation
from competition.audit.separability import separation, some_rows
from competition.data.images.degrade import encode_jpeg
from competition.data.run_data import RunData

MAX_ENCODED = 2_000  # training rows whose stored pixels are compressed, to see how many bytes they take: a second


def equalised_metadata(data: RunData, before: Separation | None, seed: int) -> Finding | None:
    """Return how well the size of the stored images, in pixels and in bytes at one quality, tells the classes apart.

    That is what is left to a classifier that sees no pixel; ``before``: what it made of the files as they are. None
    where no member's images are compressed alike, or there is too little to see.
    """
    spec = next((spec for spec in data.stores if spec.quality), None)
    if spec is None:
        return None
    rows = data.train.iloc[some_rows(data.train["group"].to_numpy(object), MAX_ENCODED, seed)]
    store = data.stores[spec][0]
    sizes = np.array(
        [(*store.shape(row)[:2], len(encode_jpeg(store[row], spec.quality))) for row in rows["row"]], float
    )
    height, width, count = sizes.T
    features = pd.DataFrame(
        {"width": width, "height": height, "aspect": width / height, "bytes": count, "bits": count / (width * height)}
    )
    left = separation(features, rows["label"].to_numpy(np.int64), rows["group"].to_numpy(object), seed)
    if left is None:
        return None
    was = "" if before is None else f" The files as they are gave it AUC {before.auc:.3f}."
    return Finding(
        "metadata-left",
        left.level or "note",
        f"With equalise=jpeg:{spec.quality} a classifier that sees no pixel is left with AUC {left.auc:.3f} (95 % "
        f"interval {left.low:.3f} to {left.high:.3f}; chance is .5).{was}",
        "What is left is the pictures' own size and detail: crop at native size (fit=crop), and compare.",
        left.rounded(),
    )
