"""The options of a collection; every mistake in them is one sentence before anything is fetched."""

import re
from dataclasses import dataclass
from pathlib import Path

from competition.collect.addresses import Rejected, parsed
from competition.core.errors import UserError
from competition.core.options import bounded, check_values
from competition.data.layouts.class_folders import TEST, TRAIN

REFUSING = ("allow_local", "max_mb", "min_side", "robots")  # those for which an address or image may be refused
USAGE = "./run.sh collect urls=FILE label=ai out=DIR"


@dataclass(frozen=True)
class CollectOptions:
    """What to collect, and how; urls= or page= (or both), label= and out= must be given."""

    urls: str = ""  # a text file of addresses, one a line
    page: str = ""  # the address of a page whose images are wanted
    label: str = ""  # the class: a folder of `out`
    out: str = ""  # the data set's folder
    allow_local: bool = False  # request addresses that are not on the public internet, too
    max_mb: float = bounded(50.0, 0.001, 1000)  # files of more than so many 10^6 bytes are refused
    min_side: int = bounded(32, 1, 10_000)  # images with a side of fewer pixels are refused
    connections: int = bounded(4, 1, 16)  # requests at a time
    delay: float = bounded(0.5, 0, 60)  # seconds between two requests to one host
    retries: int = bounded(4, 0, 10)  # of each request, where it may help
    robots: bool = True  # obey robots.txt

    @property
    def limit(self) -> int:
        """The most bytes that an image may have."""
        return int(self.max_mb * 1_000_000)

    def typed(self, name: str) -> str:
        """Return a setting as it would be typed."""
        value = getattr(self, name)
        return f"{name}={str(value).lower() if isinstance(value, bool) else format(value, 'g')}"


def check(options: CollectOptions) -> None:
    """Raise ``UserError`` unless the options make sense, together and with what lies in ``out``; changes nothing."""
    check_values(options)
    if not options.urls and not options.page:
        raise UserError(f"Say where the images are, with urls=FILE (an address a line) or page=ADDRESS: {USAGE}")
    for name in ("label", "out"):
        if not getattr(options, name):
            raise UserError(f"collect needs {name}=, as in {USAGE}.")
    if options.page:
        try:
            parsed(options.page)
        except Rejected as refusal:
            raise UserError(
                f"page={options.page} cannot be requested ({refusal.reason}): write it in full, "
                "as in https://example.org/gallery."
            ) from None
    _check_folder(options.label, Path(options.out))


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
