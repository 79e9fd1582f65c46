"""What a list, a page and a search by words name: rows of which nothing is known yet but where they come from."""

import contextlib
import json
import re
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote_plus, urldefrag, urlencode

import jmespath
from parsel import Selector
from scrapy import Spider
from scrapy.http import Response, TextResponse
from w3lib.html import remove_tags

from competition.collect.crawl import NoAnswer, fetch
from competition.collect.folder import Row
from competition.collect.options import CollectOptions
from competition.core.errors import UserError

SLOW_CODECS = ("idna", "punycode")  # for host names: quadratic in the text's length
MAX_ANSWERS = 1000  # to one search
WHOLE = (r"/width=\d+/", "/original=true/")  # Civitai shows small copies, but holds each file as it was given


class Api(NamedTuple):
    """What an API is asked: ``query`` ends where the user's words follow. ``found`` are its images, as JMESPath: lists
    of addresses, licence, author and page; ``more`` is what the query for the next answer adds."""

    query: str
    found: str
    more: str


# Civitai knows models by their names, and with each the images that it made.
APIS = {
    "openverse": Api(
        "https://api.openverse.org/v1/images/?page_size=20&q=",
        "results[].[[url], join('-', [license, license_version || '']), creator, foreign_landing_url]",
        "page < page_count && {page: sum([page, `1`])}",
    ),
    "wikimedia": Api(
        "https://commons.wikimedia.org/w/api.php?action=query&format=json&formatversion=2&generator=search"
        "&gsrnamespace=6&gsrlimit=50&prop=imageinfo&iiprop=url|extmetadata&iiextmetadatafilter=License|Artist"
        "&gsrsearch=filetype:bitmap+",
        "query.pages[].imageinfo[0].[[url], extmetadata.License.value, extmetadata.Artist.value, descriptionurl]",
        "continue",
    ),
    "civitai": Api(
        "https://civitai.com/api/v1/models?limit=10&nsfw=false&query=",
        "items[].[modelVersions[].images[?type=='image'].url[], '', creator.username, "
        "join('', ['https://civitai.com/models/', to_string(id)])]",
        "metadata.nextCursor && {cursor: metadata.nextCursor}",
    ),
}


async def named_rows(wish: CollectOptions, spider: Spider) -> AsyncIterator[Row]:
    """Yield a row for each address that a list, a page and a search name; UserError or NoAnswer for one without any."""
    for address in read_list(wish.urls) if wish.urls else ():
        yield Row(label=wish.label, address=address)
    if wish.page:
        response = await fetch(spider, wish.page)  # for the browser, too: then robots.txt allows it
        if wish.browser:
            from competition.collect.browser import rendered_images  # here, for only this needs Playwright

            found = await rendered_images(response.url, spider)
        else:
            found = page_images(response)
        if not found:
            advice = "" if wish.browser else "; if scripts add them: browser=true"
            raise NoAnswer(f"refused: it names no images{advice}")
        for address in found:
            yield Row(label=wish.label, address=address, page=wish.page)
    if wish.search:
        async for row in found_rows(wish, spider):
            yield row


def read_list(path: str) -> list[str]:
    """Return the addresses in a text file, one a line, without comments (``#``); ``UserError`` if there are none."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"urls={path} cannot be read ({reason}): name a UTF-8 text file of addresses.") from None
    # A '#' inside an address begins its fragment; a comment begins a line or follows a space.
    lines = [re.sub(r"(^|\s)#.*", "", line).strip() for line in text.splitlines()]
    if not any(lines):
        raise UserError(f"urls={path} holds no address: write one a line.")
    return [line for line in lines if line]


def page_images(response: Response) -> list[str]:
    """Return the addresses of the images that a page's HTML names, in its order, each once.

    Of each ``<img>`` and ``<picture>``'s ``<source>`` the best candidate is taken: the largest of ``srcset``, else what
    a lazy page keeps in ``data-src``, else ``src``. Images inside the page itself (``data:``) have no address.
    """
    if not isinstance(response, TextResponse):
        raise NoAnswer("refused: it is not a page")
    if response.encoding in SLOW_CODECS:
        response = response.replace(encoding="utf-8")
    text = response.text.encode("utf-8", "replace").decode()  # without lone surrogates
    found: dict[str, None] = {}
    for tag in Selector(text=text, type="html").xpath("//img | //picture/source"):
        links = [largest(tag.attrib.get(name, "")) for name in ("srcset", "data-srcset")]
        links += [tag.attrib.get(name, "").strip() for name in ("data-src", "src")]
        link = next((one for one in links if one and not one.lower().startswith("data:")), "data:")
        with contextlib.suppress(ValueError):  # of what is no address
            found[urldefrag(response.urljoin(link)).url] = None
    return [address for address in found if address.startswith(("http://", "https://"))]


def largest(srcset: str) -> str:
    """Return the link of the largest candidate in a ``srcset``, by its width or density, or the empty text."""
    best, most = "", 0.0
    for words in map(str.split, re.split(r",(?=\s)|(?<=[0-9][wx]),", srcset)):  # a link itself may hold commas
        sizes = [float(word[:-1]) for word in words[1:] if re.fullmatch(r"\d{1,9}(\.\d{1,9})?[wx]", word)]
        if words and not words[0].startswith((",", "data:")) and max(sizes, default=1.0) > most:
            best, most = words[0].rstrip(","), max(sizes, default=1.0)
    return best


async def found_rows(wish: CollectOptions, spider: Spider) -> AsyncIterator[Row]:
    """Yield a row for each image that a search finds; NoAnswer where its API gives none or what is not documented."""
    api, found = APIS[wish.source], 0
    query = re.sub("^https://[^/]*", wish.api.rstrip("/"), api.query) if wish.api else api.query
    fields = {"license": wish.licence} if wish.licence and wish.source == "openverse" else {}
    more: dict[str, Any] = {}
    for _ in range(MAX_ANSWERS):
        # Without robots.txt, which forbids APIs to crawlers: this one is offered for what it is asked for.
        address = f"{query}{quote_plus(wish.search)}&{urlencode(fields | more)}"
        answer = await fetch(spider, address, meta={"dont_obey_robotstxt": True})
        try:
            body = json.loads(answer.body)
            rows = list(_rows(wish, jmespath.search(api.found, body) or []))
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


def _rows(wish: CollectOptions, images: list[Any]) -> Iterator[Row]:
    """Yield a row for each image of an answer that has one of the wanted licences."""
    for addresses, *told in images:
        licence, author, page = (remove_tags(str(one or "")).strip() for one in told)
        licence = licence.lower().removeprefix("cc-").rstrip("-")
        code = re.sub(r"-[\d.]+$", "", licence)
        if wish.licence and {"pd": "pdm", "zero": "cc0"}.get(code, code) not in wish.licence.split(","):
            continue
        for address in filter(None, addresses):
            address = re.sub(*WHOLE, str(address))
            yield Row(label=wish.label, address=address, licence=licence, author=author, page=page)
