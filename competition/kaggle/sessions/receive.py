"""Taking in what a session finished: fetched, seen to be whole and of these settings and data, put in place."""

import dataclasses
import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from competition.core.config import Config
from competition.core.errors import Unfinished, UserError
from competition.core.files import file_digest, read_json, write_json
from competition.core.paths import run_folder
from competition.data.run_data import data_root
from competition.kaggle.client.api import Kaggle
from competition.kaggle.kernels import last_words, pull_files
from competition.kaggle.sessions.kernel import STATUS
from competition.kaggle.sessions.send import INBOX, Sent
from competition.models.device import stored
from competition.training.engine import job_line
from competition.training.plan import PLACEMENT_FILE, Plan

TRIES = 3


@dataclasses.dataclass(frozen=True)
class Taken:
    """The places of jobs that a session ``finished``, what it says of those it left ``begun``, and ``why`` it ended."""

    finished: list[str]
    begun: dict[str, Any]
    why: str


class Intake:
    """Takes in finished jobs of one run; ``replan`` returns the plans of all its jobs by what is settled by then."""

    def __init__(self, config: Config, kaggle: Kaggle, replan: Callable[[], list[Plan]]):
        self.config, self.kaggle, self.replan = config, kaggle, replan

    def folder(self, sent: Sent) -> Path:
        """Return where what a kernel left is fetched to, with its log."""
        return run_folder(self.config) / INBOX / sent.ref.split("/")[1] / "output"

    def take_in(self, sent: Sent, state: str, wanted: Mapping[str, str]) -> Taken:
        """Take in the jobs that a session finished, and what it settled for those that it began.

        ``state``: what Kaggle says of the session. ``wanted``: what is asked for by now, as :meth:`Dispatch.wanted`
        says it; jobs sent for something else are left where they are. Raises Unfinished where files do not arrive whole
        and UserError, once all others are taken in, for those of other settings or data than here.
        """
        folder = self.folder(sent)
        status = self._status(sent, folder, state)
        finished = [place for place in sent.jobs if place in status["jobs"]]
        strange = []
        for place in finished:
            if sent.jobs[place] == wanted.get(place) and not self._take(sent, folder, place, status["jobs"][place]):
                strange.append(place)
        begun = status.get("begun", {}) if state == "complete" else {}  # no other output can be attached
        begun = {place: told for place, told in begun.items() if place in sent.jobs}
        for place, told in begun.items():
            if sent.jobs[place] == wanted.get(place):
                self._settle(self._plan(place), told["beside"])
        why = status["why"] if state == "complete" else f"{state}, {status['why']}"
        lacking = f" ({why})" if len(finished) < len(sent.jobs) else ""
        kept = "".join(f"; {place} is kept at epoch {told['epochs']}" for place, told in begun.items())
        print(f"  Kaggle: {sent.ref} finished {len(finished)} of {len(sent.jobs)} jobs{lacking}{kept}")
        if strange:
            raise UserError(
                f"{', '.join(strange)} came back from {sent.ref} made of something else than what is here: "
                f"see that {data_root(self.config)} holds what Kaggle holds, then train it again with "
                "overwrite=true."
            )
        return Taken(finished, begun, why)

    def _status(self, sent: Sent, folder: Path, state: str) -> dict[str, Any]:
        """Return the status that a session left, or one of no jobs where a failed one left none."""
        shutil.rmtree(folder / STATUS, ignore_errors=True)
        (folder / STATUS).unlink(missing_ok=True)
        pull_files(sent.ref, folder, f"^{re.escape(STATUS)}$")
        try:
            status = json.loads((folder / STATUS).read_text(encoding="utf-8"))
            if status["request"] == sent.request and isinstance(status["jobs"], dict):
                return status
        except FileNotFoundError:
            if state != "complete":
                reason = self.kaggle.kernel_status(sent.ref)[1] or last_words(folder / f"{sent.ref.split('/')[1]}.log")
                return {"jobs": {}, "why": f"it left nothing; {reason}"}
        except (ValueError, KeyError, TypeError):
            pass  # a page that says something else, or half of it
        raise Unfinished(
            f"Kaggle says that kernel {sent.ref} has ended, and does not show what this session left yet: "
            "repeat the same line later."
        )

    def _take(self, sent: Sent, folder: Path, place: str, told: Mapping[str, Any]) -> bool:
        """Put one finished job where it belongs; False where it is of something else than what is here."""
        plan = self._plan(place)
        if plan.is_done():
            return True
        self._fetch(sent, folder, place, told["files"])
        if self._settle(plan, told["beside"]):
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
        return next(plan for plan in self.replan() if plan.folder == run_folder(self.config) / place)

    def _settle(self, plan: Plan, beside: Mapping[str, Any]) -> bool:
        """Take over what a session settled for all jobs of a plan's member, unless it is settled; returns whether that
        is new."""
        path = plan.folder.parent / PLACEMENT_FILE
        if stored(self.config.members[plan.job.member], plan.placement.device, path) is not None:
            return False
        write_json(path, beside[PLACEMENT_FILE])
        return True

    def _fetch(self, sent: Sent, folder: Path, place: str, files: Mapping[str, tuple[int, str]]) -> None:
        """Fetch a job's files, those that are not there already; Unfinished where they do not arrive whole."""

        def missing() -> list[str]:
            paths = {name: folder / place / name for name in files}
            return [name for name, path in paths.items() if not path.is_file() or file_digest(path) != files[name][1]]

        for _ in range(TRIES):
            if not (lacking := missing()):
                return
            for name in lacking:
                (folder / place / name).unlink(missing_ok=True)
            names = "|".join(map(re.escape, lacking))
            pull_files(sent.ref, folder, f"^{re.escape(place)}/({names})$", sum(files[name][0] for name in lacking))
        raise Unfinished(
            f"{place}/{lacking[0]} of {self.config.name} did not arrive whole from Kaggle in {TRIES} "
            "tries: repeat the same line later, which fetches it again."
        )
