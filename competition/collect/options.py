"""The options of a collection and its plan; every mistake in them is one sentence before anything is fetched."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
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
    source: str = one_of("", "openverse", "wikimedia", "civitai")  # civitai: of images made by AI
    licence: str = ""  # those wanted of a search, as cc0,by (by, by-sa, by-nc, by-nd, by-nc-sa, by-nc-nd, cc0, pdm)
    api: str = ""  # where the API of `source` is, if not where it usually is, as https://openverse.example.org
    plan: str = ""  # a YAML file of several of these for both classes, which are kept balanced
    name: str = ""  # a folder below the class folder, by which source=folders knows where the images are from
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
    for one in (found := _planned(options) if options.plan else [options]):
        _check(one)
    return found


def _check(one: CollectOptions) -> None:
    if not (one.urls or one.page or one.search):
        raise UserError(f"Say where the images are, with urls=FILE, page=ADDRESS or search=WORDS: {USAGE}")
    if not one.label:
        raise UserError(f"collect needs label=, as in {USAGE}.")
    if bool(one.search) != bool(one.source):
        raise UserError(f"search={one.search} and source={one.source} go together: search=cat source=openverse.")
    if unknown := [code for code in one.licence.split(",") if one.licence and code not in LICENCES]:
        raise UserError(f"licence={one.licence}: '{unknown[0]}' is none of {', '.join(LICENCES)}.")
    if one.licence and one.source not in ("openverse", "wikimedia"):
        raise UserError(f"licence={one.licence} needs source=openverse or wikimedia: no other states one.")
    if one.browser and not one.page:
        raise UserError("browser=true renders the page that page= names: name one.")
    for name, value in (("page", one.page), ("api", one.api)):
        try:
            parsed(value or "http://none")
        except Rejected as refusal:
            raise UserError(
                f"{name}={value} cannot be requested ({refusal.reason}): write it in full, as in https://example.org/x."
            ) from None
    _check_name("name", one.name or "none")
    _check_name("label", one.label)
    _check_folder(one.label, Path(one.out))


def _planned(options: CollectOptions) -> list[CollectOptions]:
    """Return the plan's entries: lists by label of mappings like ``{search: cat, source: openverse}``."""
    plan, found = options.plan, []
    try:
        labels = parse_yaml(Path(plan).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"plan={plan} cannot be read ({error.strerror}): name a YAML file.") from None
    except ValueError as error:
        raise UserError(f"plan={plan} is not YAML ({error}): correct it there.") from None
    if not isinstance(labels, dict) or not all(isinstance(entries, list) and entries for entries in labels.values()):
        raise UserError(
            f"plan={plan} names no label with a list of searches, as ./run.sh collect help shows."
        )
    for label, entries in labels.items():
        for number, entry in enumerate(entries, 1):
            try:
                if not isinstance(entry, dict) or (other := [key for key in entry if key not in OWN]):
                    raise UserError(f"'{other[0] if isinstance(entry, dict) else entry}' is none of {', '.join(OWN)}.")
                given = parse([f"{key}={value}" for key, value in entry.items()], CollectOptions)
                own = {key: getattr(given, key) for key in OWN}
                own["name"] = given.name or _default_name(given)
                found.append(replace(options, plan="", label=label, **own))
                _check(found[-1])
            except UserError as error:
                raise UserError(f"plan={plan}, {label}, entry {number}: {error}") from None
    return found


def _default_name(entry: CollectOptions) -> str:
    """Return a folder's name for what an entry of a plan names."""
    words = f"{entry.source} {entry.search} {urlsplit(entry.page).netloc} {Path(entry.urls).stem}"
    return re.sub(r"[^a-z0-9]+", "-", words.lower()).strip("-")[:60].strip("-") or "unnamed"


def _check_name(key: str, name: str) -> None:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}", name) or name.endswith("."):
        raise UserError(f"{key}={name} cannot be a folder's name: use letters, digits, '.', '-' and '_'.")


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
