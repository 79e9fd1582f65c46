"""Sending a run's jobs to Kaggle: what they need, which kernel takes which, and a note of all that is under way.

``folds/<name>/kaggle.json`` knows every session by its kernel and version from before it is pushed until it is taken
in, so that a kill forgets none; no kernel that is under way is pushed again. What a session leaves of a job that it did
not finish stays on Kaggle, as its kernel's output, which the session that goes on with the job has attached.
"""

import dataclasses
import importlib.metadata
import itertools
import os
import shutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from competition.core.config import Config, as_dict, as_yaml, elsewhere
from competition.core.errors import UserError
from competition.core.files import file_digest, fingerprint, read_json, write_json
from competition.core.paths import FOLDS_FILE, run_folder
from competition.data.run_data import RunData, data_root
from competition.kaggle.client.api import Kaggle
from competition.kaggle.datasets import upload_dataset, write_metadata
from competition.kaggle.kernels import push_kernel, slug_of, version_of
from competition.kaggle.sessions.package import CARRIED, write_kernel
from competition.kaggle.sessions.request import Request, made_of
from competition.kaggle.wheels import PURE
from competition.training.plan import PLACEMENT_FILE, Plan

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


@dataclasses.dataclass(frozen=True)
class Begun:
    """What is left of a job where a session ended before it: in the output of kernel OWNER/SLUG's ``version``, made for
    the ``request`` with that key; ``job``: the fingerprint of what was asked for; ``epochs`` that it is on, and whether
    it is ``trained`` and predictions alone are missing."""

    ref: str
    version: int
    request: str
    job: str
    epochs: int
    trained: bool


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
        noted = [Sent(**one) for one in self._noted("kernels", [])]
        there = [one for one in noted if version_of(self.kaggle, one.ref) == one.version]
        for one in (one for one in there if one.request not in self._told):
            print(f"  Kaggle: going on with {one.ref}, version {one.version}")
        self._told |= {one.request for one in there}
        return there

    def settle(self, ended: Sent, finished: Collection[str], begun: Mapping[str, Mapping[str, Any]]) -> bool:
        """Strike a kernel off those under way, with the jobs that it ``finished``, and note those that it left
        ``begun``, as its status tells of them; returns whether one of these is further than it was."""
        before = self._begun()
        new = {
            place: Begun(ended.ref, ended.version, ended.request, ended.jobs[place], told["epochs"], told["trained"])
            for place, told in begun.items()
        }
        further = [
            place
            for place, one in new.items()
            if place not in before
            or before[place].job != one.job
            or (before[place].epochs, before[place].trained) < (one.epochs, one.trained)
        ]
        kept = {place: one for place, one in before.items() if place not in finished}
        self._note([one for one in self.under_way() if one.ref != ended.ref], kept | new)
        return bool(further)

    def _begun(self) -> dict[str, Begun]:
        return {place: Begun(**one) for place, one in self._noted("begun", {}).items()}

    def _noted(self, what: str, default: Any) -> Any:
        return (read_json(self.folder / STATE) or {}).get(what, default)

    def wanted(self, plans: Sequence[Plan]) -> dict[str, str]:
        """Return the folder of each job with the fingerprint of what is asked for, as far as it is settled here."""
        config = self.config
        shared = [config.seed, config.tta, config.evidence_rows, self.folds, self.data.table_key]
        return {
            str(plan.folder.relative_to(self.folder)): fingerprint(
                as_dict(config.members[plan.job.member]), str(plan.job), shared
            )
            for plan in plans
        }

    def send(self, shares: Sequence[Sequence[Plan]], under_way: Sequence[Sent]) -> list[Sent]:
        """Push a kernel for each share of the jobs; return them with those ``under_way``.

        Where Kaggle takes no more of them than run already, that is told, and the rest has to wait.
        """
        where, found = self._source(), list(under_way)
        begun = {place: one for place, one in self._begun().items() if version_of(self.kaggle, one.ref) == one.version}
        taken = {one.ref for one in [*under_way, *begun.values()]}  # a new version would replace the output
        free = (ref for ref in map(self._ref, itertools.count(1)) if ref not in taken)
        for plans, ref in zip(shares, free, strict=False):
            jobs = self.wanted(plans)
            own = {place: begun[place] for place, job in jobs.items() if place in begun and begun[place].job == job}
            request = self._request(plans, *where[:2], {place: one.request for place, one in own.items()})
            folder = self.inbox / ref.split("/")[1] / "kernel"
            sources = where[2] | {"kernel_sources": sorted({one.ref for one in own.values()})}
            write_kernel(folder, ref, request, as_yaml(elsewhere(self.config)), self._settled(), sources)
            one = Sent(ref, version_of(self.kaggle, ref) + 1, request.key, jobs)
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

    def _note(self, kernels: Sequence[Sent], begun: Mapping[str, Begun] | None = None) -> None:
        kept = self._begun() if begun is None else begun
        told = {place: dataclasses.asdict(one) for place, one in kept.items()}
        write_json(self.folder / STATE, {"kernels": [dataclasses.asdict(one) for one in kernels], "begun": told})

    def _request(self, plans: Sequence[Plan], source: str, slug: str, begun: dict[str, str]) -> Request:
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
            begun=begun,
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
        raise UserError(
            f"data={config.data} is on this machine alone: say kaggle.upload=true to send it to Kaggle as "
            "a private data set, or competition=SLUG if it is one's."
        )
    for key in ("extra", "pseudo"):
        if value := getattr(config, key):
            raise UserError(
                f"{key}={value} is on this machine alone, and engine=kaggle sends none of it: leave it "
                "out, or train here."
            )
    for name, recipe in config.members.items():
        if recipe.pretrained not in ("true", "false"):
            raise UserError(
                f"members.{name}.pretrained={recipe.pretrained} is on this machine alone: with engine="
                "kaggle say pretrained=true (the session fetches the weights) or false."
            )


def _contents(config: Config) -> list[str]:
    """Return what lies at the top of the data's folder, by which a session finds it among all that is mounted."""
    if config.demo.draw:
        return []
    return sorted(entry.name for entry in os.scandir(data_root(config)) if not entry.name.startswith("."))
