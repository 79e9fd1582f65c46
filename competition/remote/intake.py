"""Taking in what a session finished: fetched, seen to be whole and of these settings and data, put in place."""

import dataclasses
import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path

from competition.config import Config
from competition.data.assemble import data_root, run_folder
from competition.engine import job_line
from competition.errors import Unfinished, UserError
from competition.files import file_digest, read_json, write_json
from competition.kaggle.api import Kaggle
from competition.kaggle.kernels import last_words, pull_output
from competition.plan import PLACEMENT_FILE, Plan
from competition.remote.dispatch import INBOX, Sent
from competition.remote.session import STATUS


def take_in(config: Config, kaggle: Kaggle, sent: Sent, state: str, wanted: Mapping[str, str],
            replan: Callable[[], list[Plan]]) -> str:  # fmt: skip
    """Take in the jobs that a session finished; returns why it ended.

    ``state``: what Kaggle says of the session. ``wanted``: what is asked for by now, as :meth:`Dispatch.wanted` says
    it; jobs sent for something else are left where they are. Raises Unfinished where files do not arrive whole, and
    UserError where they are of other settings or data than ``replan`` says.
    """
    pulled = run_folder(config) / INBOX / sent.ref.split("/")[1]
    try:
        pull_output(sent.ref, pulled)
    except Unfinished:
        if state == "complete":
            raise
    status = read_json(pulled / STATUS)
    if status is None:
        reason = kaggle.kernel_status(sent.ref)[1] or last_words(pulled / f"{pulled.name}.log")
        return f"{sent.ref} ended as '{state}' and left nothing: {reason}"
    finished = [place for place in sent.jobs if place in status["jobs"] and sent.jobs[place] == wanted.get(place)]
    for place in finished:
        _take(config, pulled, place, status["jobs"][place]["files"], replan)
    why = status["why"] if state == "complete" else state
    lacking = len(sent.jobs) - len(finished)
    print(f"  Kaggle: {sent.ref} finished {len(finished)} of {len(sent.jobs)} jobs" + (f" ({why})" if lacking else ""))
    return f"{sent.ref}: {why}"


def _take(config: Config, pulled: Path, place: str, digests: dict[str, str], replan: Callable[[], list[Plan]]) -> None:
    """Put one finished job where it belongs."""
    for name, digest in digests.items():
        path = pulled / place / name
        if not path.is_file() or file_digest(path) != digest:
            raise Unfinished(f"{place}/{name} of {config.name} did not arrive whole from Kaggle: repeat the same line, "
                             "which fetches it again.")  # fmt: skip
    target = run_folder(config) / place
    if not (target.parent / PLACEMENT_FILE).exists():
        write_json(target.parent / PLACEMENT_FILE, read_json((pulled / place).parent / PLACEMENT_FILE))
    plan = next(plan for plan in replan() if plan.folder == target)
    arrived = dataclasses.replace(plan, folder=pulled / place)
    if not arrived.is_done():
        reason = arrived.conflict() or "the test images or test-time views differ"
        raise UserError(f"{plan.job} came back from Kaggle made of something else than what is here ({reason}): see "
                        f"that {data_root(config)} holds the same files as on Kaggle.")  # fmt: skip
    _replace(pulled / place, target)
    print(job_line(plan, read_json(target / "done.json")))


def _replace(new: Path, target: Path) -> None:
    """Put a folder in the place of another, which is moved away first where a job was begun there."""
    old = target.with_name(f".{target.name}.old")
    shutil.rmtree(old, ignore_errors=True)
    if target.exists():
        os.replace(target, old)
    os.replace(new, target)
    shutil.rmtree(old, ignore_errors=True)
