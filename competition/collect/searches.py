"""Searches by words: what each public API is asked, and how its answers are read. Nothing here touches the network."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from w3lib.html import remove_tags

from competition.collect.addresses import Rejected
from competition.collect.options import CollectOptions
from competition.collect.provenance import Row

Found = tuple[Any, Any, Any, Any]  # of an image: its address, licence, author and page


def _openverse(answer: Any) -> tuple[list[Found], dict[str, Any]]:
    found = [
        (one["url"], f"{one['license']} {one['license_version'] or ''}", one["creator"], one["foreign_landing_url"])
        for one in answer["results"]
    ]
    return found, {"page": answer["page"] + 1} if answer["page"] < answer["page_count"] else {}


def _wikimedia(answer: Any) -> tuple[list[Found], dict[str, Any]]:
    infos = [page["imageinfo"][0] for page in answer.get("query", {"pages": []})["pages"]]
    told = [{key: value["value"] for key, value in info["extmetadata"].items()} for info in infos]
    found = [
        (info["url"], one.get("License"), remove_tags(one.get("Artist", "")), info["descriptionurl"])
        for info, one in zip(infos, told, strict=True)
    ]
    return found, answer.get("continue", {})


def _civitai(answer: Any) -> tuple[list[Found], dict[str, Any]]:
    """Its search knows the names of models, of which each shows images: `width=450` asks for a copy, not the file."""
    found = [
        (
            re.sub(r"/width=\d+/", "/original=true/", image["url"]),
            "",
            (model.get("creator") or {}).get("username"),
            f"https://civitai.com/models/{model['id']}",
        )
        for model in answer["items"]
        for version in model["modelVersions"]
        for image in version["images"]
        if image.get("type", "image") == "image"
    ]
    cursor = answer["metadata"].get("nextCursor")
    return found, {"cursor": cursor} if cursor else {}


@dataclass(frozen=True)
class Api:
    """Where an API is and what it takes beside the words; ``read`` returns what an answer found, and what to add to the
    query for the next one, nothing after the last."""

    root: str
    path: str
    words: str  # "{}" stands for the user's
    query: dict[str, Any]
    read: Callable[[Any], tuple[list[Found], dict[str, Any]]]


APIS = {
    "openverse": Api("https://api.openverse.org", "/v1/images/", "q={}", {"page_size": 20}, _openverse),
    "wikimedia": Api(
        "https://commons.wikimedia.org",
        "/w/api.php",
        "gsrsearch=filetype:bitmap {}",
        {
            **{
                "action": "query",
                "format": "json",
                "formatversion": 2,
                "prop": "imageinfo",
                "iiprop": "url|extmetadata",
            },
            **{"generator": "search", "gsrnamespace": 6, "gsrlimit": 50, "iiextmetadatafilter": "License|Artist"},
        },
        _wikimedia,
    ),
    "civitai": Api("https://civitai.com", "/api/v1/models", "query={}", {"limit": 10, "nsfw": "false"}, _civitai),
}


def search_address(wish: CollectOptions, more: dict[str, Any]) -> str:
    """Return the address to ask for a search's first images (``more`` is empty), or for those that follow."""
    api = APIS[wish.source]
    key, _, words = api.words.partition("=")
    licences = {"license": wish.licence} if wish.licence and wish.source == "openverse" else {}
    query = {key: words.format(wish.search), **api.query, **licences, **more}
    return f"{(wish.api or api.root).rstrip('/')}{api.path}?{urlencode(query)}"


def search_rows(wish: CollectOptions, body: bytes) -> tuple[list[Row], dict[str, Any]]:
    """Return a row for each image that an answer names, and what to add to the query for the next answer.

    Raises :class:`Rejected` for what is no answer of this API.
    """
    try:
        found, more = APIS[wish.source].read(json.loads(body))
        rows = [_row(wish, [str(value or "") for value in one]) for one in found if one[0]]
        return [row for row in rows if not wish.licence or row.licence.split()[0] in wish.licence.split(",")], {**more}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
        raise Rejected("it does not answer as its API is documented") from None


def _row(wish: CollectOptions, found: list[str]) -> Row:
    address, licence, author, page = found
    # "cc-by-sa-4.0" and "by-sa 4.0" are one licence
    words = re.split(r"[- ](?=\d)", licence.lower().removeprefix("cc-").strip() or "unknown", maxsplit=1)
    code = {"pd": "pdm", "zero": "cc0"}.get(words[0], words[0])
    stated = " ".join([code, *words[1:]]) if licence.strip() else ""
    return Row(label=wish.label, address=address, status="", licence=stated, author=author.strip(), page=page)
