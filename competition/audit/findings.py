"""What an audit says: findings, each with its level, its numbers, its rows and its remedy, and what they add up to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from competition.scoring.shift.statistics import AucInterval

LEVELS = ("alarm", "warning", "note")  # the gravest first
ABOUT_TEST = ("train-test-metadata",)  # which makes no CV score dishonest, but of little use
WARN_AUC, ALARM_AUC = 0.60, 0.75  # AUC from which metadata are a shortcut, and from which no CV score counts as honest


class Separation(AucInterval):
    """How well metadata tell two kinds of rows apart."""

    def __str__(self) -> str:
        return f"AUC {self.auc:.3f} (95 % interval {self.low:.3f} to {self.high:.3f})"

    @property
    def level(self) -> str | None:
        """``alarm``, ``warning`` or ``None``: beyond chance *and* large enough to matter."""
        if self.low <= 0.5 or self.auc < WARN_AUC:
            return None
        return "alarm" if self.auc >= ALARM_AUC else "warning"

    def rounded(self) -> dict[str, float]:
        """Return its figures to four digits, as JSON holds them."""
        return {name: round(value, 4) for name, value in self._asdict().items()}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong with the data, or worth knowing.

    name: kebab-case, the same in every audit. level: one of ``LEVELS``. what: one sentence with the numbers. remedy:
    one sentence. figures: JSON values. rows: the rows concerned, with columns id, set (train or test), label (empty for
    test) and what shows it; ``None`` where it is not about rows.
    """

    name: str
    level: str
    what: str
    remedy: str
    figures: Mapping[str, Any] = field(default_factory=dict)
    rows: pd.DataFrame | None = None


@dataclass(frozen=True)
class FindingSummary:
    """A finding as a card holds it; ``rows_file``: where its rows are listed, below the run's folder."""

    name: str
    level: str
    what: str
    remedy: str
    rows_file: str | None = None


@dataclass(frozen=True)
class AuditSummary:
    """An audit as a card holds it: whether a CV score may be called honest, and the findings, the gravest first."""

    honest: bool
    findings: Sequence[FindingSummary]


@dataclass(frozen=True)
class Audit:
    """All that was found at one depth.

    features: the AUC of each metadata feature alone. metadata: of a classifier of the labels that sees metadata only.
    domain: of one that tells test rows from training rows; both ``None`` where there is nothing to see or too little.
    links: columns id, other, why (exact, near or twins): training rows that must share a fold.
    """

    depth: str
    findings: tuple[Finding, ...]
    features: Mapping[str, float]
    metadata: Separation | None
    domain: Separation | None
    links: pd.DataFrame

    @property
    def honest(self) -> bool:
        """Whether a CV score on these data may be called honest: nothing about the training rows is an alarm."""
        return all(finding.level != "alarm" or finding.name in ABOUT_TEST for finding in self.findings)

    def summary(self) -> AuditSummary:
        """Return what a card holds of it."""
        found = ((one, None if one.rows is None else f"audit/{one.name}.csv") for one in self.findings)
        listed = [FindingSummary(one.name, one.level, one.what, one.remedy, file) for one, file in found]
        return AuditSummary(self.honest, listed)

    def get(self, name: str) -> Finding | None:
        """Return the finding of this name, or ``None`` if there is none."""
        return next((finding for finding in self.findings if finding.name == name), None)


def sorted_findings(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return findings with the gravest first, otherwise in their order."""
    return tuple(sorted(findings, key=lambda finding: LEVELS.index(finding.level)))
