"""What sending asks of a tracker. A new one is a file, an extra, and a row in `core/settings.py`, ``TRACKERS``."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from competition.core.errors import UserError, did_you_mean
from competition.core.packages import check_packages
from competition.core.settings import placed
from competition.core.tracker_places import TRACKERS
from competition.report.trackers.curves import Curve


class Tracker(Protocol):
    """Takes curves. ``folder``: the tracker's own, in the run's, for what its tool keeps nowhere else.

    ``where``: where the curves are now, and what shows them, in words for the user.
    """

    where: str

    def __init__(self, folder: Path) -> None: ...

    def send(self, curve: Curve, sent: int, known_as: str) -> str:
        """Send a curve's epochs beyond the first ``sent``, and what it closes with, so that they go on where those end.

        Returns what the tracker knows the curve by, which is kept and given again as ``known_as``; '' the first time.
        Raises whatever the tool raises.
        """


def tracker_names(words: str) -> list[str]:
    """Return the trackers of ``track=``, such as ``trackio,wandb``. UserError for one that there is not, or that is not
    installed."""
    names = list(dict.fromkeys(word.strip() for word in words.split(",") if word.strip()))
    for name in names:
        if name not in TRACKERS:
            raise UserError(f"There is no tracker '{name}'{did_you_mean(name, TRACKERS)}")
        check_packages(f"track={name}", TRACKERS[name].packages)
    return names


@contextlib.contextmanager
def answering(name: str, run: str) -> Iterator[None]:
    """Raise UserError, which says how the rest is sent, for whatever a tracker's tool or server raises in the block."""
    try:
        yield
    except Exception as error:
        reason = " ".join(str(error).split())[:300] or type(error).__name__
        raise UserError(
            f"{name} did not take the run '{run}' ({reason}): ./run.sh track name={run} to={name} sends it later."
        ) from error


def open_tracker(name: str, folder: Path) -> Tracker:
    """Return the tracker of that name; its module is imported here, so that other tools need not be there."""
    return placed(TRACKERS[name].place)(folder)  # type: ignore[no-any-return]
