"""Sending a run's jobs to Kaggle: what they need, which kernel takes which, and a note of all that is under way.

``folds/<name>/kaggle.json`` knows every session by its kernel and version from before it is pushed until its output is
taken in, so that a kill forgets none; no kernel that is under way is pushed again. What a session leaves of a job that
it did not finish stays on Kaggle, as its kernel's output, which the session that goes on with the job has attached.
"""

import dataclasses
import importlib.metadata
import itertools
import os
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from competition.core.config_forms import as_yaml, elsewhere, recipe_key
from competition.core.errors import UserError
from competition.core.files import file_digest, fingerprint, read_json, write_json
from competition.core.paths import FOLDS_FILE, run_folder
from competition.core.settings import Config
from competition.data.run_data import RunData
from competition.kaggle.client.api import Kaggle
from competition.kaggle.kernels import push_kernel, slug_of, version_of
from competition.kaggle.notebook.session_setup import OPENCV
from competition.kaggle.sessions.package import CARRIED, write_kernel
from competition.kaggle.sessions.request import Request, made_of
from competition.kaggle.sessions.source import Source, find_source
from competition.kaggle.wheels import PURE
from competition.training.plan import PLACEMENT_FILE, Plan

STATE, INBOX = "kaggle.json", ".kaggle"
MARGIN_HOURS = 0.5  # between the end that a session sets itself and the one that the push asks Kaggle for


@dataclasses.dataclass(frozen=True)
class Session:
    """A kernel under way: OWNER/SLUG, its version, the key of its request, and the job folders (below the run's) that
    it is to fill, each with the fingerprint of the settings that were sent."""

    ref: str
    version: int
    request: str
    jobs: dict[str, str]


@dataclasses.dataclass(frozen=True)
class Begun:
    """What is left of a job where a session ended before it: in the output of kernel OWNER/SLUG's ``version``, made for
    the ``request`` with that key; ``job``: the fingerprint of the settings that were sent; ``epochs`` that it is on,
    and whether it is ``trained`` and predictions alone are missing."""

    ref: str
    version: int
    request: str
    job: str
    epochs: int
    trained: bool

    def is_further(self, before: "Begun | None") -> bool:
        """Whether this is more of the job than what an earlier session left."""
        if before is None or before.job != self.job:
            return True
        return (before.epochs, before.trained) < (self.epochs, self.trained)


class Sender:
    """Sends jobs of one run out."""

    def __init__(self, config: Config, data: RunData, kaggle: Kaggle):
        self.config, self.data, self.kaggle = config, data, kaggle
        self.folder = run_folder(config.name)
        self.inbox = self.folder / INBOX
        self.folds = file_digest(self.folder / FOLDS_FILE)
        self._announced: set[str] = set()

    def under_way(self) -> list[Session]:
        """Return the kernels that were pushed, by this call or earlier ones, and whose end was not seen."""
        noted = [Session(**one) for one in self._noted("kernels", [])]
        there = [one for one in noted if version_of(self.kaggle, one.ref) == one.version]
        for one in (one for one in there if one.request not in self._announced):
            print(f"  Kaggle: going on with {one.ref}, version {one.version}")
        self._announced |= {one.request for one in there}
        return there

    def note_ended(self, ended: Session, finished: Collection[str], statuses: Mapping[str, Mapping[str, Any]]) -> bool:
        """Strike a kernel off those under way, with the jobs that it ``finished``, and note those that it left begun,
        each with its status; returns whether one of these is further than it was."""
        before = self._begun()
        sent = ended.ref, ended.version, ended.request
        new = {place: Begun(*sent, ended.jobs[place], one["epochs"], one["trained"]) for place, one in statuses.items()}
        kept = {place: one for place, one in before.items() if place not in finished}
        self._note([one for one in self.under_way() if one.ref != ended.ref], kept | new)
        return any(one.is_further(before.get(place)) for place, one in new.items())

    def _begun(self) -> dict[str, Begun]:
        return {place: Begun(**one) for place, one in self._noted("begun", {}).items()}

    def _noted(self, what: str, default: Any) -> Any:
        return (read_json(self.folder / STATE) or {}).get(what, default)

    def wanted(self, plans: Sequence[Plan]) -> dict[str, str]:
        """Return the folder of each job with the fingerprint of its settings, as far as they are settled here."""
        config = self.config
        shared = [config.seed, config.tta, config.evidence_rows, self.folds, self.data.table_key]
        return {
            plan.folder.relative_to(self.folder).as_posix(): fingerprint(
                recipe_key(config.members[plan.job.member]), str(plan.job), shared
            )
            for plan in plans
        }

    def send(self, shares: Sequence[Sequence[Plan]], under_way: Sequence[Session]) -> list[Session]:
        """Push a kernel for each share of the jobs; return them with those ``under_way``.

        Where Kaggle takes no more of them than run already, its reason is printed, and the rest has to wait.
        """
        source, found = find_source(self.config, self.kaggle, self.inbox), list(under_way)
        begun = {place: one for place, one in self._begun().items() if version_of(self.kaggle, one.ref) == one.version}
        taken = {one.ref for one in under_way} | {one.ref for one in begun.values()}  # whose output must stay
        free = (ref for ref in map(self._ref, itertools.count(1)) if ref not in taken)
        for plans, ref in zip(shares, free, strict=False):
            jobs = self.wanted(plans)
            own = {place: begun[place] for place, job in jobs.items() if place in begun and begun[place].job == job}
            session, folder = self._write(plans, ref, source, own)
            self._note([*found, session])  # before it is there: a kill just after must not lose it
            self._announced.add(session.request)
            seconds = 3600 * (self.config.kaggle.hours + MARGIN_HOURS)
            try:
                version = push_kernel(self.kaggle, folder, self.config.kaggle.accelerator, seconds)
            except UserError as error:
                self._note(found)
                if not found:
                    raise
                print(f"  Kaggle: {error}")
                break
            found.append(dataclasses.replace(session, version=version))
            self._note(found)
            print(f"  Kaggle: {ref} version {version} takes {', '.join(str(plan.job) for plan in plans)}")
        return found

    def _ref(self, number: int) -> str:
        return f"{self.kaggle.username}/{slug_of(f'{self.config.name}-train-{number}')}"

    def _write(
        self, plans: Sequence[Plan], ref: str, source: Source, begun: Mapping[str, Begun]
    ) -> tuple[Session, Path]:
        """Write the kernel that takes these jobs, of which some are ``begun``; returns its session and its folder."""
        request = self._request(plans, source, {place: one.request for place, one in begun.items()})
        folder = self.inbox / ref.split("/")[1] / "kernel"
        attached = source.attached | {"kernel_sources": sorted({one.ref for one in begun.values()})}
        settled = {path.relative_to(self.folder).as_posix(): path for path in self.folder.glob(f"*/{PLACEMENT_FILE}")}
        write_kernel(folder, ref, request, as_yaml(elsewhere(self.config)), settled, attached)
        return Session(ref, version_of(self.kaggle, ref) + 1, request.key, self.wanted(plans)), folder

    def _note(self, kernels: Sequence[Session], begun: Mapping[str, Begun] | None = None) -> None:
        kept = self._begun() if begun is None else begun
        noted = {place: dataclasses.asdict(one) for place, one in kept.items()}
        write_json(self.folder / STATE, {"kernels": [dataclasses.asdict(one) for one in kernels], "begun": noted})

    def _request(self, plans: Sequence[Plan], source: Source, begun: dict[str, str]) -> Request:
        train = self.data.train
        order = np.argsort(train["id"].to_numpy(object), kind="stable")
        return Request(
            key=os.urandom(8).hex(),
            name=self.config.name,
            jobs=[(plan.job.member, plan.job.fold, plan.job.index) for plan in plans],
            expected=[made_of(plan) for plan in plans],
            folds=train["fold"].to_numpy()[order].tolist(),
            source=source.kind,
            slug=source.slug,
            contents=source.contents,
            hours=self.config.kaggle.hours,
            accelerator=self.config.kaggle.accelerator,
            packages=_same_versions(),
            begun=begun,
        )


def _same_versions() -> dict[str, str]:
    """Return the packages, beside those that are carried, whose versions must be the same there as here: pixels depend
    on OpenCV's."""
    installed = {one.metadata["Name"].lower(): one.version for one in importlib.metadata.distributions()}
    opencv = [name for name in OPENCV if name in installed][:1]
    return {name: installed[name] for name in (*PURE, *opencv) if name not in CARRIED}
