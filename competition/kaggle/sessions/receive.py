"""Receiving what a session finished: fetched, checked to be whole and of these settings and data, put in place."""

import dataclasses
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from competition.core.errors import Unfinished, UserError
from competition.core.files import file_digest, read_json, write_json
from competition.core.paths import run_folder
from competition.core.settings import Config
from competition.data.run_data import data_root
from competition.kaggle.client.api import Kaggle
from competition.kaggle.kernels import last_words, pull_files
from competition.kaggle.sessions.kernel import STATUS
from competition.kaggle.sessions.send import INBOX, Session
from competition.models.device import read_placement
from competition.training.engines.progress import job_line
from competition.training.plan import PLACEMENT_FILE, Plan

TRIES = 3


@dataclasses.dataclass(frozen=True)
class Received:
    """The places of jobs that a session ``finished``, the status of each that it left ``begun``, and ``why`` it
    ended."""

    finished: list[str]
    begun: dict[str, Any]
    why: str


class Receiver:
    """Receives finished jobs of one run; ``replan`` returns the plans of all its jobs by what is settled by then."""

    def __init__(self, config: Config, kaggle: Kaggle, replan: Callable[[], list[Plan]]):
        self.config, self.kaggle, self.replan = config, kaggle, replan

    def folder(self, session: Session) -> Path:
        """Return where what a kernel left is fetched to, with its log."""
        return run_folder(self.config.name) / INBOX / session.ref.split("/")[1] / "output"

    def receive(self, session: Session, state: str, wanted: Mapping[str, str]) -> Received:
        """Take in the jobs that a session finished, and what it settled for those that it began.

        ``state``: how Kaggle says the session ended. ``wanted``: the jobs that are requested now, as
        :meth:`Sender.wanted` returns them; jobs sent with other settings are left where they are. Raises Unfinished
        where files do not arrive whole and UserError, once all others are taken in, for those of other settings or
        data than here.
        """
        folder = self.folder(session)
        status = self._status(session, folder, state)
        finished = [place for place in session.jobs if place in status["jobs"]]
        differing = []
        for place in finished:
            ours = session.jobs[place] == wanted.get(place)
            if ours and not self._take(session, folder, place, status["jobs"][place]):
                differing.append(place)
        begun = status.get("begun", {}) if state == "complete" else {}  # no other output can be attached
        begun = {place: job for place, job in begun.items() if place in session.jobs}
        for place, job in begun.items():
            if session.jobs[place] == wanted.get(place):
                self._settle(self._plan(place), job["beside"])
        why = status["why"] if state == "complete" else f"{state}, {status['why']}"
        rest = f" ({why})" if len(finished) < len(session.jobs) else ""
        kept = "".join(f"; {place} is kept at epoch {job['epochs']}" for place, job in begun.items())
        print(f"  Kaggle: {session.ref} finished {len(finished)} of {len(session.jobs)} jobs{rest}{kept}")
        if differing:
            raise UserError(
                f"{', '.join(differing)} came back from {session.ref} made of something else than what is here: see "
                f"that {data_root(self.config)} holds what Kaggle holds, then train it again with overwrite=true."
            )
        return Received(finished, begun, why)

    def _status(self, session: Session, folder: Path, state: str) -> dict[str, Any]:
        """Return the status that a session left, or one of no jobs where a failed one left none."""
        shutil.rmtree(folder / STATUS, ignore_errors=True)
        (folder / STATUS).unlink(missing_ok=True)
        pull_files(session.ref, folder, f"^{re.escape(STATUS)}$")
        try:
            status = json.loads((folder / STATUS).read_text(encoding="utf-8"))
            if status["request"] == session.request and isinstance(status["jobs"], dict):
                return status
        except FileNotFoundError:
            if state != "complete":
                log = folder / f"{session.ref.split('/')[1]}.log"
                reason = self.kaggle.kernel_status(session.ref)[1] or last_words(log)
                return {"jobs": {}, "why": f"it left nothing; {reason}"}
        except (ValueError, KeyError, TypeError):
            pass  # a page that holds something else, or half of it
        raise Unfinished(
            f"Kaggle says that kernel {session.ref} has ended, and does not show what this session left yet: "
            "repeat the same line later."
        )

    def _take(self, session: Session, folder: Path, place: str, job: Mapping[str, Any]) -> bool:
        """Put one finished job where it belongs; False where it is of something else than what is here."""
        plan = self._plan(place)
        if plan.is_done():
            return True
        self._fetch(session, folder, place, job["files"])
        if self._settle(plan, job["beside"]):
            plan = self._plan(place)
        target = plan.folder
        if not dataclasses.replace(plan, folder=folder / place).is_done():
            return False
        if target.exists():  # begun here before, and not finished
            shutil.rmtree(folder / "begun", ignore_errors=True)
            os.replace(target, folder / "begun")
        os.replace(folder / place, target)
        print(job_line(plan, read_json(target / "done.json")))
        return True

    def _plan(self, place: str) -> Plan:
        return next(plan for plan in self.replan() if plan.folder == run_folder(self.config.name) / place)

    def _settle(self, plan: Plan, beside: Mapping[str, Any]) -> bool:
        """Take over what a session settled for all jobs of a plan's member, unless it is settled; returns whether that
        is new."""
        path = plan.folder.parent / PLACEMENT_FILE
        if read_placement(self.config.members[plan.job.member], plan.placement.device, path) is not None:
            return False
        write_json(path, beside[PLACEMENT_FILE])
        return True

    def _fetch(self, session: Session, folder: Path, place: str, files: Mapping[str, tuple[int, str]]) -> None:
        """Fetch a job's files, those that are not there already; Unfinished where they do not arrive whole."""

        def missing_names() -> list[str]:
            paths = {name: folder / place / name for name in files}
            return [name for name, path in paths.items() if not path.is_file() or file_digest(path) != files[name][1]]

        for _ in range(TRIES):
            if not (missing := missing_names()):
                return
            for name in missing:
                (folder / place / name).unlink(missing_ok=True)
            pattern = f"^{re.escape(place)}/({'|'.join(map(re.escape, missing))})$"
            pull_files(session.ref, folder, pattern, sum(files[name][0] for name in missing))
        raise Unfinished(
            f"{place}/{missing[0]} of {self.config.name} did not arrive whole from Kaggle in {TRIES} "
            "tries: repeat the same line later, which fetches it again."
        )
