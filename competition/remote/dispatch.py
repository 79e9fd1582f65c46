"""Sending a run's jobs to Kaggle: what they need, which kernel takes which, and a note of all that is under way.

``folds/<name>/kaggle.json`` knows every session by its kernel and version from before it is pushed, so that no kill
makes one run twice or be forgotten.
"""

import dataclasses
import importlib.metadata
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from competition.config import Config, as_dict, as_yaml
from competition.data.assemble import FOLDS_FILE, RunData, data_root, run_folder
from competition.errors import UserError
from competition.files import file_digest, fingerprint, read_json, write_json
from competition.kaggle.api import Kaggle
from competition.kaggle.datasets import upload_dataset, write_metadata
from competition.kaggle.kernels import push_kernel, slug_of
from competition.kaggle.wheels import PURE
from competition.plan import PLACEMENT_FILE, Plan
from competition.remote.package import CARRIED, write_kernel
from competition.remote.session import Request

STATE, INBOX = "kaggle.json", ".kaggle"
SESSION_MARGIN = 0.5  # hours between the end that a session sets itself and the one that Kaggle is asked for


@dataclasses.dataclass(frozen=True)
class Sent:
    """A kernel under way: OWNER/SLUG, its version, and the job folders (below the run's) it is to fill, each with the
    fingerprint of what was asked for."""

    ref: str
    version: int
    jobs: dict[str, str]


class Dispatch:
    """Sends jobs of one run out."""

    def __init__(self, config: Config, data: RunData, kaggle: Kaggle):
        self.config, self.data, self.kaggle = config, data, kaggle
        self.folder = run_folder(config)
        self.inbox = self.folder / INBOX
        self.contents = _contents(config)
        self.folds = file_digest(self.folder / FOLDS_FILE)

    def kept(self, left: Sequence[Plan]) -> list[Sent]:
        """Return the kernels that an earlier call pushed for some of these jobs and did not see the end of."""
        wanted = self.wanted(left)
        sent = [Sent(**one) for one in (read_json(self.folder / STATE) or {"kernels": []})["kernels"]]
        sent = [one for one in sent if one.jobs.items() & wanted.items() and self._version(one.ref) == one.version]
        for one in sent:
            print(f"  Kaggle: going on with {one.ref}, version {one.version}")
        return sent

    def wanted(self, plans: Sequence[Plan]) -> dict[str, str]:
        """Return the folder of each job with the fingerprint of what is asked for, as far as it is settled here."""
        config = self.config
        shared = [config.seed, config.tta, config.evidence_rows, self.folds, self.data.table_key]
        return {str(plan.folder.relative_to(self.folder)):
                fingerprint(as_dict(config.members[plan.job.member]), str(plan.job), shared)
                for plan in plans}  # fmt: skip

    def keep(self, sent: Sequence[Sent]) -> None:
        """Write down which kernels are under way."""
        write_json(self.folder / STATE, {"kernels": [dataclasses.asdict(one) for one in sent]})

    def send(self, shares: Sequence[Sequence[Plan]]) -> list[Sent]:
        """Push a kernel for each share of the jobs, and return them."""
        source, slug, attached = self._source()
        accelerator, hours = self.config.kaggle.accelerator, self.config.kaggle.hours
        settings = as_yaml(_for_session(self.config))
        packages = {name: importlib.metadata.version(name) for name in PURE if name not in CARRIED}
        under_way: list[Sent] = []
        for number, plans in enumerate(shares, 1):
            ref = f"{self.kaggle.username}/{slug_of(f'{self.config.name}-train-{number}')}"
            jobs = [(plan.job.member, plan.job.fold, plan.job.index) for plan in plans]
            request = Request(self.config.name, jobs, source, slug, self.contents, hours, packages)
            write_kernel(self.inbox / f"kernel-{number}", ref, request, settings, self._beside(), {
                **attached, "enable_internet": "true", "enable_gpu": "false" if accelerator == "none" else "true",
            })  # fmt: skip
            under_way.append(Sent(ref, self._version(ref) + 1, self.wanted(plans)))
            self.keep(under_way)
            push_kernel(self.kaggle, self.inbox / f"kernel-{number}", accelerator, 3600 * (hours + SESSION_MARGIN))
            print(f"  Kaggle: {ref} version {under_way[-1].version} takes {', '.join(str(plan.job) for plan in plans)}")
        return under_way

    def _source(self) -> tuple[str, str, dict[str, Any]]:
        """Return where a session finds the data, by what slug, and what is attached to the kernel for it."""
        if self.config.demo.draw:
            return "drawn", "", {}
        if self.config.competition:
            return "competition", self.config.competition, {"competition_sources": [self.config.competition]}
        ref = f"{self.kaggle.username}/{slug_of(f'{self.config.name}-data')}"
        _stage(ref, data_root(self.config), self.inbox / "data")
        upload_dataset(self.kaggle, self.inbox / "data", lambda said: print(f"  Kaggle: {said}", flush=True))
        return "dataset", ref.split("/")[1], {"dataset_sources": [ref]}

    def _beside(self) -> dict[str, Path]:
        """Return what a session needs of the run so far: its folds, and what is settled for all jobs of a member."""
        files = [self.folder / FOLDS_FILE, *self.folder.glob(f"*/{PLACEMENT_FILE}")]
        return {str(path.relative_to(self.folder)): path for path in files}

    def _version(self, ref: str) -> int:
        found = self.kaggle.kernel(ref)
        return found.current_version_number if found else 0


def _stage(ref: str, root: Path, folder: Path) -> None:
    """Lay a data folder out for uploading: links to what lies at its top, and what Kaggle is told of it."""
    shutil.rmtree(folder, ignore_errors=True)
    write_metadata(folder, ref)
    for entry in os.scandir(root):
        if not entry.name.startswith("."):
            (folder / entry.name).symlink_to(entry.path)


def check_sendable(config: Config) -> None:
    """Raise UserError for what lies on this machine alone and no session could read."""
    if not (config.demo.draw or config.competition or config.kaggle.upload):
        raise UserError(f"data={config.data} is on this machine alone: say kaggle.upload=true to send it to Kaggle as "
                        "a private data set, or competition=SLUG if it is one's.")  # fmt: skip
    for key in ("extra", "pseudo"):
        if value := getattr(config, key):
            raise UserError(f"{key}={value} is on this machine alone, and engine=kaggle sends none of it: leave it "
                            "out, or train here.")  # fmt: skip
    for name, recipe in config.members.items():
        if recipe.pretrained not in ("true", "false"):
            raise UserError(f"members.{name}.pretrained={recipe.pretrained} is on this machine alone: with engine="
                            "kaggle say pretrained=true (the session fetches the weights) or false.")  # fmt: skip


def _for_session(config: Config) -> Config:
    """Return the settings as a session reads them: what is about this machine left out."""
    return dataclasses.replace(config, engine="local", data="", cache="", fold="all", overwrite=False)


def _contents(config: Config) -> list[str]:
    """Return what lies at the top of the data's folder, by which a session finds it among all that is mounted."""
    if config.demo.draw:
        return []
    return sorted(entry.name for entry in os.scandir(data_root(config)) if not entry.name.startswith("."))
