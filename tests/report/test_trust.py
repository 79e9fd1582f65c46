"""Whatever was computed, the page, the terminal and the card find every part of it under its name."""

import json
from dataclasses import asdict

import pytest

from competition.audit.findings import Audit, Finding, sorted_findings
from competition.report.metrics_json import plain
from competition.report.trust import Analysis, ConditionScore, in_short
from tests.report.runs import analysis

PARTS = ["shift", "unjudged", "threshold", "blend", "without", "views", "robustness", "audit", "sources", "metric"]


def test_what_is_not_known_has_its_place_all_the_same():
    assert list(asdict(Analysis())) == PARTS
    assert not any(value for part, value in asdict(Analysis()).items() if part != "metric")


def test_all_that_is_known_is_json_under_the_names_of_a_card():
    found = asdict(analysis())
    assert json.loads(json.dumps(found, allow_nan=False)) == plain(found)
    assert list(found["shift"]) == ["verdict", "remedy", "prior", "evidence"]
    assert list(found["shift"]["prior"]) == ["value", "low", "high", "train"]
    assert list(found["shift"]["evidence"][0]) == ["name", "value", "sentence", "alarming"]
    assert list(found["threshold"]) == ["asked", "rule", "why", "value", "rules", "on"]
    assert list(found["threshold"]["rules"]["em"]) == ["value", "interval", "oof_rate", "test_rate", "threshold"]
    assert list(found["blend"]) == ["method", "why", "weights", "value", "log_loss", "se"]
    assert list(found["robustness"][0]) == ["condition", "f1", "auc", "rows", "false_positive_rate"]
    wanted = ["source", "rows", "positives", "accuracy", "f1", "recall", "false_positive_rate", "auc"]
    assert list(found["sources"][0]) == wanted
    assert list(found["audit"]) == ["honest", "findings"]
    assert list(found["audit"]["findings"][0]) == ["name", "level", "what", "remedy", "rows_file"]


def test_findings_come_worst_first_and_otherwise_in_their_order():
    given = [("a", "note"), ("b", "alarm"), ("c", "warning"), ("d", "alarm")]
    findings = sorted_findings([Finding(name, level, "", "") for name, level in given])
    found = Audit("quick", findings, {}, None, None, None).summary()
    assert [finding.name for finding in found.findings] == ["b", "d", "c", "a"]
    assert not found.honest


def test_a_suite_in_short_names_the_mean_and_the_worst_of_what_is_not_clean():
    clean = ConditionScore("clean", 0.9, 0.95, 100, 0.1)
    blurred = ConditionScore("blur", 0.6, None, 100, None)
    compressed = ConditionScore("jpeg30", 0.7, 0.8, 100, 0.4)
    found = in_short([clean, blurred, compressed])
    assert found.clean is clean and found.mean_f1 == pytest.approx(0.65)
    assert found.worst is blurred and found.most_false_positives is compressed
    assert in_short([clean]) is None and in_short([]) is None
    assert in_short([blurred]).clean is None and in_short([blurred]).most_false_positives is None
