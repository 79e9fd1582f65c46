"""Where things lie on disk: the presets, the home folder, a run's folder and the cache."""

import os
from pathlib import Path

from competition.core.settings import Config

PRESETS = Path(__file__).parents[1] / "presets"
FOLDS_FILE = "folds.csv"


def preset_names() -> list[str]:
    """Return the names of the presets that come with the package."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def home() -> Path:
    """Return the folder that holds folds/ and submissions/: TELLTALE_HOME (run.sh: the checkout) or the current."""
    return Path(os.environ.get("TELLTALE_HOME") or ".")


def shown(path: Path) -> str:
    """Return a path as the user would type it: relative where it lies below the current folder."""
    return os.path.relpath(path) if path.resolve().is_relative_to(Path.cwd()) else str(path)


def nearest_existing(path: Path) -> Path:
    """Return a path if something is there, else the nearest of the folders above it that exists."""
    return next(place for place in (path, *path.parents) if place.exists())


def runs_folder() -> Path:
    """Return folds/, which holds a folder for each run."""
    return home() / "folds"


def run_folder(name: str) -> Path:
    """Return folds/<name>, the folder of the run ``name``."""
    return runs_folder() / name


def runs_with(file: str) -> list[str]:
    """Return the names of the runs in whose folder this file lies, sorted."""
    return sorted(path.parent.name for path in runs_folder().glob(f"*/{file}"))


def cache_folder(config: Config) -> Path:
    """Return the folder of what is computed once: decoded pixels, and features of frozen backbones."""
    return Path(config.cache).expanduser() if config.cache else runs_folder() / ".cache"


def located(folder: str) -> Path:
    """Return a folder that a setting names as an absolute path, so that the run knows it wherever the line is run."""
    path = Path(folder).expanduser()
    if not path.is_absolute() and not path.exists():
        path = home() / path
    return path.absolute()
