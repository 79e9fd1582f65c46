"""What a finished run was made with: its settings, and the folds that it was trained in."""

from pathlib import Path

import pandas as pd

from competition.core.config import CONFIG_FILE, load_config
from competition.core.errors import UserError
from competition.core.files import fingerprint
from competition.core.intact import damaged
from competition.core.paths import FOLDS_FILE, run_folder
from competition.core.settings import Config
from competition.data.folds import read_folds
from competition.inference.run_record import Record


def run_settings(record: Record) -> Config:
    """Return the settings of a finished run; UserError where they are damaged."""
    path = record.folder / CONFIG_FILE
    config = load_config([f"config={path}"])
    if not config.names and (lacking := record.members.keys() - config.members.keys()):
        raise damaged(path, f"it lacks the member {min(lacking)}")
    return config


def folds_path(name: str, config: Config) -> Path:
    """Return where the folds of the run ``name`` are; a blend has those of the runs that it is made of."""
    own = run_folder(name) / FOLDS_FILE
    return run_folder(config.names.split(",")[0]) / FOLDS_FILE if config.names and not own.exists() else own


def folds_mark(folds: pd.DataFrame) -> str:
    """Return what the folds of :func:`read_folds` are known by, in whatever order their rows are."""
    return fingerprint(folds.sort_values("id").to_csv(index=False))


def run_folds(record: Record, config: Config) -> pd.DataFrame:
    """Return the folds that a finished run was trained in, every column as text; UserError where others are in their
    place."""
    path = folds_path(record.name, config)
    folds = read_folds(path)
    if len(folds) != record.rows["train"] or record.folds not in ("", folds_mark(folds)):
        raise UserError(
            f"{path} holds other folds than the run '{record.name}' was trained in: restore that file, or delete it "
            "and train the run again with overwrite=true."
        )
    return folds
