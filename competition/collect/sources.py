"""What a list, a page and a search name: rows of which nothing is known yet but where they come from."""

import contextlib
import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urldefrag

from parsel import Selector
from scrapy.http import Response, TextResponse

from competition.collect.crawl import AGENT, Collector, NoAnswer
from competition.collect.options import CollectOptions
from competition.collect.provenance import Row
from competition.collect.searches import found_rows
from competition.core.errors import UserError

SLOW_CODECS = ("idna", "punycode")  # for host names: quadratic in the text's length


async def named_rows(wish: CollectOptions, spider: Collector) -> AsyncIterator[Row]:
    """Yield a row for each address that a list, a page and a search name; UserError or NoAnswer for one without any."""
    for address in read_list(wish.urls) if wish.urls else ():
        yield Row(label=wish.label, address=address)
    for address in await _on_page(wish, spider) if wish.page else ():
        yield Row(label=wish.label, address=address, page=wish.page)
    if wish.search:
        async for row in found_rows(wish, spider):
            yield row


def read_list(path: str) -> list[str]:
    """Return the addresses in a text file, one a line, without comments (``#``); ``UserError`` if there are none."""
    try:
        text = Path(path).read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"urls={path} cannot be read ({error}): name a UTF-8 text file of addresses.") from None
    # A '#' inside an address begins its fragment; a comment begins a line or follows a space.
    lines = [re.sub(r"(^|\s)#.*", "", line).strip() for line in text.splitlines()]
    if not any(lines):
        raise UserError(f"urls={path} holds no address: write one a line.")
    return [line for line in lines if line]


async def _on_page(wish: CollectOptions, spider: Collector) -> list[str]:
    """Return the addresses of a page's images."""
    response = await spider.fetch(wish.page)  # for the browser, too: then robots.txt allows it
    if wish.browser:
        from competition.collect.browser import rendered_images  # here, for only this needs Playwright

        found = await rendered_images(wish.page, AGENT)
    else:
        found = page_images(response)
    if not found:
        advice = "" if wish.browser else "; if scripts add them: browser=true"
        raise NoAnswer(f"refused: it names no images{advice}")
    return found


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
        srcset, lazy_srcset, lazy, src = (
            tag.attrib.get(name, "") for name in ("srcset", "data-srcset", "data-src", "src")
        )
        links = (largest(srcset), largest(lazy_srcset), lazy.strip(), src.strip())
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
