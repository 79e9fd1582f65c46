"""Packages that only some commands need."""

import importlib.util
import sys
from collections.abc import Sequence

from competition.core.errors import UserError


def check_packages(what: str, packages: Sequence[str]) -> None:
    """Raise UserError, which says how to install them, where this Python lacks ``packages`` that ``what`` needs."""
    if missing := [one for one in packages if importlib.util.find_spec(one) is None]:
        raise UserError(
            f"{what} needs {' and '.join(missing)}, which this Python lacks: run {sys.executable} -m pip install "
            f"{' '.join(missing)} and then the same line again."
        )
