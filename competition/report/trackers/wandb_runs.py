"""Weights & Biases: a run for each curve, grouped by Telltale's run; offline where there is no key."""

import netrc
import os
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import wandb

from competition.core.paths import shown
from competition.report.trackers.curves import PROJECT, Curve
from competition.report.trackers.protocol import Tracker


class WandbRuns(Tracker):
    """Sends to the user's account, unless WANDB_MODE says otherwise; without a key, writes runs to sync later."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._mode: Any = os.environ.get("WANDB_MODE") or ("online" if _has_key() else "offline")
        self.where = f"wandb sync {shown(folder / 'wandb')}/*run-* sends them"
        if self._mode == "online":
            self.where = f"your account's project {PROJECT}"

    def send(self, curve: Curve, sent: int, known_as: str) -> str:
        self._folder.mkdir(parents=True, exist_ok=True)
        quiet = wandb.Settings(
            silent=True, console="off", x_disable_stats=True, disable_git=True, disable_code=True, init_timeout=60
        )
        with wandb.init(
            project=PROJECT,
            group=curve.run,
            name=f"{curve.run} {curve.name}",
            id=curve.id,
            resume="allow",
            dir=str(self._folder),
            mode=self._mode,
            config=dict(curve.settings),
            settings=quiet,
        ) as run:
            for step, figures in curve.steps(sent):
                run.log(dict(figures), step=step)
            run.summary.update(curve.named_closing)
        return curve.id


def _has_key() -> bool:
    """Whether the user has logged in: by the environment, or by ``wandb login``, which writes .netrc."""
    host = urlparse(os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname or ""
    try:
        return bool(os.environ.get("WANDB_API_KEY") or netrc.netrc().authenticators(host))
    except (OSError, netrc.NetrcParseError):
        return False
