"""Submission files and the cards that belong to them, found again by their bytes."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from competition.audit.findings import AuditSummary, FindingSummary
from competition.core.errors import UserError, did_you_mean
from competition.core.intact import kept_record
from competition.kaggle.submission.write import LATEST
from competition.report.trust import Analysis
from competition.scoring.shift.class_prior import Prior
from competition.scoring.shift.statistics import Statistic
from competition.scoring.shift.verdict import Shift

Card = dict[str, Any]


def analysis_of(card: Card) -> Analysis:
    """Return what a card says of how far its score can be believed: its verdict on the test set and its audit."""
    world, audit = card.get("world"), card.get("audit")
    if world:
        prior = Prior(**world["prior"]) if world["prior"] else None
        world = Shift(world["verdict"], world["remedy"], prior, [Statistic(**one) for one in world["evidence"]])
    if audit:
        audit = AuditSummary(audit["honest"], [FindingSummary(**one) for one in audit["findings"]])
    return Analysis(world, "this run had no way to tell", audit=audit)


def cards(folder: Path) -> Iterator[tuple[Path, Card]]:
    """Yield every submission file below ``folder`` that has a card, with its card; what is no card is passed over."""
    for path in sorted(folder.glob("*/*.json")):
        card = kept_record(path)
        csv = path.with_suffix(".csv")
        if "sha256" in card and csv.is_file():
            yield csv, card


def find_card(folder: Path, content: bytes) -> tuple[Path, Card] | None:
    """Return the newest card about exactly these bytes and the file that it stands beside, None where there is none."""
    digest = hashlib.sha256(content).hexdigest()
    found = [(csv, card) for csv, card in cards(folder) if card["sha256"] == digest]
    return max(found, key=lambda pair: pair[1].get("created", ""), default=None)


def newest(folder: Path, name: str) -> Path:
    """Return the latest submission of a run: the one that submission.csv is a copy of, if it is of this run. Raises
    UserError where it has none."""
    latest = folder / LATEST
    current = find_card(folder, latest.read_bytes()) if latest.is_file() else None
    if current and current[0].parent.name == name:
        return current[0]
    own = [(card.get("created", ""), csv) for csv, card in cards(folder) if csv.parent.name == name]
    if not own:
        known = {csv.parent.name for csv, _ in cards(folder)}
        hint = did_you_mean(name, known) if known else ": ./run.sh fold=0..4 makes one"
        raise UserError(f"The run '{name}' has no submission in {folder}{hint}")
    return max(own)[1]
