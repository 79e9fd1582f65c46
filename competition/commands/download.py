"""The command `download`: a competition's files from Kaggle into a folder of their own, complete or not there at all.

Repeated, it recognises what is complete and goes on with what is not; no file that it did not bring is touched.
"""

import contextlib
import errno
import os
import shlex
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from competition.core.config import Config, load_config, parse_options
from competition.core.errors import Unfinished, UserError
from competition.core.files import fingerprint, only_one, write_json
from competition.core.help import preset_names
from competition.core.paths import located, shown
from competition.core.text import counted
from competition.kaggle.client.account import find_account
from competition.kaggle.client.slugs import slug_in
from competition.kaggle.download.state import RECORD, contents, standing
from competition.kaggle.download.unpack import Damaged, Unsafe, gigabytes, unpack, unpack_inner

USAGE = "./run.sh download competition=SLUG"
PRESET = "wai2025"  # whose competition is meant where none is named
OPTIONS = {"competition": "", "preset": "", "data": "", "keep_zip": "false", "overwrite": "false", "patience": "300"}
SITE = ".download"  # beside the data's folder: where the archive comes in and is unpacked
LOCK = ".lock"
PAGES = 25  # of 200 files: of competitions of more, a part of the list must do


@dataclass(frozen=True)
class Asked:
    """``config``: the settings that read the data; ``settings``: the words that give a run these; ``patience``: seconds
    without a byte more after which the download is given up."""

    slug: str
    config: Config
    settings: tuple[str, ...]
    keep_zip: bool
    overwrite: bool
    patience: float

    @property
    def folder(self) -> Path:
        """The data's folder, whatever links lead there."""
        return located(self.config.data).resolve()

    @property
    def site(self) -> Path:
        """Where the archive comes in and is unpacked, on the disk of the data's folder."""
        return self.folder.parent / SITE / self.slug


def download_command(words: Sequence[str]) -> None:
    """Bring a competition's files, say what they are, and what to type next."""
    asked = parse(words)
    account = find_account()
    for warning in account.warnings:
        print(f"Warning: {warning}.")
    record = standing(asked.folder, asked.slug, asked.overwrite)
    from competition.kaggle.client.api import Kaggle, accepted_rules  # a second to import

    kaggle = Kaggle(account, asked.patience)
    accepted_rules(kaggle, asked.slug)
    files = kaggle.files(asked.slug, PAGES)
    listing = fingerprint(sorted([file.name, file.total_bytes, str(file.creation_date)] for file in files))
    if record and not asked.overwrite:
        _clear(asked, record)
        print(f"{_brought(asked, record)}; nothing is downloaded.")
        if record["listing"] != listing:
            print("Warning: the competition's files on Kaggle are others now: overwrite=true downloads them anew.")
    else:
        with _alone(asked):
            record = _bring(asked, kaggle, listing, sum(file.total_bytes for file in files))
        print(f"{_brought(asked, record)}.")
    print("\n".join(described(asked)))


def parse(words: Sequence[str]) -> Asked:
    """Turn words like ``competition=SLUG`` into what is asked for; UserError for every mistake."""
    given, named = parse_options(words, OPTIONS)
    if named:
        raise UserError(f"'{named[0]}' is not a setting: write key=value, as in {USAGE}.")
    slug = slug_in(given["competition"])
    preset = given["preset"] or (_preset_of(slug) if slug else PRESET)
    settings = [f"preset={preset}"] if preset else []
    usual = load_config([*settings, "name=any"], {"preset": "small"})  # or the current folder would lend its name
    if not slug and not usual.competition:
        raise UserError(f"preset={preset} is of no competition on Kaggle: name one, as in {USAGE}.")
    if slug and slug != usual.competition:
        settings += [f"competition={slug}", f"data={given['data'] or f'data/{slug}'}"]
    elif given["data"]:
        settings.append(f"data={given['data']}")
    config = load_config(settings, {"preset": "small"})
    flags = {name: _flag(name, given[name]) for name in ("keep_zip", "overwrite")}
    return Asked(config.competition, config, tuple(settings), patience=_seconds(given["patience"]), **flags)


def _preset_of(slug: str) -> str:
    return next(
        (name for name in preset_names() if load_config([f"preset={name}", "name=any"]).competition == slug), ""
    )


def _flag(name: str, text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise UserError(f"{name}={text} is not true or false.")
    return text.lower() == "true"


def _seconds(text: str) -> float:
    with contextlib.suppress(ValueError):
        if 1 <= float(text) <= 1e6:
            return float(text)
    raise UserError(f"patience={text} is no number of seconds from 1 to 1e+06.")


@contextlib.contextmanager
def _alone(asked: Asked) -> Iterator[None]:
    """Keep other downloads of the competition to the same place away, and leave no empty folder behind."""
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(only_one(asked.site / LOCK, 0))
        except UserError:
            raise UserError(
                f"Another download of {asked.slug} to {shown(asked.site.parent.parent)} is under way: wait for it."
            ) from None
        try:
            yield
        finally:
            if [path.name for path in asked.site.iterdir()] == [LOCK]:
                shutil.rmtree(asked.site)
                with contextlib.suppress(OSError):  # those of other competitions
                    asked.site.parent.rmdir()


def _bring(asked: Asked, kaggle: Any, listing: str, listed_bytes: int) -> dict[str, Any]:
    """Download, unpack and put in place; return the record of it."""
    from competition.kaggle.download.fetch import fetch

    print(f"Downloading {asked.slug} to {shown(asked.folder)} ...", flush=True)
    archive = fetch(kaggle, asked.slug, asked.site, listed_bytes, asked.patience)
    record = {"competition": asked.slug, "listing": listing, "archive": archive.stat().st_size, "kept": asked.keep_zip}
    staged, replaced = asked.site / "files", asked.site / "replaced"
    shutil.rmtree(staged, ignore_errors=True)  # a killed run's
    with _said_in_a_sentence(asked, archive, staged):
        unpack(archive, staged, listed_bytes)
        for note in unpack_inner(staged, asked.keep_zip):
            print(f"Warning: {note}.")
        record |= contents(staged)
        os.sync()  # all of it is on the disk before it is called complete
        write_json(staged / RECORD, record)
    if asked.overwrite and asked.folder.exists():
        shutil.rmtree(replaced, ignore_errors=True)
        asked.folder.rename(replaced)
    staged.rename(asked.folder)
    shutil.rmtree(replaced, ignore_errors=True)
    if asked.keep_zip:
        print(f"Its archive is kept: {shown(archive)}")
    else:
        archive.unlink()
    return record


def _clear(asked: Asked, record: dict[str, Any]) -> None:
    """Remove what a download that was killed after its last rename left: the files it replaced, and its archive."""
    if not asked.site.is_dir():
        return
    with _alone(asked):
        shutil.rmtree(asked.site / "files", ignore_errors=True)
        shutil.rmtree(asked.site / "replaced", ignore_errors=True)
        for path in asked.site.iterdir():  # of another size: a part of what overwrite=true is to bring
            if not record.get("kept", True) and path.is_file() and path.stat().st_size == record["archive"]:
                path.unlink()


@contextlib.contextmanager
def _said_in_a_sentence(asked: Asked, archive: Path, staged: Path) -> Iterator[None]:
    """Whatever goes wrong in unpacking, leave nothing of it behind, and say what became of the archive."""
    try:
        yield
    except BaseException as error:  # Ctrl-C, too
        shutil.rmtree(staged, ignore_errors=True)
        if isinstance(error, Unsafe):
            raise UserError(
                f"The archive of {asked.slug} is not safe to unpack, for {error}: nothing of it was "
                f"unpacked, and it is kept as {shown(archive)} for a look at it."
            ) from error
        if isinstance(error, Damaged):
            archive.unlink()
            raise Unfinished(
                f"The archive of {asked.slug} is damaged ({error}): it was thrown away, and the same line "
                "downloads it anew."
            ) from error
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(
                f"The disk of {shown(asked.folder.parent)} was full before {asked.slug} was unpacked: the "
                "archive is kept; make room, then repeat the same line."
            ) from error
        raise


def _brought(asked: Asked, record: dict[str, Any]) -> str:
    size = gigabytes(record["bytes"])
    return f"{asked.slug} is complete in {shown(asked.folder)}: {counted(record['files'], 'file')}, {size}"


def described(asked: Asked) -> list[str]:
    """Return what the data are, what a quick audit finds in them, and the line to type next."""
    from competition.audit import audit
    from competition.core.paths import cache_folder
    from competition.data.run_data import read_tables

    config, line = asked.config, shlex.join(asked.settings)
    try:
        dataset = read_tables(config)
    except UserError as error:
        return [
            f"Telltale cannot read them as they are laid out: {error}",
            f"Next: ./run.sh {line} layout=... label_column=... fold=0..4",
        ]
    train, test = dataset.train, dataset.test
    found = audit(dataset, cache_folder(config), "quick", seed=config.seed).findings
    loud = [f"{finding.level} {finding.name}" for finding in found if finding.level != "note"]
    findings = f"{', '.join(loud)} (more: ./run.sh audit {line})" if loud else "nothing wrong was found"
    return [
        f"{counted(len(train), 'training image')}, {train['label'].mean():.1%} of them '{dataset.classes[1]}' (class "
        f"1), in {counted(train['group'].nunique(), 'group')} (group={config.group}); "
        f"{counted(len(test), 'test image')}",
        f"A quick audit: {findings}",
        f"Next: ./run.sh {line} fold=0..4",
    ]
