"""Where epochs can be sent as they come about."""

from dataclasses import dataclass


@dataclass(frozen=True)
class TrackerPlace:
    """Where a tracker is in the code (report/trackers/protocol.py), imported when used, and the packages it needs."""

    place: str
    packages: tuple[str, ...]


TRACKERS = {
    "trackio": TrackerPlace("competition.report.trackers.trackio_runs:TrackioRuns", ("trackio",)),
    "wandb": TrackerPlace("competition.report.trackers.wandb_runs:WandbRuns", ("wandb",)),
    "mlflow": TrackerPlace("competition.report.trackers.mlflow_runs:MlflowRuns", ("mlflow", "sqlalchemy", "alembic")),
    "tensorboard": TrackerPlace("competition.report.trackers.tensorboard_files:TensorBoardFiles", ("tensorboard",)),
}
