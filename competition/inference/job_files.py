"""What a finished job leaves in its folder, and whether it is still what was written: ``done.json`` says."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from competition.core.intact import check_content, content_mark, damaged, read_record_file
from competition.core.yaml_text import parse_yaml

DONE_FILE = "done.json"  # the job's keys, figures and times, and the digests of its ``files``
SETTINGS_FILE = "config.yaml"  # what decides the job's weights
TRAINED = (SETTINGS_FILE, "model.safetensors", "history.jsonl")
PREDICTED = ("oof.csv", "test.csv", "evidence.npz")


def read_done(folder: Path) -> dict[str, Any]:
    """Return a job's ``done.json``; nothing where there is none. UserError where it is damaged."""
    return read_record_file(folder / DONE_FILE) or {}


def digests(folder: Path, names: Iterable[str]) -> dict[str, list[Any]]:
    """Return the size and the digest of each of these files that a job has left."""
    return {name: content_mark(folder / name) for name in names if (folder / name).exists()}


def check_intact(path: Path) -> None:
    """Raise UserError where a job's file is not what the job left; jobs of the first release do not tell."""
    if path.exists():
        check_content(path, read_done(path.parent).get("files", {}).get(path.name))


def read_history(path: Path) -> list[dict[str, Any]]:
    """Return the epochs in a job's ``history.jsonl`` as far as they are known here; none of one that is damaged."""
    try:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    except (FileNotFoundError, ValueError):
        return []


def begun_settings(folder: Path) -> dict[str, Any] | None:
    """Return the settings under which a job was begun, or None where none was. UserError where they are damaged."""
    path = folder / SETTINGS_FILE
    try:
        found = parse_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise damaged(path, "it is not the YAML that was written") from error
    if not isinstance(found, dict):
        raise damaged(path, "it holds no settings")
    return found
