"""Sending a run's jobs to Kaggle: what they need, which kernel takes which, and a note of all that is under way.

``folds/<name>/kaggle.json`` knows every session by its kernel and version from before it is pushed until it is taken
in, so that a kill forgets none; no kernel that is under way is pushed again.
"""

import dataclasses
import importlib.metadata
import itertools
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from competition.config import Config, as_dict, as_yaml, elsewhere
from competition.data.assemble import FOLDS_FILE, RunData, data_root, run_folder
from competition.errors import UserError
from competition.files import file_digest, fingerprint, read_json, write_json
from competition.kaggle.api import Kaggle
from competition.kaggle.datasets import upload_dataset, write_metadata
from competition.kaggle.kernels import push_kernel, slug_of, version_of
from competition.kaggle.wheels import PURE
from competition.plan import PLACEMENT_FILE, Plan
from competition.remote.package import CARRIED, write_kernel
from competition.remote.session import Request, made_of

STATE, INBOX = "kaggle.json", ".kaggle"
SESSION_MARGIN = 0.5  # hours between the end that a session sets itself and the one that Kaggle is asked for


# The names that OpenCV is installed by: pixels depend on its version, so it must be the same there as here.
OPENCV = ("opencv-python-headless", "opencv-python", "opencv-contrib-python-headless", "opencv-contrib-python")


@dataclasses.dataclass(frozen=True)
class Sent:
    """A kernel under way: OWNER/SLUG, its version, the key of its request, and the job folders (below the run's) that
    it is to fill, each with the fingerprint of what was asked for."""

    ref: str
    version: int
    request: str
    jobs: dict[str, str]


class Dispatch:
    """Sends jobs of one run out."""

    def __init__(self, config: Config, data: RunData, kaggle: Kaggle):
        self.config, self.data, self.kaggle = config, data, kaggle
        self.folder = run_folder(config)
        self.inbox = self.folder / INBOX
        self.folds = file_digest(self.folder / FOLDS_FILE)
        self._told: set[str] = set()

    def under_way(self) -> list[Sent]:
        """Return the kernels that were pushed, by this call or earlier ones, and whose end was not seen."""
        noted = [Sent(**one) for one in (read_json(self.folder / STATE) or {"kernels": []})["kernels"]]
        there = [one for one in noted if version_of(self.kaggle, one.ref) == one.version]
        for one in (one for one in there if one.request not in self._told):
            print(f"  Kaggle: going on with {one.ref}, version {one.version}")
        self._told |= {one.request for one in there}
        return there

    def forget(self, ended: Sent) -> None:
        """Strike a kernel off those under way."""
        self._note([one for one in self.under_way() if one.ref != ended.ref])

    def wanted(self, plans: Sequence[Plan]) -> dict[str, str]:
        """Return the folder of each job with the fingerprint of what is asked for, as far as it is settled here."""
        config = self.config
        shared = [config.seed, config.tta, config.evidence_rows, self.folds, self.data.table_key]
        return {str(plan.folder.relative_to(self.folder)):
                fingerprint(as_dict(config.members[plan.job.member]), str(plan.job), shared)
                for plan in plans}  # fmt: skip

    def send(self, shares: Sequence[Sequence[Plan]], under_way: Sequence[Sent]) -> list[Sent]:
        """Push a kernel for each share of the jobs; return them with those ``under_way``.

        Where Kaggle takes no more of them than run already, that is told, and the rest has to wait.
        """
        where, found = self._source(), list(under_way)
        free = (ref for ref in map(self._ref, itertools.count(1)) if ref not in {one.ref for one in under_way})
        for plans, ref in zip(shares, free, strict=False):
            request = self._request(plans, *where[:2])
            folder = self.inbox / ref.split("/")[1] / "kernel"
            write_kernel(folder, ref, request, as_yaml(elsewhere(self.config)), self._settled(), where[2])
            one = Sent(ref, version_of(self.kaggle, ref) + 1, request.key, self.wanted(plans))
            self._note([*found, one])  # before it is there: a kill just after must not lose it
            self._told.add(one.request)
            seconds = 3600 * (request.hours + SESSION_MARGIN)
            try:
                version = push_kernel(self.kaggle, folder, request.accelerator, seconds)
            except UserError as error:
                self._note(found)
                if not found:
                    raise
                print(f"  Kaggle: {error}")
                break
            found.append(dataclasses.replace(one, version=version))
            self._note(found)
            print(f"  Kaggle: {ref} version {version} takes {', '.join(str(plan.job) for plan in plans)}")
        return found

    def _ref(self, number: int) -> str:
        return f"{self.kaggle.username}/{slug_of(f'{self.config.name}-train-{number}')}"

    def _note(self, kernels: Sequence[Sent]) -> None:
        write_json(self.folder / STATE, {"kernels": [dataclasses.asdict(one) for one in kernels]})

    def _request(self, plans: Sequence[Plan], source: str, slug: str) -> Request:
        train = self.data.train
        order = np.argsort(train["id"].to_numpy(object), kind="stable")
        jobs = [(plan.job.member, plan.job.fold, plan.job.index) for plan in plans]
        return Request(
            key=os.urandom(8).hex(),
            name=self.config.name,
            jobs=jobs,
            expected=[made_of(plan) for plan in plans],
            folds=train["fold"].to_numpy()[order].tolist(),
            source=source,
            slug=slug,
            contents=_contents(self.config),
            hours=self.config.kaggle.hours,
            accelerator=self.config.kaggle.accelerator,
            packages=_alike(),
        )

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

    def _settled(self) -> dict[str, Path]:
        """Return the files of what is settled for all jobs of a member, by their places in the run's folder."""
        return {str(path.relative_to(self.folder)): path for path in self.folder.glob(f"*/{PLACEMENT_FILE}")}


def _alike() -> dict[str, str]:
    """Return the packages, beside those that are carried, whose versions must be the same there as here."""
    installed = {one.metadata["Name"].lower(): one.version for one in importlib.metadata.distributions()}
    opencv = [name for name in OPENCV if name in installed][:1]
    return {name: installed[name] for name in (*PURE, *opencv) if name not in CARRIED}


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


def _contents(config: Config) -> list[str]:
    """Return what lies at the top of the data's folder, by which a session finds it among all that is mounted."""
    if config.demo.draw:
        return []
    return sorted(entry.name for entry in os.scandir(data_root(config)) if not entry.name.startswith("."))
