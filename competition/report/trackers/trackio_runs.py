"""Trackio: a run for each curve, grouped by Telltale's run, in the local store that ``trackio show`` reads."""

import contextlib
import io
from pathlib import Path

import trackio

from competition.report.trackers.curves import PROJECT, Curve
from competition.report.trackers.protocol import Tracker


class TrackioRuns(Tracker):
    """Writes to Trackio's own store, which TRACKIO_DIR moves elsewhere."""

    def __init__(self, folder: Path) -> None:
        self.where = f"trackio show --project {PROJECT}"

    def send(self, curve: Curve, sent: int, known_as: str) -> str:
        name = known_as or f"{curve.run} {curve.name} {curve.id[:6]}"  # by which trackio knows a run
        with contextlib.redirect_stdout(io.StringIO()):  # it tells what it does at every call
            trackio.init(
                project=PROJECT,
                name=name,
                group=curve.run,
                config=dict(curve.settings),
                resume="allow",
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )
            for step, figures in curve.steps(sent):
                trackio.log(dict(figures), step=step)
            if curve.closing:
                trackio.log(curve.named_closing, step=len(curve.epochs))
            trackio.finish()
        return name
