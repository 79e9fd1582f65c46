"""The words of the `submit` line, typed; every mistake is one sentence before anything is read or asked."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from competition.core.config import parse_options
from competition.core.errors import UserError
from competition.kaggle.client.api import PATIENCE
from competition.kaggle.client.slugs import slug_in
from competition.kaggle.submission.ledger import number

OPTIONS = {
    "file": "",
    "message": "",
    "competition": "",
    "data": "",
    "name": "",
    "yes": "false",
    "again": "false",
    "wait": "900",
    "timeout": "120",
    "kernel": "",
    "version": "",
}


@dataclass(frozen=True)
class Asked:
    """What to submit and how; what is not given is "" or None. ``wait``: seconds in which a score is waited for;
    ``timeout``: seconds that one upload may take, besides its size."""

    file: str
    message: str
    competition: str
    data: str
    name: str
    yes: bool
    again: bool
    wait: float
    timeout: float
    kernel: str
    version: int | None

    @property
    def patience(self) -> float:
        """Seconds over which errors of Kaggle's own are borne in one question to it."""
        return min(PATIENCE, max(self.wait, 5.0))


def parse_asked(words: Sequence[str]) -> Asked:
    """Return what the words ask for. Raises UserError."""
    given, named = parse_options(words, OPTIONS)
    if named:
        raise UserError(f"'{named[0]}' is not a setting: write ./run.sh submit file={shlex.quote(named[0])}.")
    for key in ("yes", "again"):
        if given[key].lower() not in ("true", "false"):
            raise UserError(f"{key}={given[key]} is neither true nor false: write one of them.")
    for key in ("wait", "timeout"):
        if (value := number(given[key])) is None or value < 0:
            raise UserError(f"{key}={given[key]} is not a number of seconds: write one, as in {key}={OPTIONS[key]}.")
    if given["kernel"] and not re.fullmatch(r"[\w-]+/[\w-]+", given["kernel"]):
        raise UserError(f"kernel={given['kernel']} does not name a kernel: write kernel=OWNER/SLUG.")
    if given["version"] and not (given["kernel"] and given["version"].isdigit()):
        raise UserError(
            f"version={given['version']} is not the number of a version of kernel=OWNER/SLUG: mend or drop it."
        )
    if given["kernel"] and given["file"]:
        raise UserError(f"file={given['file']} and kernel={given['kernel']} cannot both be given: keep one of them.")
    typed = {
        "competition": slug_in(given["competition"]),
        "wait": float(given["wait"]),
        "timeout": float(given["timeout"]),
        "version": int(given["version"]) if given["version"] else None,
        "yes": given["yes"].lower() == "true",
        "again": given["again"].lower() == "true",
    }
    return Asked(**{**given, **typed})
