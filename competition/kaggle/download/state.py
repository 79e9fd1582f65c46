"""What an earlier download left in the data's folder, and whether it is whole: by a record beside the files."""

import os
from pathlib import Path
from typing import Any

from competition.core.errors import UserError
from competition.core.files import read_json
from competition.core.paths import shown
from competition.core.text import counted, listed

RECORD = ".kaggle.json"  # written before the folder gets its name: where it is, all else is
KEYS = {"competition", "listing", "files", "bytes", "tables"}


def standing(folder: Path, slug: str, overwrite: bool) -> dict[str, Any] | None:
    """Return the record of the download of a competition that stands complete in ``folder``, None if nothing is there.

    Raises UserError for a folder that holds, or with ``overwrite`` would lose, what no download of this competition
    brought, and, without it, for one that lacks what was brought.
    """
    name = shown(folder)
    if not os.path.lexists(folder):
        return None
    record = _record(folder) if folder.is_dir() else None
    if not folder.is_dir() or (os.path.ismount(folder) and (record is None or overwrite)):  # which no rename replaces
        raise UserError(f"{name} cannot be replaced by a new folder: name one in it or beside it with data=.")
    if record is None:
        if found := sorted(path.name for path in folder.iterdir()):
            raise UserError(f"{name} holds other files already ({listed(found)}): name a new folder with data=.")
        return None
    if record["competition"] != slug:
        raise UserError(f"{name} holds the files of competition {record['competition']}: name another data=.")
    there = contents(folder)
    if overwrite and there["files"] > record["files"]:
        more = counted(there["files"] - record["files"], "file")
        raise UserError(f"{name} holds {more} that no download brought: move what is yours elsewhere first.")
    if not overwrite and (gone := _gone(record, there)):
        raise UserError(f"The download in {name} is not whole any more ({gone}): overwrite=true downloads it anew.")
    return record


def _record(folder: Path) -> dict[str, Any] | None:
    """Return the record in a folder, None where there is none or something else under its name."""
    try:
        record = read_json(folder / RECORD)
    except ValueError:
        return None
    return record if isinstance(record, dict) and KEYS <= record.keys() else None


def contents(folder: Path) -> dict[str, Any]:
    """Return how many files there are below a folder, their bytes in all, and the sizes of those right in it."""
    files = size = 0
    tables = {}
    for place, _, names in os.walk(folder):
        for path in (Path(place, name) for name in names):
            if path == folder / RECORD:
                continue
            files, size = files + 1, size + path.stat().st_size
            if path.parent == folder:
                tables[path.name] = path.stat().st_size
    return {"files": files, "bytes": size, "tables": tables}


def _gone(record: dict[str, Any], there: dict[str, Any]) -> str:
    """Say what of a download is not there any more; nothing if all is."""
    for name, size in record["tables"].items():
        if there["tables"].get(name) != size:
            return f"{name} is another or none"
    if there["files"] < record["files"]:
        return f"{record['files'] - there['files']:,} of its {counted(record['files'], 'file')} are gone"
    return "some of its files are shorter" if there["bytes"] < record["bytes"] else ""
