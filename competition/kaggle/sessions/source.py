"""Where Kaggle's sessions find what they read: the competition, a private data set, or the demo that they draw."""

import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from competition.core.errors import UserError
from competition.core.settings import Config
from competition.data.run_data import data_root
from competition.kaggle.client.api import Kaggle
from competition.kaggle.datasets import upload_dataset, write_metadata
from competition.kaggle.kernels import slug_of


@dataclass(frozen=True)
class Source:
    """``kind``: drawn, competition or dataset. ``slug``, and ``contents``, what lies at the top of the data's folder,
    find it among all that is mounted; ``attached``: what the kernel's metadata must name for it."""

    kind: str
    slug: str
    contents: list[str]
    attached: dict[str, list[str]]


def find_source(config: Config, kaggle: Kaggle, inbox: Path) -> Source:
    """Return where a session finds the data; data of the user's own are uploaded first, by way of ``inbox``."""
    if config.demo.draw:
        return Source("drawn", "", [], {})
    root = data_root(config)
    contents = sorted(entry.name for entry in os.scandir(root) if not entry.name.startswith("."))
    if config.competition:
        return Source("competition", config.competition, contents, {"competition_sources": [config.competition]})
    ref = f"{kaggle.username}/{slug_of(f'{config.name}-data')}"
    staged = inbox / "data"
    shutil.rmtree(staged, ignore_errors=True)
    write_metadata(staged, ref)
    for name in contents:
        (staged / name).symlink_to(root / name)
    upload_dataset(kaggle, staged, lambda line: print(f"  Kaggle: {line}", flush=True))
    return Source("dataset", ref.split("/")[1], contents, {"dataset_sources": [ref]})


def check_sendable(config: Config) -> None:
    """Raise UserError for what lies on this machine alone and no session could read."""
    if not (config.demo.draw or config.competition or config.kaggle.upload):
        raise UserError(
            f"data={config.data} is on this machine alone: say kaggle.upload=true to send it to Kaggle as "
            "a private data set, or competition=SLUG if it is one's."
        )
    for key in ("extra", "pseudo"):
        if value := getattr(config, key):
            raise UserError(
                f"{key}={value} is on this machine alone, and engine=kaggle sends none of it: leave it "
                "out, or train here."
            )
    for name, recipe in config.members.items():
        if recipe.pretrained not in ("true", "false"):
            raise UserError(
                f"members.{name}.pretrained={recipe.pretrained} is on this machine alone: with engine="
                "kaggle say pretrained=true (the session fetches the weights) or false."
            )
