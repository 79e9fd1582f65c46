"""The figures by which submissions are compared: read from a card, kept in the ledger's cells, and read back."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from competition.scoring.leaderboard_metric import Metric, find_metric

Row = dict[str, str]  # of the ledger: every value as text, "" where it is not known; times are ISO 8601 in UTC


@dataclass(frozen=True)
class Figures:
    """What is known of a submission's worth; None (or "") what is not. All but ``key`` are columns of the ledger.

    ``cv`` is by the ``metric``, ``cv_low`` and ``cv_high`` the ends of its 95 % interval; ``range_low`` and
    ``range_high`` those of the range in which ``public``, Kaggle's score, was expected, and ``public_rows`` how many
    rows that is about. ``world`` is the verdict on the test set, ``positive_rate`` the share of test rows called 1.
    ``key`` tells submissions apart.
    """

    key: str = ""
    name: str = ""
    metric: str = ""
    cv: float | None = None
    cv_low: float | None = None
    cv_high: float | None = None
    range_low: float | None = None
    range_high: float | None = None
    threshold: float | None = None
    world: str = ""
    positive_rate: float | None = None
    public_rows: float | None = None
    commit: str = ""
    public: float | None = None

    @property
    def scored_by(self) -> Metric:
        """The metric; F1 where none is named, as in ledgers of before."""
        return find_metric(self.metric or "f1")

    @property
    def interval(self) -> tuple[float, float] | None:
        """The CV interval."""
        return None if self.cv_low is None or self.cv_high is None else (self.cv_low, self.cv_high)

    @property
    def leaderboard(self) -> tuple[float, float] | None:
        """The leaderboard range."""
        return None if self.range_low is None or self.range_high is None else (self.range_low, self.range_high)


def place(value: float | None, ends: tuple[float, float] | None) -> str:
    """Return where a value lies: ``inside`` the two ends, ``below`` or ``above`` them, "" where either is unknown."""
    if value is None or ends is None:
        return ""
    return "below" if value < ends[0] else "above" if value > ends[1] else "inside"


def figures_of(card: Mapping[str, Any]) -> Figures:
    """Return a card's key figures, those of the ensemble or the only member."""
    scores = list(card.get("cv", {}).values())
    rows, share = card.get("rows", {}).get("test"), card.get("public_fraction", 1.0)
    cv_low, cv_high = card.get("cv_interval") or (None, None)
    range_low, range_high = card.get("leaderboard_range") or (None, None)
    return Figures(
        name=card.get("name", ""),
        metric=(metric := card.get("metric", "")),
        cv=scores[-1].get(metric or "f1") if scores else None,
        cv_low=cv_low,
        cv_high=cv_high,
        range_low=range_low,
        range_high=range_high,
        threshold=(card.get("threshold") or {}).get("value"),
        world=(card.get("world") or {}).get("verdict", ""),
        positive_rate=(card.get("predicted_positive_rate") or {}).get("test"),
        public_rows=round(rows * share) if rows else None,
        commit=(card.get("git_commit") or "")[:7],
    )


COLUMNS = tuple(one.name for one in fields(Figures) if one.name != "key")  # of the ledger that hold figures


def cells_of(figures: Figures) -> Row:
    """Return the figures as cells of the ledger, numbers with six digits."""
    values = {column: getattr(figures, column) for column in COLUMNS}
    return {
        column: "" if value is None else value if isinstance(value, str) else f"{value:.6g}"
        for column, value in values.items()
    }


def figures_in(row: Row) -> Figures:
    """Return the figures that a row of the ledger holds; its key is its fingerprint, or else Kaggle's reference."""
    texts = {one.name for one in fields(Figures) if one.default == ""}
    known: dict[str, Any] = {name: row[name] if name in texts else number(row[name]) for name in COLUMNS}
    return Figures(key=row["fingerprint"] or row["ref"], **known)


def number(text: str) -> float | None:
    """Return the number that a cell holds, None where it holds none."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
