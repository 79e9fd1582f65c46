"""What a run knows of how far its own score can be believed, in the one shape that the page and the terminal read.

Every key is there whatever was computed: what is unknown is None, and what there is nothing of is empty.
"""

from collections.abc import Mapping
from typing import Any

from competition.audit.findings import LEVELS

METHODS = {
    "equal": "equal weights",
    "caruana": "Caruana selection",
    "stacking": "non-negative stacking",
}


def complete(honest: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``Story.honest`` with all its keys.

    ``shift``: verdict, remedy, prior (value, low, high and train: shares of class 1) and evidence (name, sentence,
    alarming and value of each); ``unasked``: why there is none of it. ``threshold``: asked, rule, why, and rules by
    name (f1, interval, oof_rate, test_rate, threshold). ``blend``: method, why, weights by member; f1, log_loss
    (recalibrated, nats) and se (of its difference from equal weights') by method. ``audit``: honest and findings
    (name, level, what, remedy, rows_file), the worst level first. These four are None where nothing was computed.
    Lists of rows: ``without`` (member, f1, auc, log_loss, difference, se), ``views`` (views, f1, auc, log_loss),
    ``robustness`` (condition, f1, auc, rows).
    """
    return {
        "shift": _shift(honest.get("shift")),
        "unasked": honest.get("unasked") or "",
        "threshold": _threshold(honest.get("threshold")),
        "blend": _blend(honest.get("blend")),
        "without": _rows(honest.get("without"), "member", "f1", "auc", "log_loss", "difference", "se"),
        "views": _rows(honest.get("views"), "views", "f1", "auc", "log_loss"),
        "robustness": _rows(honest.get("robustness"), "condition", "f1", "auc", "rows"),
        "audit": _audit(honest.get("audit")),
    }


def _filled(entry: Mapping[str, Any], *keys: str, **defaults: Any) -> dict[str, Any]:
    """Return the entry with ``keys`` as None and ``defaults`` where it has no value for them."""
    known = {key: value for key, value in entry.items() if value is not None}
    return {**dict.fromkeys(keys), **defaults, **known}


def _rows(entries: Any, *keys: str) -> list[dict[str, Any]]:
    return [_filled(entry, *keys) for entry in entries or ()]


def _shift(given: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not given:
        return None
    shift = _filled(given, "verdict", "prior", remedy="", evidence=[])
    if shift["prior"]:
        shift["prior"] = _filled(shift["prior"], "value", "low", "high", "train")
    shift["evidence"] = [_filled(item, "value", name="", sentence="", alarming=False) for item in shift["evidence"]]
    return shift


def _threshold(given: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not given:
        return None
    threshold = _filled(given, "asked", "rule", why="", rules={})
    keys = ("f1", "interval", "oof_rate", "test_rate", "threshold")
    return threshold | {"rules": {name: _filled(rule, *keys) for name, rule in threshold["rules"].items()}}


def _blend(given: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not given:
        return None
    blend = _filled(given, "method", why="", weights={}, f1={}, log_loss={}, se={})
    return blend | {key: {**dict.fromkeys(blend["f1"]), **blend[key]} for key in ("log_loss", "se")}


def _audit(given: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if not given:
        return None
    audit = _filled(given, honest=True, findings=[])
    keys = {"name": "", "level": LEVELS[-1], "what": "", "remedy": ""}
    findings = [_filled(finding, "rows_file", **keys) for finding in audit["findings"]]
    return audit | {"findings": sorted(findings, key=lambda finding: LEVELS.index(finding["level"]))}
