"""The eight digits by which a submission is known again on Kaggle, whatever became of the line that sent it.

They are made of what was submitted alone, and stand in every description.
"""

import re

from competition.core.errors import UserError
from competition.core.files import fingerprint

DIGITS = 8
MAX_DESCRIPTION = 300  # characters of a description: the digits stand at its end, and must not be cut off


def file_mark(content: bytes) -> str:
    """Return the mark of a submission file."""
    return fingerprint(content)[:DIGITS]


def kernel_mark(ref: str, version: int) -> str:
    """Return the mark of what one version of a kernel writes."""
    return fingerprint(ref, version)[:DIGITS]


def marks_in(description: str) -> set[str]:
    """Return every word of a description that has the form of a mark."""
    return set(re.findall(rf"(?<![0-9A-Za-z])[0-9a-f]{{{DIGITS}}}(?![0-9A-Za-z])", description))


def describe(message: str, parts: list[str], mark: str) -> str:
    """Return the description of a submission: the user's ``message`` or else ``parts``, and the mark at its end.

    Line breaks become spaces. Raises UserError where it would be too long for Kaggle to keep whole.
    """
    text = f"{' '.join(message.split())} [{mark}]" if message.strip() else " ".join([*parts, mark])
    if len(text) > MAX_DESCRIPTION:
        raise UserError(
            f"message= has {len(message):,} characters, and with the mark at its end {MAX_DESCRIPTION} are the "
            "most: shorten it."
        )
    return text
