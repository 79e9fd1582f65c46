"""What split= and fold= say: which parts of the training rows are held out, and which of them are trained now."""

import math
import re
from typing import TYPE_CHECKING

from competition.core.errors import UserError

if TYPE_CHECKING:
    from competition.core.settings import Config

BY_SOURCE = "by-source"


def check_split(split: str, source: str) -> None:
    """Raise UserError for a way to split that there is not, and for folds by source where no ``source`` is named."""
    parse_shares(split)
    if split == BY_SOURCE and source == "none":
        raise UserError(
            f"split={BY_SOURCE} needs to know where each image is from: give source=column:NAME (of train.csv), "
            "or source=folders (those below the class folders)."
        )


def parse_shares(split: str) -> tuple[float, ...] | None:
    """Return the shares in ``holdout:0.7,0.2,0.1`` (training, validation, test), or None for K folds."""
    if split in ("folds", BY_SOURCE):
        return None
    kind, _, text = split.partition(":")
    remedy = f"write split=folds, split={BY_SOURCE}, or shares that sum to 1, as in split=holdout:0.7,0.2,0.1"
    try:
        shares = tuple(float(share) for share in text.split(","))
    except ValueError:
        shares = ()
    if kind != "holdout" or len(shares) not in (2, 3):
        raise UserError(f"split={split} is not a way to split the data: {remedy}.")
    if not all(0 < share < 1 for share in shares) or not math.isclose(sum(shares), 1, abs_tol=1e-6):
        raise UserError(f"split={split} does not share out all the rows: {remedy}.")
    return shares


def parse_folds(text: str, folds: int) -> tuple[list[int], bool]:
    """Return which folds ``text`` names, sorted, and whether a model on all rows is requested too.

    ``0..4``, ``0,2``, ``all`` and ``full`` (all folds, and the model on all rows) may be joined by commas.
    """
    chosen: set[int] = set()
    full = False
    for part in (part.strip() for part in text.split(",")):
        if part in ("all", "full"):
            full |= part == "full"
            chosen.update(range(folds) if part == "all" else ())
        elif match := re.fullmatch(r"(\d+)(?:\.\.(\d+))?", part):
            first, last = int(match[1]), int(match[2] or match[1])
            if last >= folds or first > last:
                raise UserError(f"fold={text} asks for a fold outside 0..{folds - 1} (folds={folds}).")
            chosen.update(range(first, last + 1))
        else:
            raise UserError(f"fold={text} is not a list of folds: write fold=0..{folds - 1}, fold=0,2 or fold=all.")
    return sorted(chosen or range(folds)), full


def chosen_folds(config: "Config") -> tuple[list[int], bool]:
    """Return which folds the run is to train, and whether a model on all rows is requested too."""
    try:
        return parse_folds(config.fold, config.parts)
    except UserError as error:
        if config.shares is None:
            raise
        raise UserError(
            f"fold={config.fold} does not go with split={config.split}, which holds out one part: leave fold= out."
        ) from error
