"""The images that the HTML of a page names."""

import math
import re
from collections.abc import Iterator
from urllib.parse import urldefrag, urljoin

from parsel import Selector
from scrapy.http import Response, TextResponse
from scrapy.utils.response import get_base_url

from competition.collect.addresses import Rejected

SLOW_CODECS = ("idna", "punycode")  # for host names: quadratic in the text's length


def page_images(response: Response) -> list[str]:
    """Return the addresses of a page's images, in its order, each once; :class:`Rejected` if it is no page.

    Of each ``<img>`` and ``<picture>``'s ``<source>`` the best candidate is taken: the largest of ``srcset``, else what
    a lazy page keeps in ``data-src``, else ``src``. Images inside the page itself (``data:``) have no address.
    """
    if not isinstance(response, TextResponse):
        raise Rejected("it is not a page")
    if response.encoding in SLOW_CODECS:
        response = response.replace(encoding="utf-8")
    text, found = response.text.encode("utf-8", "replace").decode(), []  # without lone surrogates
    for tag in Selector(text=text, type="html").xpath("//img | //picture/source"):
        lists = [largest(tag.attrib.get(name, "")) for name in ("srcset", "data-srcset")]
        links = [*lists, *(tag.attrib.get(name, "").strip() for name in ("data-src", "src"))]
        found += [link for link in links if link and not link.lower().startswith("data:")][:1]
    return list(dict.fromkeys(_joined(get_base_url(response), found)))


def largest(srcset: str) -> str:
    """Return the link of the largest candidate in a ``srcset``, by its width or density, or the empty text.

    Links may hold commas but not end in one, as in the HTML standard ("parse a srcset attribute").
    """
    parted = re.sub(r"(?<=\S),(?=\s|$)", " ,", srcset)  # a link from the comma that ends it: "a.png, b.png"
    found = []
    for match in re.finditer(r"([^\s,]\S*)([^,]*)", parted):
        sizes = [float(word[:-1]) for word in match[2].split() if re.fullmatch(r"\d+(\.\d+)?[wx]", word)]
        if math.isfinite(max(sizes, default=1.0)) and not match[1].lower().startswith("data:"):
            found.append((max(sizes, default=1.0), match[1]))
    return max(found, key=lambda one: one[0])[1] if found else ""


def _joined(base: str, links: list[str]) -> Iterator[str]:
    """Yield the web addresses among links, without what follows a ``#``."""
    for link in links:
        try:
            address = urldefrag(urljoin(base, link)).url
        except ValueError:
            continue
        if address.startswith(("http://", "https://")):
            yield address
