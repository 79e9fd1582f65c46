"""Searches by words: what each public API is asked, and how its answers are read."""

import json
import re
from collections.abc import AsyncIterator
from typing import Any, NamedTuple
from urllib.parse import quote_plus, urlencode

import jmespath
from w3lib.html import remove_tags

from competition.collect.crawl import Collector, NoAnswer
from competition.collect.options import CollectOptions
from competition.collect.provenance import Row

MAX_ANSWERS = 1000  # to one search
COMMONS = "action=query&format=json&formatversion=2&generator=search&gsrnamespace=6&gsrlimit=50"
COMMONS += "&prop=imageinfo&iiprop=url|extmetadata&iiextmetadatafilter=License|Artist&gsrsearch=filetype:bitmap+"
WHOLE = (r"/width=\d+/", "/original=true/")  # Civitai shows small copies, but holds each file as it was given


class Api(NamedTuple):
    """What an API is asked: ``query`` ends where the user's words follow. ``found`` are its images, as JMESPath: lists
    of address (or addresses), licence, author and page; ``more`` is what the query for the next answer adds."""

    root: str
    query: str
    found: str
    more: str


# Civitai knows models by their names, and with each the images that it made.
APIS = {
    "openverse": Api(
        "https://api.openverse.org",
        "/v1/images/?page_size=20&q=",
        "results[].[url, join('-', [license, license_version || '']), creator, foreign_landing_url]",
        "page < page_count && {page: sum([page, `1`])}",
    ),
    "wikimedia": Api(
        "https://commons.wikimedia.org",
        f"/w/api.php?{COMMONS}",
        "query.pages[].imageinfo[0].[url, extmetadata.License.value, extmetadata.Artist.value, descriptionurl]",
        "continue",
    ),
    "civitai": Api(
        "https://civitai.com",
        "/api/v1/models?limit=10&nsfw=false&query=",
        "items[].[modelVersions[].images[?type=='image'].url[], '', creator.username, "
        "join('', ['https://civitai.com/models/', to_string(id)])]",
        "metadata.nextCursor && {cursor: metadata.nextCursor}",
    ),
}


async def found_rows(wish: CollectOptions, spider: Collector) -> AsyncIterator[Row]:
    """Yield a row for each image that a search finds; NoAnswer where its API gives none or what is not documented."""
    api, found = APIS[wish.source], 0
    place = f"{(wish.api or api.root).rstrip('/')}{api.query}{quote_plus(wish.search)}"
    fields = {"license": wish.licence} if wish.licence and wish.source == "openverse" else {}
    more: dict[str, Any] = {}
    for _ in range(MAX_ANSWERS):
        # Without robots.txt, which forbids APIs to crawlers: this one is offered for what it is asked for.
        answer = await spider.fetch(f"{place}&{urlencode(fields | more)}", robots=False)
        try:
            body = json.loads(answer.body)
            rows = _rows(wish, jmespath.search(api.found, body) or [])
            more = dict(jmespath.search(api.more, body) or {})
        except (ValueError, TypeError, RecursionError):
            raise NoAnswer("refused: it does not answer as its API is documented") from None
        for row in rows:
            yield row
        found += len(rows)
        if not more:
            break
    if not found:
        raise NoAnswer("refused: it finds nothing")


def _rows(wish: CollectOptions, images: list[Any]) -> list[Row]:
    """Return a row for each image of an answer that has one of the wanted licences."""
    rows = []
    for addresses, *told in images:
        licence, author, page = (remove_tags(str(one or "")).strip() for one in told)
        words = re.split(r"-(?=[\d.])| ", licence.lower().removeprefix("cc-").rstrip("-"), maxsplit=1)
        code = {"pd": "pdm", "zero": "cc0"}.get(words[0], words[0])
        stated = {"licence": " ".join([code, *words[1:]]), "author": author, "page": page}
        for address in addresses if isinstance(addresses, list) else [addresses]:
            if address and (not wish.licence or code in wish.licence.split(",")):
                rows.append(Row(label=wish.label, address=re.sub(*WHOLE, str(address)), **stated))
    return rows
