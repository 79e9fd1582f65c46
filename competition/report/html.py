"""The page of a run: one HTML file that needs no other file, no script and no network.

Its templates word what metrics.json holds. Every number goes through ``show`` and carries the place it has there, as
does every sentence that was made elsewhere, so that a reader, and a test, can look both up.
"""

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from competition.report.style import decimals
from competition.report.trust import METHODS

HERE = Path(__file__).parent
SOURCES = tuple(HERE / name for name in ("page.html", "trust.html", "macros.html", "page.css"))
UNKNOWN, MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"
SHAPES: dict[str, Callable[[Any], str]] = {
    "score": decimals,
    "signed": lambda value: f"{value:+.3f}".replace("-", MINUS),
    "percent": "{:.1%}".format,
    "whole percent": "{:.0%}".format,
    "count": "{:,}".format,
    "plain": str,
}


def render_page(metrics: Mapping[str, Any], pictures: Mapping[str, bytes], thumbnails: Sequence[bytes | None]) -> str:
    """Return the HTML of ``metrics`` (see ``measure``) with the figures as PNG and the mistakes' images as JPEG.

    All text is escaped. A figure that is not among ``pictures`` is left out with its caption.
    """
    environment = page_environment()
    environment.globals |= {
        "m": metrics,
        "final": metrics["final"],
        "n": lambda *place, how="score": number(metrics, place, how),
        "at": lambda *place: _at(metrics, place),
        "quote": lambda *place: _quote(metrics, place),
        "methods": METHODS,
        "value": lambda *place: Markup("").join(_generic(metrics, place)),
        "pictures": {name: _data_uri("png", content) for name, content in pictures.items()},
        "thumbnails": [content and _data_uri("jpeg", content) for content in thumbnails],
    }
    return environment.get_template("page.html").render()


def page_environment() -> Environment:
    """Return what renders the templates of this room: all text is escaped, and ``style`` is the look of the pages."""
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.globals["style"] = Markup((HERE / "page.css").read_text(encoding="utf-8"))
    return environment


def show(value: float | None, how: str) -> str:
    """Return a number as the page prints it, or a dash for None.

    ``how``: "score" with three decimals, "signed" with its sign too, "percent" with one, "whole percent", "count",
    "millions", "time" from seconds, and "plain" for a setting, as Python writes it.
    """
    if value is None:
        return UNKNOWN
    if how == "time":
        minutes, seconds = divmod(round(value), 60)
        hours, minutes = divmod(minutes, 60)
        return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s" if minutes else f"{seconds} s"
    if how == "millions":
        return f"{value / 1e6:,.1f} M" if value >= 1e5 else f"{value:,}"
    return SHAPES[how](value)


def number(metrics: Mapping[str, Any], place: Sequence[str | int], how: str) -> Markup:
    """Return the number at ``place`` in ``metrics`` as HTML that holds its place as a JSON pointer (RFC 6901)."""
    value = _at(metrics, place)
    if value is None:
        return Markup(UNKNOWN)
    return Markup('<data value="{}" title="{}">{}</data>').format(json.dumps(value), _pointer(place), show(value, how))


def _quote(metrics: Mapping[str, Any], place: Sequence[str | int]) -> Markup:
    """Return the text at ``place``, whatever numbers are in it, as HTML that holds its place like a number's."""
    return Markup('<span class="said" title="{}">{}</span>').format(_pointer(place), _at(metrics, place))


def _at(metrics: Mapping[str, Any], place: Sequence[str | int]) -> Any:
    value: Any = metrics
    for step in place:
        value = value[step]
    return value


def _pointer(place: Sequence[str | int]) -> str:
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in place)


def _generic(metrics: Mapping[str, Any], place: tuple[str | int, ...]) -> Iterator[Markup]:
    """Yield any JSON value as HTML: its numbers marked, lists and mappings with commas between."""
    value = _at(metrics, place)
    if isinstance(value, dict | list):
        for index, step in enumerate(value if isinstance(value, dict) else range(len(value))):
            yield Markup(", " if index else "")
            yield escape(f"{step} ") if isinstance(value, dict) else Markup("")
            yield from _generic(metrics, (*place, step))
    elif isinstance(value, bool) or value is None:
        yield Markup({True: "yes", False: "no", None: UNKNOWN}[value])
    elif isinstance(value, int | float):
        yield number(metrics, place, "count" if isinstance(value, int) and value >= 10_000 else "plain")
    else:
        yield escape(value)


def _data_uri(kind: str, content: bytes) -> Markup:
    return Markup(f"data:image/{kind};base64,{base64.b64encode(content).decode()}")
