"""Kernels: pushed, waited for and emptied by the real command line; what came of it is read back through the API."""

import hashlib
import json
import re
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from competition.errors import Unfinished, UserError
from competition.files import write_json
from competition.kaggle.api import Kaggle, Unreachable
from competition.kaggle.cli import run_cli

METADATA = "kernel-metadata.json"
PUSH_SECONDS, PULL_SECONDS = 120.0, 300.0  # a push as a whole; a pull without a new byte
FIRST_LOOK, LONGEST_LOOK = 0.5, 30.0  # seconds between two looks at a session
TRIES = 3
LONGEST_SLUG = 50
SOURCE_BYTES = 1_000_000  # the most that Kaggle takes as a kernel's source
ENDED = ("complete", "error", "cancel_requested", "cancel_acknowledged")


def slug_of(name: str) -> str:
    """Return ``telltale-NAME`` as Kaggle spells it in addresses: at most 50 characters, other names other slugs."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if plain == name and len(plain) <= LONGEST_SLUG - 9:
        return f"telltale-{plain}"
    tail = hashlib.blake2b(name.encode(), digest_size=3).hexdigest()
    return f"telltale-{plain[: LONGEST_SLUG - 16].strip('-')}-{tail}"


def write_metadata(folder: Path, ref: str, code_file: str, **more: Any) -> None:
    """Write ``kernel-metadata.json`` for a private Python kernel OWNER/SLUG; ``more`` adds to it or changes it."""
    title = ref.split("/")[1].replace("-", " ")  # the command line wants a title that spells the slug
    kind = "notebook" if code_file.endswith(".ipynb") else "script"
    write_json(folder / METADATA, {
        "id": ref, "title": title, "code_file": code_file, "language": "python", "kernel_type": kind,
        "is_private": "true", "enable_gpu": "true", "enable_internet": "false", "dataset_sources": [],
        "competition_sources": [], "kernel_sources": [], **more,
    })  # fmt: skip


def push_kernel(kaggle: Kaggle, folder: Path, accelerator: str, session_seconds: float) -> int:
    """Push the kernel in ``folder`` and return its new version's number, as read back.

    ``accelerator`` is Kaggle's word (NvidiaTeslaT4), or ``none``. A push that failed is repeated only where no new
    version is there. Raises UserError with Kaggle's reason where it refuses.
    """
    metadata = json.loads((folder / METADATA).read_text(encoding="utf-8"))
    ref, size = metadata["id"], (folder / metadata["code_file"]).stat().st_size
    if size > SOURCE_BYTES:
        raise UserError(f"{folder / metadata['code_file']} takes {size / 1e6:.2f} MB and Kaggle takes 1 MB of source: "
                        "make it smaller.")  # fmt: skip
    before = _version(kaggle, ref)
    words = ["kernels", "push", "-p", str(folder), "-t", str(int(session_seconds))]
    words += [] if accelerator == "none" else ["--accelerator", accelerator]
    for attempt in range(TRIES):
        said = run_cli(words, PUSH_SECONDS)
        if (now := _version(kaggle, ref)) > before:
            if "not valid" in said.text:  # a source it could not attach, which the session would miss
                raise UserError(f"Kaggle took kernel {ref} without something it needs ({said.text.strip()[:300]}): "
                                "mend that, then repeat the same line.")  # fmt: skip
            return now
        if "push error" in said.text:
            break
        time.sleep(2.0**attempt)
    raise UserError(f"Kaggle did not take kernel {ref} ({said.last}): mend that, then repeat the same line.")


def _version(kaggle: Kaggle, ref: str) -> int:
    found = kaggle.kernel(ref)
    return found.current_version_number if found else 0


def wait_kernel(
    kaggle: Kaggle, ref: str, version: int, limit_seconds: float, hear: Callable[[str, float], None]
) -> None:
    """Wait until the session of a kernel's ``version`` has ended well; ``hear(state, seconds)`` is told how it stands.

    Raises UserError where it failed, or another version took its place, and Unfinished after ``limit_seconds``.
    """
    state = watch_kernels(kaggle, {ref: version}, limit_seconds, lambda states, seconds: hear(states[ref], seconds))[
        ref
    ]
    if state != "complete":
        reason = kaggle.kernel_status(ref)[1] or "no reason given"
        raise UserError(f"Kernel {ref} ended as '{state}' ({reason}): its log is on https://www.kaggle.com/code/{ref}.")


def watch_kernels(
    kaggle: Kaggle, versions: dict[str, int], limit_seconds: float, hear: Callable[[dict[str, str], float], None]
) -> dict[str, str]:
    """Wait until every kernel's session has ended; returns the states (complete, error, cancel_acknowledged).

    ``versions``: the version of each OWNER/SLUG that is meant. Kaggle out of reach is waited for as well. Raises
    UserError where another version was pushed meanwhile, and Unfinished after ``limit_seconds``.
    """
    started, pause = time.monotonic(), FIRST_LOOK
    states = dict.fromkeys(versions, "queued")
    while True:
        try:
            for ref, state in states.items():
                if state not in ENDED:
                    _check_version(kaggle, ref, versions[ref])
                    states[ref] = kaggle.kernel_status(ref)[0]
        except Unreachable:
            if time.monotonic() - started > limit_seconds:
                raise
        seconds = time.monotonic() - started
        hear(states, seconds)
        if all(state in ENDED for state in states.values()):
            return states
        if seconds > limit_seconds:
            late = ", ".join(ref for ref, state in states.items() if state not in ENDED)
            raise Unfinished(f"Kernel {late} has not ended after {seconds / 3600:.1f} hours: the same line goes on "
                             "waiting for it.")  # fmt: skip
        time.sleep(pause)
        pause = min(1.5 * pause, LONGEST_LOOK)


def _check_version(kaggle: Kaggle, ref: str, version: int) -> None:
    if (now := _version(kaggle, ref)) != version:
        raise UserError(f"Kernel {ref} is at version {now}, and version {version} was waited for: another push took "
                        "its place, so repeat the same line.")  # fmt: skip


def pull_output(ref: str, folder: Path) -> None:
    """Put the output of a kernel's newest session, and its log as ``<slug>.log``, into ``folder``, replacing it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)

    def size() -> int:
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

    said = run_cli(["kernels", "output", ref, "-p", str(folder)], PULL_SECONDS, size)
    if said.status != 0:
        raise Unfinished(f"The output of kernel {ref} could not be fetched ({said.last}): repeat the same line later.")


def last_words(log: Path) -> str:
    """Return the last line of a session's log (Kaggle's JSON list of what was printed), for sentences."""
    try:
        text = "".join(event["data"] for event in json.loads(log.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return "it left no log"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "its log is empty"
