"""The settings of a collection, from ``key=value`` words; every mistake is one sentence before anything is asked."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from competition.collect.addresses import Refused, parsed
from competition.core.config import KINDS, parse_options
from competition.core.errors import UserError
from competition.data.layouts.class_folders import TEST, TRAIN

BOUNDS = {
    "max_mb": (0.001, 1000),
    "min_side": (1, 10_000),
    "connections": (1, 16),
    "delay": (0, 60),
    "retries": (0, 10),
}
REFUSING = ("allow_local", "max_mb", "min_side", "robots")  # those for which an address or image may be refused
USAGE = "./run.sh collect urls=FILE label=ai out=DIR"


@dataclass(frozen=True)
class CollectSettings:
    """What to collect and how.

    urls: a text file of addresses; page: the address of a page whose images are wanted; one of them or both.
    label: the class, a folder of ``out``, which is the data set's folder.
    allow_local: ask addresses that are not on the public internet, too.
    max_mb: refuse files of more than so many 10^6 bytes; min_side: refuse images with a side of fewer pixels.
    connections: requests at a time; delay: seconds between two to one host; retries: of each, where it may help.
    robots: obey robots.txt.
    """

    urls: str = ""
    page: str = ""
    label: str = ""
    out: str = ""
    allow_local: bool = False
    max_mb: float = 50
    min_side: int = 32
    connections: int = 4
    delay: float = 0.5
    retries: int = 4
    robots: bool = True

    @property
    def limit(self) -> int:
        """The most bytes that an image may have."""
        return int(self.max_mb * 1_000_000)

    def said(self, name: str) -> str:
        """Return a setting as it would be typed."""
        value = getattr(self, name)
        return f"{name}={str(value).lower() if isinstance(value, bool) else format(value, 'g')}"


def parse_settings(words: Sequence[str]) -> CollectSettings:
    """Turn words like ``label=ai`` into settings.

    Raises ``UserError`` for an unknown or repeated key, a wrong type, a value out of range and for what is lacking.
    """
    types = {item.name: item.type for item in fields(CollectSettings)}
    given, named = parse_options(words, dict.fromkeys(types, ""))
    if named:
        raise UserError(f"'{named[0]}' is not a setting: write key=value, as in {USAGE}.")
    settings = CollectSettings(**{key: _typed(key, text.strip(), types[key]) for key, text in given.items() if text})
    check(settings)
    return settings


def _typed(key: str, text: str, kind: type) -> Any:
    try:
        if kind is bool:
            return {"true": True, "false": False}[text.lower()]
        return kind(text)
    except (KeyError, ValueError):
        raise UserError(f"{key}={text} is not {KINDS[kind]}.") from None


def check(settings: CollectSettings) -> None:
    """Raise ``UserError`` unless the settings make sense, together and with what lies in ``out``; changes nothing."""
    for name, (least, most) in BOUNDS.items():
        value = getattr(settings, name)
        if not least <= value <= most:
            raise UserError(f"{name}={value} is out of range: give a value from {least:g} to {most:g}.")
    if not settings.urls and not settings.page:
        raise UserError(f"Say where the images are, with urls=FILE (an address a line) or page=ADDRESS: {USAGE}")
    for name in ("label", "out"):
        if not getattr(settings, name):
            raise UserError(f"collect needs {name}=, as in {USAGE}.")
    if settings.page:
        try:
            parsed(settings.page)
        except Refused as refusal:
            raise UserError(
                f"page={settings.page} cannot be asked for ({refusal.reason}): write it in full, "
                "as in https://example.org/gallery."
            ) from None
    _check_folder(settings.label, Path(settings.out))


def _check_folder(label: str, out: Path) -> None:
    """Refuse a class folder that :func:`data.layouts.read.read_dataset` would not see as one."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", label) or label.endswith("."):
        raise UserError(f"label={label} cannot be a folder's name: use letters, digits, '.', '-' and '_'.")
    if label.lower() in TRAIN + TEST:
        raise UserError(f"label={label} names a part of a data set, not a class: say what the images are, as label=ai.")
    if not out.exists():
        return
    if not out.is_dir():
        raise UserError(f"out={out} is a file: name a folder.")
    for found in out.iterdir():
        if found.suffix == ".csv":
            raise UserError(f"out={out} holds {found.name}, so it is another data set: name a folder of its own.")
        if found.name.lower() == label.lower() and found.name != label:
            raise UserError(f"out={out} has '{found.name}' already: write label={found.name}.")
        if found.name.lower() in TRAIN and found.is_dir():
            raise UserError(f"out={out} holds the folder {found.name}, whose classes are read: name out={found}.")
    if (out / label).exists() and not (out / label).is_dir():
        raise UserError(f"{out / label} is a file: move it away, or name another label=.")
