"""What a card knows of the program that made it."""

import os
import stat

from competition.ensemble.card import provenance


def test_the_commit_is_known_though_git_is_killed_once(tmp_path, monkeypatch):
    git = tmp_path / "git"
    git.write_text(f"#!/bin/sh\nmkdir {tmp_path}/asked 2>/dev/null && kill -9 $$\necho abc\n")
    git.chmod(git.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    assert provenance()["git_commit"] == "abc"


def test_without_git_there_is_no_commit(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert provenance()["git_commit"] is None
