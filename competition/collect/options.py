"""The options of a collection and its plan; every mistake in them is one sentence before anything is fetched."""

import os
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from competition.core.errors import UserError
from competition.core.options import bounded, check_values, folder_name, one_of, parse, some_of, web_address
from competition.core.yaml_text import read_mapping
from competition.data.layouts.class_folders import check_new_class

USAGE = "./run.sh collect urls=FILE label=ai out=DIR"


@dataclass(frozen=True)
class Wish:
    """What an entry of a plan may say, too:"""

    urls: str = ""  # a text file of addresses, one a line
    page: str = web_address()  # the address of a page whose images are wanted
    browser: bool = False  # let a browser render the page and scroll it, for pages that scripts build
    search: str = ""  # words to search for in `source`
    source: str = one_of("", "openverse", "wikimedia", "civitai")  # where; civitai has images made by AI
    licence: str = some_of("by", "by-sa", "by-nc", "by-nd", "by-nc-sa", "by-nc-nd", "cc0", "pdm")  # of a search
    api: str = web_address()  # another place of the API of `source`, as https://openverse.example.org
    name: str = folder_name()  # a folder below the class folder, which source=folders takes for a source


@dataclass(frozen=True)
class CollectOptions(Wish):
    """What to collect, and how; out= must be given, and either plan= or label= with urls=, page= or search=."""

    plan: str = ""  # a YAML file of several of these for both classes, which are kept balanced
    label: str = folder_name()  # the class: a folder of `out`
    out: str = ""  # the data set's folder
    max: int | None = bounded(None, 1, 1_000_000)  # images of a class that are enough; all there are if left out
    allow_local: bool = False  # request addresses that are not on the public internet, too
    max_mb: float = bounded(50.0, 0.001, 1000)  # files of more than so many 10^6 bytes are refused
    min_side: int = bounded(32, 1, 10_000)  # images with a side of fewer pixels are refused
    connections: int = bounded(4, 1, 16)  # requests at a time
    delay: float = bounded(0.5, 0, 60)  # seconds between two requests to one host
    retries: int = bounded(4, 0, 10)  # of each request, where it may help
    robots: bool = True  # obey robots.txt


def wishes(options: CollectOptions) -> list[CollectOptions]:
    """Return one set of options for each list, page or search; raise ``UserError`` unless they make sense, together and
    with what lies in ``out``. Changes nothing.

    A plan names lists by label, as ``ai: [{urls: ai.txt}]``.
    """
    if not options.out:
        raise UserError(f"collect needs out=, as in {USAGE}.")
    if not options.plan:
        return [_checked(options)]
    if idle := [key for key in ("label", *vars(Wish())) if getattr(options, key)]:
        raise UserError(f"plan={options.plan} says what to collect: leave {idle[0]}= out, or say it there.")
    found: list[CollectOptions] = []
    for label, entries in read_mapping("plan", options.plan).items():
        for number, entry in enumerate(entries if isinstance(entries, list) and entries else [None], 1):
            try:
                one = _checked(replace(options, label=label, **_planned(entry, number)))
                if (label, one.name) in [(other.label, other.name) for other in found]:
                    raise UserError(f"Another entry goes to {label}/{one.name}, too: give this one a name: of its own.")
                found.append(one)
            except UserError as error:
                raise UserError(f"plan={options.plan}, {label}, entry {number}: {error}") from None
    return found


def _planned(entry: Any, number: int) -> dict[str, Any]:
    """Return the options that the entry with this number in a plan sets, with a name of its own."""
    if not isinstance(entry, dict):
        raise UserError("It is not a mapping: write entries as [{urls: FILE}].")
    one = parse([f"{key}={value}" for key, value in entry.items()], Wish)
    words = f"{one.source} {one.search} {urlsplit(one.page).netloc} {Path(one.urls).stem}".lower()
    name = one.name or re.sub("[^a-z0-9]+", "-", words).strip("-")[:60].strip("-") or f"entry-{number}"
    return {**vars(one), "name": name}


def _checked(one: CollectOptions) -> CollectOptions:
    """Return ``one`` list, page or search, or raise ``UserError`` for what it lacks or what contradicts itself."""
    check_values(one)
    for is_wrong, sentence in (
        (not (one.urls or one.page or one.search), f"Say where the images are, by urls=, page= or search=: {USAGE}"),
        (not one.label, f"collect needs label=, as in {USAGE}."),
        (bool(one.search) != bool(one.source), f"search={one.search} and source={one.source} go together: give both."),
        (one.api and not one.search, "api= is the place of a search: give search= and source=, or leave it out."),
        (one.licence and one.source in ("", "civitai"), "licence= needs source=openverse or source=wikimedia."),
        (one.browser and not one.page, "browser=true renders the page that page= names: name one."),
        (one.browser and os.name == "nt", "browser=true does not work on Windows: list the addresses in urls=FILE."),
    ):
        if is_wrong:
            raise UserError(sentence)
    check_new_class(Path(one.out), one.label)
    return one
