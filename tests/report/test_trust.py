"""Whatever was computed, the page and the terminal find every key; and nothing that was told is lost."""

import pytest

from competition.report.trust import complete
from tests.report.runs import honest

EMPTY = {
    "shift": None,
    "unasked": "",
    "threshold": None,
    "blend": None,
    "without": [],
    "views": [],
    "robustness": [],
    "audit": None,
}


def test_nothing_told_is_nothing_known():
    assert complete({}) == EMPTY
    assert complete(EMPTY) == EMPTY
    assert complete(dict.fromkeys(EMPTY)) == EMPTY


def test_what_was_told_in_full_stays_as_it_is():
    told = honest()
    found = complete(told)
    for part in ("shift", "blend", "without", "views", "robustness"):
        assert found[part] == told[part]


def test_completing_twice_changes_nothing():
    once = complete(honest(verdict="another world"))
    assert complete(once) == once


@pytest.mark.parametrize(
    ("part", "told", "expected"),
    [
        (
            "shift",
            {"verdict": "same world", "prior": {"value": 0.5}},
            {
                "verdict": "same world",
                "remedy": "",
                "evidence": [],
                "prior": {"value": 0.5, "low": None, "high": None, "train": None},
            },
        ),
        (
            "threshold",
            {"rule": "em", "rules": {"em": {"f1": 0.9, "test_rate": None}}},
            {
                "asked": None,
                "rule": "em",
                "why": "",
                "rules": {"em": {"f1": 0.9, "interval": None, "oof_rate": None, "test_rate": None, "threshold": None}},
            },
        ),
        (
            "blend",
            {"method": "caruana", "f1": {"equal": 0.9}},
            {
                "method": "caruana",
                "why": "",
                "weights": {},
                "f1": {"equal": 0.9},
                "log_loss": {"equal": None},
                "se": {"equal": None},
            },
        ),
        (
            "robustness",
            [{"condition": "blur", "f1": 0.7}],
            [{"condition": "blur", "f1": 0.7, "auc": None, "rows": None}],
        ),
        (
            "audit",
            {"findings": [{"name": "parity"}]},
            {
                "honest": True,
                "findings": [{"name": "parity", "level": "note", "what": "", "remedy": "", "rows_file": None}],
            },
        ),
    ],
)
def test_missing_keys_are_filled(part, told, expected):
    assert complete({part: told})[part] == expected


def test_findings_come_worst_first_and_otherwise_in_their_order():
    given = [("a", "note"), ("b", "alarm"), ("c", "warning"), ("d", "alarm")]
    found = complete({"audit": {"findings": [{"name": name, "level": level} for name, level in given]}})
    assert [finding["name"] for finding in found["audit"]["findings"]] == ["b", "d", "c", "a"]
