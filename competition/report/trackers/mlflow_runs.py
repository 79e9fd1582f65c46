"""MLflow: an experiment for each run of Telltale, a run in it for each curve."""

import logging
import os
import time
from pathlib import Path

from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient

from competition.core.paths import shown
from competition.report.trackers.curves import Curve
from competition.report.trackers.protocol import Tracker

MAX_VALUE = 500  # characters of a setting's value


class MlflowRuns(Tracker):
    """Sends to the server that MLFLOW_TRACKING_URI names, or else to a database in the run's folder."""

    def __init__(self, folder: Path) -> None:
        for name in ("mlflow", "alembic"):  # which tell how they make a database
            logging.getLogger(name).setLevel(logging.WARNING)
        folder.mkdir(parents=True, exist_ok=True)
        server, own = os.environ.get("MLFLOW_TRACKING_URI"), folder / "mlflow.db"
        self.where = f"mlflow ui --backend-store-uri {server or f'sqlite:///{shown(own)}'}"
        self._client = MlflowClient(tracking_uri=server or f"sqlite:///{own.resolve()}")

    def send(self, curve: Curve, sent: int, known_as: str) -> str:
        run = known_as or self._begin(curve)
        now = int(1000 * time.time())
        metrics = [
            Metric(key, value, now, step) for step, figures in curve.steps(sent) for key, value in figures.items()
        ]
        metrics += [Metric(key, value, now, len(curve.epochs)) for key, value in curve.named_closing.items()]
        for start in range(0, len(metrics), 1000):  # as many as one request may have
            self._client.log_batch(run, metrics[start : start + 1000])
        if curve.closing:
            self._client.set_terminated(run)
        return run

    def _begin(self, curve: Curve) -> str:
        experiment = self._client.get_experiment_by_name(curve.run)
        found = experiment.experiment_id if experiment else self._client.create_experiment(curve.run)
        run = self._client.create_run(found, run_name=curve.name).info.run_id
        settings = [Param(key, str(value)[:MAX_VALUE]) for key, value in curve.settings.items()]
        for start in range(0, len(settings), 100):  # likewise
            self._client.log_batch(run, params=settings[start : start + 100])
        return str(run)
