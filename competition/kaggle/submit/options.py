"""The options of the `submit` line; every mistake in them is one sentence before anything is read or sent."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from competition.core.errors import UserError
from competition.core.options import bounded, parse
from competition.kaggle.client.retry import PATIENCE
from competition.kaggle.client.slugs import slug_in


@dataclass(frozen=True)
class SubmitOptions:
    """What is submitted, and how."""

    file: str = ""  # a CSV; default: the newest submission of run `name`, or submissions/submission.csv
    name: str = ""  # the run that it is of, whose card says what is known of it; default: the run that wrote the file
    competition: str = ""  # Kaggle's name of the competition, or its address; default: the run's
    data: str = ""  # folder of the competition's data, which the file is checked against; default: the run's
    message: str = ""  # what Kaggle shows beside the submission; default: the run's name and CV
    yes: bool = False  # submit without a question
    again: bool = False  # submit even what was submitted before
    wait: float = bounded(900.0, 0, 1e9)  # seconds to wait for the score
    timeout: float = bounded(120.0, 0, 1e9)  # seconds that one upload may take, besides its size
    kernel: str = ""  # OWNER/SLUG of a notebook whose output is submitted, in place of a file
    version: int | None = bounded(None, 0, 1e9)  # which version of the kernel; default: the current one

    @property
    def patience(self) -> float:
        """Seconds over which errors of Kaggle's own are borne in one question to it."""
        return min(PATIENCE, max(self.wait, 5.0))


def parse_submit(words: Sequence[str]) -> SubmitOptions:
    """Return the options that fit together. Raises UserError."""
    options = parse(words, SubmitOptions)
    if options.kernel and not re.fullmatch(r"[\w-]+/[\w-]+", options.kernel):
        raise UserError(f"kernel={options.kernel} does not name a kernel: write kernel=OWNER/SLUG.")
    if options.version is not None and not options.kernel:
        raise UserError(f"version={options.version} is of no kernel: add kernel=OWNER/SLUG, or leave version= out.")
    if options.kernel and options.file:
        raise UserError(f"file={options.file} and kernel={options.kernel} cannot both be given: keep one of them.")
    return replace(options, competition=slug_in(options.competition))
