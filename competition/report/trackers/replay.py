"""Send what is new of a run to trackers: each epoch once, however often the run is killed, resumed or sent."""

from collections.abc import Mapping
from pathlib import Path

from competition.core.files import fingerprint
from competition.core.intact import kept_record, write_record_file
from competition.core.paths import run_folder
from competition.report.trackers.curves import Curve, read_curves
from competition.report.trackers.protocol import Tracker, answering

SENT_FILE = "sent.json"  # in the run's folder of trackers: of each tracker and curve, how much it has


def track_folder(run: str) -> Path:
    """Return folds/<name>/track, where what was sent is noted and trackers keep what is kept nowhere else."""
    return run_folder(run) / "track"


def replay(run: str, name: str, tracker: Tracker) -> int:
    """Send ``tracker``, of that ``name``, what it lacks of a run; returns how many curves it has then.

    What was sent is noted after each curve. Raises UserError for whatever the tracker's tool raises.
    """
    curves = read_curves(run)
    for curve in curves:
        _send(curve, name, tracker)
    return len(curves)


def _send(curve: Curve, name: str, tracker: Tracker) -> None:
    path = track_folder(curve.run) / SENT_FILE
    noted = kept_record(path)
    own: Mapping[str, dict] = noted.get(name, {})
    before = own.get(curve.id, {"epochs": 0, "closing": "", "known_as": ""})
    closing = fingerprint(dict(curve.closing)) if curve.closing else ""
    if len(curve.epochs) <= before["epochs"] and closing in ("", before["closing"]):
        return
    with answering(name, curve.run):
        known_as = tracker.send(curve, before["epochs"], before["known_as"])
    now = {"epochs": max(before["epochs"], len(curve.epochs)), "closing": closing, "known_as": known_as}
    write_record_file(path, {**noted, name: {**own, curve.id: now}})
