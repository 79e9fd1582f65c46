"""Kernels: pushed, waited for and emptied by the real command line; what came of it is read back through the API."""

import hashlib
import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from competition.core.errors import Unfinished, UserError
from competition.core.files import write_json
from competition.kaggle.client.api import Kaggle
from competition.kaggle.client.cli import run_cli
from competition.kaggle.client.retry import KaggleRefusal, Unreachable, looks

METADATA = "kernel-metadata.json"
PUSH_SECONDS, PULL_SECONDS = 120.0, 300.0  # that a push, and a pull of next to nothing, may take
MIN_BYTES_PER_SECOND = 50_000  # that a pull makes at least
MAX_REFUSALS = 3  # in a row, until Kaggle's no is believed
PAUSES = 0.5, 30.0  # the first and the longest between two looks at a session, in seconds
TRIES = 3
MAX_SLUG = 50  # characters
SOURCE_BYTES = 1_000_000  # the most that Kaggle takes as a kernel's source
ENDED = ("complete", "error", "cancel_requested", "cancel_acknowledged")


def slug_of(name: str) -> str:
    """Return ``telltale-NAME`` as Kaggle spells it in addresses: at most 50 characters, other names other slugs."""
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    if plain == name and len(plain) <= MAX_SLUG - 9:
        return f"telltale-{plain}"
    tail = hashlib.blake2b(name.encode(), digest_size=3).hexdigest()
    return f"telltale-{plain[: MAX_SLUG - 16].strip('-')}-{tail}"


def write_metadata(folder: Path, ref: str, code_file: str, **more: Any) -> None:
    """Write ``kernel-metadata.json`` for a private Python kernel OWNER/SLUG; ``more`` adds to it or changes it."""
    write_json(
        folder / METADATA,
        {
            "id": ref,
            "title": ref.split("/")[1].replace("-", " "),  # the command line wants one that spells the slug
            "code_file": code_file,
            "language": "python",
            "kernel_type": "notebook" if code_file.endswith(".ipynb") else "script",
            "is_private": "true",
            "enable_gpu": "true",
            "enable_internet": "false",
            "dataset_sources": [],
            "competition_sources": [],
            "kernel_sources": [],
            "docker_image_pinning_type": "latest",
            **more,
        },
    )


def push_kernel(kaggle: Kaggle, folder: Path, accelerator: str, session_seconds: float) -> int:
    """Push the kernel in ``folder`` and return its new version's number, as read back.

    ``accelerator`` is Kaggle's word (NvidiaTeslaT4), or ``none``. A push that failed is repeated only where no new
    version is there. Raises UserError with Kaggle's reason where it refuses.
    """
    metadata = json.loads((folder / METADATA).read_text(encoding="utf-8"))
    ref, size = metadata["id"], (folder / metadata["code_file"]).stat().st_size
    if size > SOURCE_BYTES:
        raise UserError(
            f"{folder / metadata['code_file']} takes {size / 1e6:.2f} MB and Kaggle takes 1 MB of source: "
            "make it smaller."
        )
    before = version_of(kaggle, ref)
    words = ["kernels", "push", "-p", str(folder), "-t", str(int(session_seconds))]
    words += [] if accelerator == "none" else ["--accelerator", accelerator]
    for attempt in range(TRIES):
        reply = run_cli(words, PUSH_SECONDS)
        pushed = re.search(r"Kernel version (\d+) successfully pushed", reply.text)
        now = int(pushed[1]) if pushed else version_of(kaggle, ref)
        if now > before:
            if "not valid" in reply.text:  # a source it could not attach, which the session would miss
                raise UserError(
                    f"Kaggle runs kernel {ref} without something it needs ({reply.text.strip()[:300]}): "
                    "stop it on its page, correct that, then repeat the same line."
                )
            return now
        if "push error" in reply.text:
            break
        time.sleep(2.0**attempt)
    raise UserError(f"Kaggle did not take kernel {ref} ({reply.last}): correct that, then repeat the same line.")


def version_of(kaggle: Kaggle, ref: str) -> int:
    """Return the newest version of a kernel, 0 where there is none."""
    found = kaggle.kernel(ref)
    return found.current_version_number if found else 0


def wait_kernel(
    kaggle: Kaggle, ref: str, version: int, limit_seconds: float, on_progress: Callable[[str, float], None]
) -> None:
    """Wait until the session of a kernel's ``version`` has ended well; ``on_progress(state, seconds)`` is called
    meanwhile.

    Raises UserError where it failed, or another version took its place, and Unfinished after ``limit_seconds``.
    """
    states = watch_kernels(
        kaggle, {ref: version}, limit_seconds, lambda states, seconds: on_progress(states[ref], seconds)
    )
    state = states[ref]
    if state != "complete":
        reason = kaggle.kernel_status(ref)[1] or "no reason given"
        raise UserError(f"Kernel {ref} ended as '{state}' ({reason}): its log is on https://www.kaggle.com/code/{ref}.")


def watch_kernels(
    kaggle: Kaggle, versions: dict[str, int], limit_seconds: float, on_progress: Callable[[dict[str, str], float], None]
) -> dict[str, str]:
    """Wait until a kernel's session has ended; returns all their states, of which at least one is in ENDED.

    ``versions``: the version of each OWNER/SLUG that is meant. ``on_progress(states, seconds)`` is called at each
    look. Kaggle out of reach is waited for as well. Raises UserError where another version was pushed meanwhile, and
    Unfinished after ``limit_seconds``.
    """
    refusals = 0
    states = dict.fromkeys(versions, "queued")
    unreachable: Unreachable | None = None
    for seconds in looks(limit_seconds, *PAUSES):
        try:
            states = {ref: _state(kaggle, ref, version) for ref, version in versions.items()}
            refusals, unreachable = 0, None
        except Unreachable as error:
            unreachable = error
        except KaggleRefusal:  # for hours of waiting, one such answer says little
            refusals += 1
            if refusals == MAX_REFUSALS:
                raise
        on_progress(states, seconds)
        if any(state in ENDED for state in states.values()):
            return states
    raise unreachable or Unfinished(
        f"Kernel {', '.join(states)} has not ended after {limit_seconds / 3600:.1f} hours: the same line goes on "
        "waiting for it."
    )


def _state(kaggle: Kaggle, ref: str, version: int) -> str:
    now = version_of(kaggle, ref)
    if now > version:
        raise UserError(
            f"Kernel {ref} is at version {now}, and version {version} was waited for: another push took "
            "its place, so repeat the same line."
        )
    return kaggle.kernel_status(ref)[0] if now == version else "queued"  # what was pushed may take a moment to show


def pull_files(ref: str, folder: Path, pattern: str, size: int = 0) -> None:
    """Put those files of a kernel's newest output whose paths match ``pattern`` into ``folder``, beside its log,
    ``<slug>.log``. They may take a time that goes with ``size``, in bytes. Raises Unfinished where that fails."""
    folder.mkdir(parents=True, exist_ok=True)
    words = ["kernels", "output", ref, "-p", str(folder), "--force", "--file-pattern", pattern]
    reply = run_cli(words, PULL_SECONDS + size / MIN_BYTES_PER_SECOND)
    if reply.status != 0:
        raise Unfinished(f"The output of kernel {ref} could not be fetched ({reply.last}): repeat the same line later.")


def last_words(log: Path) -> str:
    """Return the last line of a session's log (Kaggle's JSON list of what was printed), for sentences."""
    try:
        text = "".join(event["data"] for event in json.loads(log.read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return "it left no log"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "its log is empty"
