"""The thumbnail canary: does what is in the pictures tell the classes apart, where no trace of a generator survives?

At 8 x 8 grey pixels nothing is left of an image but how light and dark are spread over it. A classifier that tells the
classes apart by that alone has learned what was photographed and what was generated, and a network will, too.
"""

from collections.abc import Iterator

import cv2
import numpy as np
import pandas as pd

from competition.audit.findings import Finding
from competition.audit.inputs import AuditInputs
from competition.audit.separability import separation

GRID = 8  # cells of a side
MIN_INTERVALS = 1.5  # half-widths of its interval that the AUC lies above .5: 64 cells find something in any few rows


def composition_findings(inputs: AuditInputs, group: np.ndarray, seed: int) -> Iterator[Finding]:
    """Yield the finding ``composition`` where 8 x 8 grey thumbnails tell the classes apart, out of fold.

    ``group`` (train rows,) keeps copies in one fold. It is never an alarm: composition is in what models may look at,
    and a score that owes it something holds wherever the pictures are chosen alike. Audits that decode nothing yield
    nothing.
    """
    if not inputs.decoded:
        return
    rows = np.flatnonzero(inputs.pictured[: inputs.train])
    label = inputs.train_rows["label"].to_numpy()[rows]
    cells = [
        cv2.resize(picture, (GRID, GRID), interpolation=cv2.INTER_AREA).ravel() for picture in inputs.thumbnails[rows]
    ]
    apart = separation(pd.DataFrame(np.array(cells, float).reshape(len(rows), GRID * GRID)), label, group[rows], seed)
    if apart is None or apart.level is None or apart.auc - 0.5 < MIN_INTERVALS * (apart.auc - apart.low):
        return
    yield Finding(
        "composition",
        "warning",
        f"Thumbnails of {GRID} x {GRID} grey pixels tell the classes apart, {apart}: they show different things.",
        "A CV score owes something to what is in the pictures, and will not hold where they are chosen otherwise: add "
        "images so that both classes show the same, or train on pairs of a photograph and its AI twin (pairs=batch).",
        {**apart.rounded(), "looked_at": len(rows)},
    )
