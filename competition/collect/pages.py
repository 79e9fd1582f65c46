"""The images of a web page, read as a browser reads it and in time linear in its length, however broken it is."""

import codecs
import html
import math
import re
from urllib.parse import urldefrag, urljoin

from competition.collect.addresses import MAX_ADDRESS, distinct

# The end of a tag, or its next attribute. No part of it can fail after long work more than once in a page.
_PART = re.compile(r""">|([^\s/>][^\s/>=]*)(?:\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s>]*)))?""")
_TAG = re.compile(r"<!--|<(/?)([a-z][^\s/>]*)", re.IGNORECASE)
# What they hold is not markup but text, up to their own end.
_TEXT_ENDS = {name: re.compile(f"</{name}", re.IGNORECASE) for name in ("script", "style", "textarea", "title")}
_LINKS = ("srcset", "data-srcset"), ("data-src", "src")  # lists of candidates, and single ones
_SLOW_CODECS = ("idna", "punycode")  # for host names: quadratic in the text's length


def page_images(text: str, address: str) -> list[str]:
    """Return the addresses of the images that a page shows, in its order, resolved against its ``<base>`` or
    ``address``.

    Of each ``<img>`` and ``<source>`` the best candidate is taken: the largest of ``srcset``, else what a lazy page
    keeps in ``data-src``, else ``src``. Images inside the page itself (``data:``) have no address.
    """
    links, stated = _image_links(text)
    base = (_joined(address, stated) if len(stated) <= MAX_ADDRESS else "") or address
    found = (_joined(base, link) for link in links)
    return distinct(link for link in found if link.startswith(("http://", "https://")))


def page_text(body: bytes, content_type: str) -> str:
    """Decode a page by the charset that its server or its first kilobyte states, UTF-8 where neither does.

    What cannot be decoded, or could not be written again (lone surrogates), is replaced.
    """
    stated = re.search(
        r"charset\s*=\s*[\"']?([\w.:-]+)", content_type + " " + body[:1024].decode("latin-1"), re.IGNORECASE
    )
    try:
        codec = codecs.lookup(stated[1]).name if stated else "utf-8"
        text = body.decode("utf-8" if codec in _SLOW_CODECS else codec, "replace")
    except (LookupError, UnicodeError):
        text = body.decode("utf-8", "replace")
    return text.encode("utf-8", "replace").decode("utf-8")


def candidates(srcset: str) -> list[tuple[str, float]]:
    """Return (link, size) of each candidate in a ``srcset``; size is the width in pixels or the density, 1 if none.

    Links may hold commas but not end in one, as in the HTML standard ("parse a srcset attribute").
    """
    parted = re.sub(r"(?<=\S),(?=\s|$)", " ,", srcset)  # a link from the comma that ends it: "a.png, b.png"
    found = []
    for match in re.finditer(r"([^\s,]\S*)([^,]*)", parted):
        sizes = [float(word[:-1]) for word in match[2].split() if re.fullmatch(r"\d+(\.\d+)?[wx]", word)]
        found.append((match[1], max(sizes, default=1.0)))
    return found


def _image_links(text: str) -> tuple[list[str], str]:
    """Return the best candidate of each image tag, and the page's base, empty if it states none."""
    links: list[str] = []
    base, at, media = "", 0, 0  # media: how many <video> and <audio> are open, whose <source> is not an image
    while tag := _TAG.search(text, at):
        if tag[0] == "<!--":
            end = text.find("-->", tag.start() + 2)
            if end < 0:
                break
            at = end + 3
            continue
        words, at = _attributes(text, tag.end())
        closing, name = bool(tag[1]), tag[2].lower()
        if name in ("video", "audio"):
            media = max(0, media - 1) if closing else media + 1
        elif closing:
            continue
        elif name in _TEXT_ENDS:
            closed = _TEXT_ENDS[name].search(text, at)
            if not closed:
                break
            at = closed.start()
        elif name == "base":
            base = base or _plain(words.get("href", ""))
        elif name == "img" or (name == "source" and not media):
            links += _best(words)
    return links, base


def _attributes(text: str, at: int) -> tuple[dict[str, str], int]:
    """Return the attributes of the tag whose name ends at ``at``, by lower-case name and as written, and where it ends.

    Of two with one name the first counts.
    """
    words: dict[str, str] = {}
    for part in _PART.finditer(text, at):
        if part[0] == ">":
            return words, part.end()
        words.setdefault(part[1].lower(), part[2] or part[3] or part[4] or "")
    return words, len(text)


def _plain(value: str) -> str:
    """Return an attribute's value without character references and surrounding white space."""
    try:
        return html.unescape(value).strip()
    except ValueError:  # a character's number of thousands of digits
        return ""


def _best(words: dict[str, str]) -> list[str]:
    """Return the one link that an image tag's attributes offer, or none."""
    lists, single = ([_plain(words.get(name, "")) for name in names] for names in _LINKS)
    offered = (*(_largest(candidates(text)) for text in lists), *single)
    return [link for link in offered if link and not link.lower().startswith("data:")][:1]


def _largest(found: list[tuple[str, float]]) -> str:
    pictures = [(link, size) for link, size in found if math.isfinite(size) and not link.lower().startswith("data:")]
    return max(pictures, key=lambda one: one[1])[0] if pictures else ""


def _joined(base: str, link: str) -> str:
    """Resolve ``link`` against ``base``; the empty text for what is not an address at all."""
    try:
        return urldefrag(urljoin(base, link)).url
    except ValueError:
        return ""
