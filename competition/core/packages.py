"""Packages that only some commands need, and what keeps packages quiet."""

import importlib.util
import sys
from collections.abc import Sequence

from competition.core.errors import UserError

# What keeps libraries from asking or telling anyone anything of their own accord, set before they are imported.
QUIET = {
    "NO_ALBUMENTATIONS_UPDATE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "GRADIO_ANALYTICS_ENABLED": "False",
    "ORT_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    "RAY_USAGE_STATS_ENABLED": "0",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "WANDB_ERROR_REPORTING": "false",
}


def check_packages(what: str, packages: Sequence[str]) -> None:
    """Raise UserError, which says how to install them, where this Python lacks ``packages`` that ``what`` needs."""
    if missing := [one for one in packages if importlib.util.find_spec(one) is None]:
        raise UserError(
            f"{what} needs {' and '.join(missing)}, which this Python lacks: run {sys.executable} -m pip install "
            f"{' '.join(missing)} and then the same line again."
        )
