"""An audit as files (audit.json and a CSV of rows for each finding) and as lines for a terminal."""

import json
from pathlib import Path
from typing import Any

from competition.audit.findings import Audit, Finding
from competition.core.files import write_changed
from competition.core.intact import kept_record, sealed
from competition.core.paths import shown

REPORT = "audit.json"


def write_audit(folder: Path, audit: Audit, about: str = "") -> None:
    """Write ``folder``/audit.json and ``<finding>.csv`` for each finding with rows, atomically.

    What is there already is not written again; CSVs of an earlier audit whose finding is gone are removed, and no other
    file is touched. ``about`` is kept in it: what the audit is of, for whoever may replace it.
    """
    earlier = kept_record(folder / REPORT)
    tables = {
        _csv_name(finding): finding.rows.to_csv(index=False, lineterminator="\n")
        for finding in audit.findings
        if finding.rows is not None
    }
    for name, text in tables.items():
        write_changed(folder / name, text)
    write_changed(
        folder / REPORT, json.dumps(sealed(_as_json(audit) | {"about": about}), indent=2, allow_nan=False) + "\n"
    )
    for finding in earlier.get("findings", []):
        if finding["rows"] and finding["rows"] not in tables:
            (folder / Path(finding["rows"]).name).unlink(missing_ok=True)


def audit_lines(audit: Audit, folder: Path) -> list[str]:
    """Return what a terminal shows: the gravest first; what it is and how bad, then which rows, then what to do."""
    lines = []
    for finding in audit.findings:
        lines.append(f"{finding.level.upper():8}{finding.name}: {finding.what}")
        if finding.rows is not None:
            lines.append(f"{'':8}rows: {shown(folder / _csv_name(finding))} ({len(finding.rows):,})")
        lines.append(f"{'':8}do: {finding.remedy}")
    if all(finding.level == "note" for finding in audit.findings):
        lines.append(f"Nothing wrong was found in what was checked ({audit.depth} audit).")
    return lines


def _csv_name(finding: Finding) -> str:
    return f"{finding.name}.csv"


def _as_json(audit: Audit) -> dict[str, Any]:
    return {
        "depth": audit.depth,
        "honest": audit.honest,
        "metadata": audit.metadata and audit.metadata.rounded(),
        "domain": audit.domain and audit.domain.rounded(),
        "features": {name: round(value, 4) for name, value in audit.features.items()},
        "findings": [
            {
                "name": finding.name,
                "level": finding.level,
                "what": finding.what,
                "remedy": finding.remedy,
                "figures": dict(finding.figures),
                "rows": None if finding.rows is None else _csv_name(finding),
            }
            for finding in audit.findings
        ],
    }
