"""An audit's files are written once, name their rows, and leave nothing of an earlier audit behind."""

import json

import pandas as pd
import pytest

from competition.audit.examine import audit
from competition.audit.findings import Audit, Finding, Separation
from competition.audit.write import audit_lines, write_audit
from competition.core.errors import UserError
from tests.audit.planted import clean, write

ROWS = pd.DataFrame({"id": ["a,1.jpg"], "set": ["train"], "label": pd.array([1], "Int64"), "cluster": [1]})
TEST_ROW = pd.DataFrame(
    {"id": ["t.jpg"], "set": ["test"], "label": pd.array([None], "Int64"), "fault": ["it is empty"]}
)
ALARM = Finding("metadata-shortcut", "alarm", "It is bad.", "Mend it.", {"auc": 0.9})
NOTE = Finding("exact-duplicates", "note", "Two are one.", "Leave one out.", {}, ROWS)
BROKEN = Finding("broken-files", "warning", "One is broken.", "Get it anew.", {}, TEST_ROW)
LINKS = pd.DataFrame(columns=["id", "other", "why"])


def made(*findings):
    return Audit("full", findings, {"bytes": 0.61234}, Separation(0.9, 0.8, 0.95), None, LINKS)


def stamps(folder):
    return {path.name: (path.stat().st_mtime_ns, path.stat().st_ino) for path in folder.iterdir()}


def test_the_report_and_the_rows_of_each_finding_are_written(tmp_path):
    write_audit(tmp_path, made(ALARM, BROKEN, NOTE))
    report = json.loads((tmp_path / "audit.json").read_text())
    assert report["honest"] is False and report["domain"] is None
    assert report["metadata"] == {"auc": 0.9, "low": 0.8, "high": 0.95}
    assert [(one["name"], one["rows"]) for one in report["findings"]] == [
        ("metadata-shortcut", None),
        ("broken-files", "broken-files.csv"),
        ("exact-duplicates", "exact-duplicates.csv"),
    ]
    assert (tmp_path / "exact-duplicates.csv").read_text() == 'id,set,label,cluster\n"a,1.jpg",train,1,1\n'
    assert (tmp_path / "broken-files.csv").read_text() == "id,set,label,fault\nt.jpg,test,,it is empty\n"


def test_nothing_is_written_twice_and_stale_rows_go_but_no_other_file(tmp_path):
    (tmp_path / "folds.csv").write_text("mine")
    write_audit(tmp_path, made(ALARM, BROKEN, NOTE))
    before = stamps(tmp_path)
    write_audit(tmp_path, made(ALARM, BROKEN, NOTE))
    assert stamps(tmp_path) == before
    write_audit(tmp_path, made(BROKEN))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["audit.json", "broken-files.csv", "folds.csv"]
    assert (tmp_path / "folds.csv").read_text() == "mine"


def test_the_terminal_shows_what_which_rows_and_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = audit_lines(made(ALARM, BROKEN), tmp_path / "audit")
    assert lines[0] == "ALARM   metadata-shortcut: It is bad."
    assert [line.strip() for line in lines[1:]] == [
        "do: Mend it.",
        "WARNING broken-files: One is broken.",
        "rows: audit/broken-files.csv (1)",
        "do: Get it anew.",
    ]
    assert audit_lines(made(NOTE), tmp_path)[-1] == "Nothing wrong was found in what was checked (full audit)."


def test_a_real_audit_can_be_written_and_lists_the_gravest_first(tmp_path):
    train, test = clean(80, 0)
    train = sorted(train, key=lambda one: one.label)
    found = audit(write(tmp_path / "data", train, test), tmp_path / "cache", "tables")
    write_audit(tmp_path / "audit", found)
    report = json.loads((tmp_path / "audit/audit.json").read_text())
    assert [one["level"] for one in report["findings"]] == ["warning", "note"]


def test_an_unknown_depth_is_refused_in_one_sentence(tmp_path):
    dataset = write(tmp_path / "data", clean(4, 0)[0], [])
    with pytest.raises(UserError, match="depth=ful is not a depth of an audit; did you mean 'full'"):
        audit(dataset, tmp_path, "ful")
