"""The exceptions of the package, and the nearest right spelling.

    UserError            core.errors: a mistake in what was given
        Untrainable      core.errors: settings under which no model comes about, such as a rate that is too high
        KaggleRefusal    kaggle.client.retry: Kaggle's answer is no
        Unfinished       core.errors: not there yet, through no mistake; the same line goes on later
            Unreachable  kaggle.client.retry: Kaggle does not answer
    Interrupted          core.signals: Ctrl-C or SIGTERM; a KeyboardInterrupt, which no `except Exception` catches
    UnreadableImage      data.images.decode: not a whole image; a declared policy says what becomes of its row
    Pruned               training.tuning.study: a trial is so clearly worse than the best that it need not go on
    OutOfTime            training.engines.progress: the hours of the line are over before all jobs are finished
    Unsafe               kaggle.download.unpack: an archive that must not be unpacked
    Damaged              kaggle.download.unpack: an archive that cannot be read to its end
    Busy                 app.limits: as many requests of programs as may wait are waiting
    NoAnswer             collect.crawl: an address gives nothing, for good or this time

A UserError alone leaves a command, and the others are caught where they mean something. README.md lists the exit
statuses.
"""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake in what the user gave: one sentence saying what is wrong, where, and what to do.

    The command line prints the sentence and exits with ``status``; nothing else in the package prints or exits.
    """

    status = 2


class Untrainable(UserError):
    """Training under these settings comes to nothing: the loss is no number any more, or no batch fits the memory."""


class Unfinished(UserError):
    """The result is not there yet, through no mistake of the user's: repeating the line later is the remedy."""

    status = 3


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean 'swin'?"`` for the known word nearest to ``word``, or what is known if none is near."""
    known = sorted(known)
    near = difflib.get_close_matches(word, known, n=1, cutoff=0.6)
    if near:
        return f"; did you mean '{near[0]}'?"
    return f"; known are {', '.join(known)}" if len(known) <= 12 else ""
