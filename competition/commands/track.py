"""Send a run to the tools in which people watch their trainings.

./run.sh track name=NAME to=trackio      a run's curves to trackio, wandb, mlflow or tensorboard

What was sent before is not sent again: a run that goes on later, or was sent while it trained, continues its curves.
"""

import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from competition.core.errors import UserError, did_you_mean
from competition.core.locks import only_one
from competition.core.options import parse
from competition.core.paths import run_folder, runs_folder
from competition.core.text import counted, printable
from competition.report.trackers.protocol import Tracker, answering, open_tracker, tracker_names
from competition.report.trackers.replay import replay, track_folder

PAUSE = 10.0  # seconds between two looks at a run that is followed
PATIENCE = 15.0  # seconds for another line that sends the same run


@dataclass(frozen=True)
class TrackOptions:
    """Which run, and where to."""

    name: str = ""  # the run
    to: str = ""  # the trackers, such as trackio,wandb
    follow: bool = False  # go on sending what comes about, until the input of this line ends (Ctrl-D)


def main(words: Sequence[str]) -> None:
    """Send a run, once or for as long as it is followed, and say where it is."""
    options = parse(words, TrackOptions)
    _check_run(options.name)
    names = tracker_names(options.to)
    if not names:
        raise UserError("There is nowhere to send the run: name a tracker, as in to=trackio.")
    busy = f"Another line sends the run '{options.name}': wait for it."
    with only_one(track_folder(options.name) / ".lock", PATIENCE, busy):
        if options.follow:
            _follow(options.name, names)
            return
        for name in names:
            _send(options.name, name, _opened(options.name, name))


def _check_run(name: str) -> None:
    if not name:
        raise UserError("Which run is to be sent? Name it, as in ./run.sh track name=NAME to=trackio.")
    if not run_folder(name).is_dir():
        runs = [path.name for path in runs_folder().glob("[!.]*") if path.is_dir()]
        raise UserError(f"There is no run '{name}' in {runs_folder()}{did_you_mean(name, runs)}")


def _opened(run: str, name: str) -> Tracker:
    with answering(name, run):
        return open_tracker(name, track_folder(run) / name)


def _follow(run: str, names: Sequence[str]) -> None:
    """Send the run again and again until standard input ends, and then what it closes with.

    A tracker that fails is left out from then on, which is said once.
    """
    over = threading.Event()

    def wait_for_end() -> None:
        sys.stdin.buffer.read()
        over.set()

    threading.Thread(target=wait_for_end, daemon=True).start()
    left, opened, last = list(names), dict[str, Tracker](), False
    while left and not last:
        last = over.wait(PAUSE)
        for name in list(left):
            try:
                tracker = opened[name] = opened.get(name) or _opened(run, name)
                _send(run, name, tracker, quiet=not last)
            except UserError as error:
                print(printable(str(error)), flush=True)
                left.remove(name)


def _send(run: str, name: str, tracker: Tracker, quiet: bool = False) -> None:
    """Send a run to a tracker, and say where it is."""
    curves = replay(run, name, tracker)
    if not quiet:
        print(f"Tracked     {counted(curves, 'curve')} by {name}: {tracker.where}", flush=True)
