"""The options of a collection and its plan; every mistake in them is one sentence before anything is fetched."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from competition.collect.addresses import Rejected, parsed
from competition.core.errors import UserError
from competition.core.options import bounded, check_values, one_of, parse
from competition.core.yaml_text import parse_yaml
from competition.data.layouts.class_folders import TEST, TRAIN

REFUSING = ("allow_local", "max_mb", "min_side", "robots")  # those for which an address or image may be refused
LICENCES = ("by", "by-sa", "by-nc", "by-nd", "by-nc-sa", "by-nc-nd", "cc0", "pdm")
OWN = ("name", "urls", "page", "browser", "search", "source", "licence", "api")  # what an entry of a plan may say
USAGE = "./run.sh collect urls=FILE label=ai out=DIR"


@dataclass(frozen=True)
class CollectOptions:
    """What to collect, and how; out= must be given, and either plan= or label= with urls=, page= or search=."""

    urls: str = ""  # a text file of addresses, one a line
    page: str = ""  # the address of a page whose images are wanted
    browser: bool = False  # let a browser render the page and scroll it, for pages that scripts build
    search: str = ""  # words to search for in `source`
    source: str = one_of("", "openverse", "wikimedia", "civitai")  # where; civitai has images made by AI
    licence: str = ""  # those wanted of a search, as cc0,by (by, by-sa, by-nc, by-nd, by-nc-sa, by-nc-nd, cc0, pdm)
    api: str = ""  # another place of the API of `source`, as https://openverse.example.org
    plan: str = ""  # a YAML file of several of these for both classes, which are kept balanced
    name: str = ""  # a folder below the class folder, which source=folders takes for a source
    label: str = ""  # the class: a folder of `out`
    out: str = ""  # the data set's folder
    max: int | None = bounded(None, 1, 1_000_000)  # images of a class that are enough; all there are if left out
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


def wishes(options: CollectOptions) -> list[CollectOptions]:
    """Return one set of options for each list, page or search; raise ``UserError`` unless they make sense, together and
    with what lies in ``out``. Changes nothing."""
    check_values(options)
    if not options.out:
        raise UserError(f"collect needs out=, as in {USAGE}.")
    if not options.plan:
        return [_checked(options)]
    found = []
    for label, number, entry in _entries(options.plan):
        try:
            if other := [key for key in entry if key not in OWN]:
                raise UserError(f"'{other[0]}' is none of {', '.join(OWN)}.")
            given = parse([f"{key}={value}" for key, value in entry.items()], CollectOptions)
            words = f"{given.source} {given.search} {urlsplit(given.page).netloc} {Path(given.urls).stem}".lower()
            name = given.name or re.sub("[^a-z0-9]+", "-", words).strip("-")[:60].strip("-") or f"entry-{number}"
            own = {**{key: getattr(given, key) for key in OWN}, "plan": "", "label": label, "name": name}
            found.append(_checked(replace(options, **own)))
        except UserError as error:
            raise UserError(f"plan={options.plan}, {label}, entry {number}: {error}") from None
    return found


def _entries(plan: str) -> list[tuple[str, int, dict[str, Any]]]:
    """Return label, number and words of each entry of a plan: lists by label, as ``ai: [{urls: ai.txt}]``."""
    try:
        labels = parse_yaml(Path(plan).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"plan={plan} cannot be read ({error.strerror}): name a YAML file.") from None
    except ValueError as error:
        raise UserError(f"plan={plan} is not YAML ({error}): correct it there.") from None
    if not isinstance(labels, dict) or not all(isinstance(entries, list) and entries for entries in labels.values()):
        raise UserError(f"plan={plan} names no label with a list of searches, as ./run.sh collect help shows.")
    found = [(label, number, one) for label, entries in labels.items() for number, one in enumerate(entries, 1)]
    if wrong := [(label, number, one) for label, number, one in found if not isinstance(one, dict)]:
        raise UserError("plan={}, {}, entry {}: '{}' is no mapping: write it as urls: FILE.".format(plan, *wrong[0]))
    return found


def _checked(one: CollectOptions) -> CollectOptions:
    lacking = [code for code in one.licence.split(",") if one.licence and code not in LICENCES]
    for wrong, sentence in (
        (not (one.urls or one.page or one.search), f"Say where the images are, by urls=, page= or search=: {USAGE}"),
        (not one.label, f"collect needs label=, as in {USAGE}."),
        (bool(one.search) != bool(one.source), f"search={one.search} and source={one.source} go together: give both."),
        (lacking, f"licence={one.licence}: '{''.join(lacking[:1])}' is none of {', '.join(LICENCES)}."),
        (one.licence and one.source in ("", "civitai"), "licence= needs source=openverse or source=wikimedia."),
        (one.browser and not one.page, "browser=true renders the page that page= names: name one."),
    ):
        if wrong:
            raise UserError(sentence)
    for name, value in (("page", one.page), ("api", one.api)):
        try:
            parsed(value or "http://none")
        except Rejected as refusal:
            advice = "write it in full, as in https://example.org/gallery"
            raise UserError(f"{name}={value} cannot be requested ({refusal}): {advice}.") from None
    for name, value in (("label", one.label), ("name", one.name or one.label)):
        if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", value) or value.endswith("."):
            raise UserError(f"{name}={value} cannot be a folder's name: use letters, digits, '.', '-' and '_'.")
    _check_folder(one.label, Path(one.out))
    return one


def _check_folder(label: str, out: Path) -> None:
    """Refuse a class folder that :func:`data.layouts.read.read_dataset` would not see as one."""
    if label.lower() in TRAIN + TEST:
        raise UserError(f"label={label} names a part of a data set, not a class: say what the images are, as label=ai.")
    if out.exists() and not out.is_dir():
        raise UserError(f"out={out} is a file: name a folder.")
    for found in out.iterdir() if out.exists() else ():
        if found.suffix == ".csv":
            raise UserError(f"out={out} holds {found.name}, so it is another data set: name a folder of its own.")
        if found.name.lower() == label.lower() and found.name != label:
            raise UserError(f"out={out} has '{found.name}' already: write label={found.name}.")
        if found.name.lower() in TRAIN and found.is_dir():
            raise UserError(f"out={out} holds the folder {found.name}, whose classes are read: name out={found}.")
    if (out / label).exists() and not (out / label).is_dir():
        raise UserError(f"{out / label} is a file: move it away, or name another label=.")
