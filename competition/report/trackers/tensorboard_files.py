"""TensorBoard: an event file in a folder for each curve, each time it is sent."""

from pathlib import Path

import yaml
from torch.utils.tensorboard import SummaryWriter

from competition.core.paths import shown
from competition.report.trackers.curves import Curve
from competition.report.trackers.protocol import Tracker


class TensorBoardFiles(Tracker):
    """Writes below the run's folder: TensorBoard reads all event files of a folder as one curve."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.where = f"tensorboard --logdir {shown(folder)}"

    def send(self, curve: Curve, sent: int, known_as: str) -> str:
        with SummaryWriter(str(self.folder / curve.name)) as writer:
            if not sent:
                writer.add_text("settings", f"```\n{yaml.safe_dump(dict(curve.settings), sort_keys=False)}```")
            for step, figures in curve.steps(sent):
                for key, value in figures.items():
                    writer.add_scalar(key, value, step)
            for key, value in curve.named_closing.items():
                writer.add_scalar(key, value, len(curve.epochs))
        return curve.name
