"""Searches by words: what each public API is asked, and how its answers are read. Nothing here touches the network."""

import json
import re
from typing import Any, NamedTuple
from urllib.parse import urlencode

import jmespath
from w3lib.html import remove_tags

from competition.collect.crawl import NoAnswer
from competition.collect.options import CollectOptions
from competition.collect.provenance import Row

COMMONS = "action=query&format=json&formatversion=2&generator=search&gsrnamespace=6&gsrlimit=50"
COMMONS += "&prop=imageinfo&iiprop=url|extmetadata&iiextmetadatafilter=License|Artist&gsrsearch=filetype:bitmap "


class Api(NamedTuple):
    """What an API is asked: ``query`` ends where the user's words follow. ``found`` are its images, as JMESPath: lists
    of address (or addresses), licence, author and page; ``more`` is what the query for the next answer adds."""

    root: str
    query: str
    found: str
    more: str


WHOLE = (r"/width=\d+/", "/original=true/")  # Civitai shows small copies, but holds each file as it was given
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


def search_address(wish: CollectOptions, more: dict[str, Any]) -> str:
    """Return the address to ask for a search's first images (``more`` is empty), or for those that follow."""
    api = APIS[wish.source]
    path, _, query = f"{api.query}{wish.search}".partition("?")
    fields = dict(part.split("=", 1) for part in query.split("&", api.query.count("&")))
    licences = {"license": wish.licence} if wish.licence and wish.source == "openverse" else {}
    return f"{(wish.api or api.root).rstrip('/')}{path}?{urlencode({**fields, **licences, **more})}"


def search_rows(wish: CollectOptions, body: bytes) -> tuple[list[Row], dict[str, Any]]:
    """Return a row for each image that an answer names, and what to add to the query for the next answer, if any.

    Raises NoAnswer for what is no answer of this API.
    """
    api, rows = APIS[wish.source], []
    try:
        answer = json.loads(body)
        for addresses, *told in jmespath.search(api.found, answer) or []:
            licence, author, page = (remove_tags(str(one or "")).strip() for one in told)
            words = re.split(r"-(?=[\d.])| ", licence.lower().removeprefix("cc-").rstrip("-"), maxsplit=1)
            code = {"pd": "pdm", "zero": "cc0"}.get(words[0], words[0])
            stated = {"licence": " ".join([code, *words[1:]]), "author": author, "page": page}
            for address in addresses if isinstance(addresses, list) else [addresses]:
                if address and (not wish.licence or code in wish.licence.split(",")):
                    rows.append(Row(label=wish.label, address=re.sub(*WHOLE, str(address)), **stated))
        return rows, dict(jmespath.search(api.more, answer) or {})
    except (ValueError, TypeError, RecursionError):
        raise NoAnswer("refused", "it does not answer as its API is documented") from None
