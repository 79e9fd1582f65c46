"""The exceptions that end a command in one sentence, and the nearest right spelling."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake in what the user gave: one sentence saying what is wrong, where, and what to do.

    The command line prints the sentence and exits with ``status``; nothing else in the package prints or exits.
    """

    status = 2


class Unfinished(UserError):
    """What was asked for is not there yet, through no mistake of the user's: repeating the line later is the remedy."""

    status = 3


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'swin'?"`` for the known word nearest to ``word``, or what is known if none is near."""
    known = sorted(known)
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if near:
        return f"; did you mean '{near[0]}'?"
    return f"; known are {', '.join(known)}" if len(known) <= 12 else ""
