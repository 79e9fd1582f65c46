"""Bring a competition's files from Kaggle into a folder of their own, complete or not there at all.

./run.sh download [competition=SLUG]     a competition's files from Kaggle (default: preset wai2025's)

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

from competition.core.config import load_config
from competition.core.errors import Unfinished, UserError
from competition.core.files import fingerprint, write_json
from competition.core.locks import only_one
from competition.core.options import bounded, parse
from competition.core.paths import located, preset_names, shown
from competition.core.settings import Config
from competition.core.text import counted
from competition.kaggle.client.account import find_account
from competition.kaggle.client.slugs import slug_in
from competition.kaggle.download.state import RECORD, contents, standing
from competition.kaggle.download.unpack import Damaged, Unsafe, gigabytes, unpack, unpack_inner

USAGE = "./run.sh download competition=SLUG"
PRESET = "wai2025"  # whose competition is meant where none is named
SITE = ".download"  # beside the data's folder: where the archive comes in and is unpacked
LOCK = ".lock"
PAGES = 25  # of 200 files: of competitions of more, a part of the list must do


@dataclass(frozen=True)
class DownloadOptions:
    """Which files, and where to."""

    competition: str = ""  # Kaggle's name of the competition, or its address; default: the preset's
    preset: str = ""  # whose competition and settings are meant; default: the preset of the competition, or wai2025
    data: str = ""  # the new folder; default: the preset's, or data/COMPETITION
    keep_zip: bool = False  # keep the archive beside the data
    overwrite: bool = False  # download anew, in place of what an earlier download brought
    patience: float = bounded(300.0, 1, 1e6)  # seconds without a byte more after which the download is given up


@dataclass(frozen=True)
class Download:
    """``config``: the settings that read the data; ``settings``: the words that give a run these."""

    options: DownloadOptions
    config: Config
    settings: tuple[str, ...]

    @property
    def slug(self) -> str:
        """Kaggle's name of the competition."""
        return self.config.competition

    @property
    def folder(self) -> Path:
        """The data's folder, whatever links lead there."""
        return located(self.config.data).resolve()

    @property
    def site(self) -> Path:
        """Where the archive comes in and is unpacked, on the disk of the data's folder."""
        return self.folder.parent / SITE / self.slug


def main(words: Sequence[str]) -> None:
    """Bring a competition's files, say what they are, and what to type next."""
    download = plan(parse(words, DownloadOptions))
    account = find_account()
    for warning in account.warnings:
        print(f"Warning: {warning}.")
    record = standing(download.folder, download.slug, download.options.overwrite)
    from competition.kaggle.client.api import Kaggle, accepted_rules  # a second to import

    kaggle = Kaggle(account, download.options.patience)
    accepted_rules(kaggle, download.slug)
    files = kaggle.files(download.slug, PAGES)
    listing = fingerprint(sorted([file.name, file.total_bytes, str(file.creation_date)] for file in files))
    if record and not download.options.overwrite:
        _clear(download, record)
        print(f"{_brought(download, record)}; nothing is downloaded.")
        if record["listing"] != listing:
            print("Warning: the competition's files on Kaggle are others now: overwrite=true downloads them anew.")
    else:
        with _alone(download):
            record = _bring(download, kaggle, listing, sum(file.total_bytes for file in files))
        print(f"{_brought(download, record)}.")
    print("\n".join(described(download)))


def plan(options: DownloadOptions) -> Download:
    """Return which competition's files are meant, where they go, and the settings that read them."""
    slug = slug_in(options.competition)
    preset = options.preset or (_preset_of(slug) if slug else PRESET)
    settings = [f"preset={preset}"] if preset else []
    usual = load_config([*settings, "name=any"], {"preset": "small"})  # or the current folder would lend its name
    if not slug and not usual.competition:
        raise UserError(f"preset={preset} is of no competition on Kaggle: name one, as in {USAGE}.")
    if slug and slug != usual.competition:
        settings += [f"competition={slug}", f"data={options.data or f'data/{slug}'}"]
    elif options.data:
        settings.append(f"data={options.data}")
    return Download(options, load_config(settings, {"preset": "small"}), tuple(settings))


def _preset_of(slug: str) -> str:
    return next(
        (name for name in preset_names() if load_config([f"preset={name}", "name=any"]).competition == slug), ""
    )


@contextlib.contextmanager
def _alone(download: Download) -> Iterator[None]:
    """Keep other downloads of the competition to the same place away, and leave no empty folder behind."""
    busy = f"Another download of {download.slug} to {shown(download.folder.parent)} is under way: wait for it."
    try:
        with only_one(download.site / LOCK, 0, busy):
            yield
    finally:
        with contextlib.suppress(OSError):  # they hold something: what goes on later, or other competitions'
            download.site.rmdir()
            download.site.parent.rmdir()


def _bring(download: Download, kaggle: Any, listing: str, listed_bytes: int) -> dict[str, Any]:
    """Download, unpack and put in place; return the record of it."""
    from competition.kaggle.download.fetch import fetch

    print(f"Downloading {download.slug} to {shown(download.folder)} ...", flush=True)
    archive = fetch(kaggle, download.slug, download.site, listed_bytes, download.options.patience)
    kept = download.options.keep_zip
    record = {"competition": download.slug, "listing": listing, "archive": archive.stat().st_size, "kept": kept}
    staged, replaced = download.site / "files", download.site / "replaced"
    shutil.rmtree(staged, ignore_errors=True)  # a killed run's
    with _explained(download, archive, staged):
        unpack(archive, staged, listed_bytes)
        for note in unpack_inner(staged, kept):
            print(f"Warning: {note}.")
        record |= contents(staged)
        os.sync()  # all of it is on the disk before it is called complete
        write_json(staged / RECORD, record)
    if download.options.overwrite and download.folder.exists():
        shutil.rmtree(replaced, ignore_errors=True)
        download.folder.rename(replaced)
    staged.rename(download.folder)
    shutil.rmtree(replaced, ignore_errors=True)
    if kept:
        print(f"Its archive is kept: {shown(archive)}")
    else:
        archive.unlink()
    return record


def _clear(download: Download, record: dict[str, Any]) -> None:
    """Remove what a download that was killed after its last rename left: the files it replaced, and its archive."""
    if not download.site.is_dir():
        return
    with _alone(download):
        shutil.rmtree(download.site / "files", ignore_errors=True)
        shutil.rmtree(download.site / "replaced", ignore_errors=True)
        for path in download.site.iterdir():  # of another size: a part of what overwrite=true is to bring
            if not record.get("kept", True) and path.is_file() and path.stat().st_size == record["archive"]:
                path.unlink()


@contextlib.contextmanager
def _explained(download: Download, archive: Path, staged: Path) -> Iterator[None]:
    """Whatever goes wrong in unpacking, leave nothing of it behind, and name what became of the archive."""
    try:
        yield
    except BaseException as error:  # Ctrl-C, too
        shutil.rmtree(staged, ignore_errors=True)
        if isinstance(error, Unsafe):
            raise UserError(
                f"The archive of {download.slug} is not safe to unpack, for {error}: nothing of it was "
                f"unpacked, and it is kept as {shown(archive)} for a look at it."
            ) from error
        if isinstance(error, Damaged):
            archive.unlink()
            raise Unfinished(
                f"The archive of {download.slug} is damaged ({error}): it was thrown away, and the same line "
                "downloads it anew."
            ) from error
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(
                f"The disk of {shown(download.folder.parent)} was full before {download.slug} was unpacked: the "
                "archive is kept; make room, then repeat the same line."
            ) from error
        raise


def _brought(download: Download, record: dict[str, Any]) -> str:
    size = gigabytes(record["bytes"])
    return f"{download.slug} is complete in {shown(download.folder)}: {counted(record['files'], 'file')}, {size}"


def described(download: Download) -> list[str]:
    """Return what the data are, what a quick audit finds in them, and the line to type next."""
    from competition.audit.examine import audit
    from competition.core.paths import cache_folder
    from competition.data.run_data import read_tables

    config, line = download.config, shlex.join(download.settings)
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
