"""Options as frozen dataclasses: what a field may hold, and how the words of a command line fill one.

The standard library alone is needed here, for `./run.sh help` comes before any set-up.
"""

import inspect
import re
from collections.abc import Mapping, Sequence
from dataclasses import Field, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from competition.core.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

DEVICES = ("auto", "cpu", "cuda", "mps")
# Without user name or password; servers refuse longer ones.
ADDRESS = r"(?i:https?)://[^\s/?#@\\]{1,255}(?![^/?#])[^\r\n]{0,8000}"
KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "a word",
    "dict": "a mapping",
    "list": "a list like [256, relu]",
}
Options = TypeVar("Options", bound="DataclassInstance")


def one_of(*choices: str) -> Any:
    """Return a dataclass field that holds one of these words, each named once or twice; the first is its default."""
    return field(default=choices[0], metadata={"choices": tuple(dict.fromkeys(choices))})


def bounded(default: float | None, least: float, most: float) -> Any:
    """Return a dataclass field that holds a number from ``least`` to ``most``, both allowed, or its default None."""
    return field(default=default, metadata={"bounds": (least, most)})


def auto_or(least: int, most: int) -> Any:
    """Return a dataclass field (a str) that holds the word auto, its default, or a whole number between both limits."""
    return field(default="auto", metadata={"auto_or": (least, most)})


def matching(pattern: str, holds: str) -> Any:
    """Return a dataclass field that holds a text of this pattern, or none; ``holds`` says in words what that is."""
    return field(default="", metadata={"pattern": pattern, "holds": holds})


def folder_name() -> Any:
    """Return a dataclass field that holds what can be the name of a folder on every system."""
    return matching(
        "[A-Za-z0-9]([A-Za-z0-9._-]{0,98}[A-Za-z0-9_-])?",
        "a folder's name (up to 100 letters, digits, '.', '-' and '_')",
    )


def web_address() -> Any:
    """Return a dataclass field that holds a plain ``ADDRESS``."""
    return matching(ADDRESS, "a web address in full, as https://example.org/gallery")


def some_of(*choices: str) -> Any:
    """Return a dataclass field that holds one or more of these words, with commas between."""
    one = f"({'|'.join(choices)})"
    return matching(f"{one}(,{one})*", f"one of {', '.join(choices)}, or several with commas between")


def positional(name: str) -> Any:
    """Return a dataclass field (a tuple) for the words that set no option; ``name``: what `help` calls one of them."""
    return field(default=(), metadata={"positional": name})


def kind_words(kind: Any) -> str:
    """Return in words what a field holds, by its type or its annotation's text."""
    text = kind if isinstance(kind, str) else inspect.formatannotation(kind)
    return KINDS.get(text.removesuffix(" | None").partition("[")[0], "a mapping")


def parse(words: Sequence[str], kind: type[Options]) -> Options:
    """Return a command's options, of the dataclass ``kind``, with what ``words`` say in place of their defaults.

    A word ``key=value`` with a known key is an option. Other words go to the field that :func:`positional` made, if
    there is one: words without '=', and words with one that name something on disk. Raises UserError for an unknown or
    repeated key, a value of another type or out of range, and a word that has no place.
    """
    known = {item.name: item for item in fields(kind) if "positional" not in item.metadata}
    rest = next((item.name for item in fields(kind) if "positional" in item.metadata), None)
    named = [word for word in words if "=" not in word or (word.partition("=")[0] not in known and _on_disk(word))]
    given = parse_words([word for word in words if word not in named])
    check_keys(given, list(known), "", "the command line")
    if named and rest is None:
        command = kind.__name__.removesuffix("Options").lower()
        raise UserError(
            f"'{named[0]}' is not a setting: write key=value, as in ./run.sh {command} {next(iter(known))}={named[0]} "
            f"(./run.sh {command} help lists all)."
        )
    values = {key: typed_value(known[key], text) for key, text in given.items()}
    options = kind(**values, **({rest: tuple(named)} if rest else {}))
    check_values(options)
    return options


def parse_words(words: Sequence[str]) -> dict[str, str]:
    """Return ``key=value`` words as a dictionary of text; UserError for a word without '=' and a key given twice."""
    given: dict[str, str] = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not equals:
            raise UserError(f"'{word}' is not a setting: write key=value, as in fold=0..4.")
        if key in given:
            raise UserError(f"'{key}' is given twice ({given[key]} and {value}): keep one of them.")
        given[key] = value
    return given


def _on_disk(word: str) -> bool:
    try:
        return Path(word).exists()
    except (OSError, ValueError):  # longer than a name may be, or of characters that no name has
        return False


def typed_value(item: Field[Any], text: str) -> Any:
    """Return the value of an option's text; a number or truth value without text keeps its default."""
    kind: Any = next(iter(get_args(item.type)), item.type)  # int, of `int | None`
    if kind is str:
        return text
    if not text:
        return item.default
    try:
        return {"true": True, "false": False}[text.lower()] if kind is bool else kind(text)
    except (KeyError, ValueError):
        raise UserError(f"{item.name}={text} is not {kind_words(kind)}.") from None


def check_keys(layer: Any, known: Sequence[str], prefix: str, source: str) -> None:
    """Raise UserError for the first key of a mapping (or None) that is not known; ``prefix`` and ``source`` say where
    it is."""
    if not isinstance(layer or {}, Mapping):
        raise UserError(f"{prefix[:-1]}={layer} (in {source}) is not a mapping: write {prefix}key=value.")
    for key in layer or ():
        if key not in known:
            hint = did_you_mean(str(key), known) or ": leave it out."
            raise UserError(f"There is no setting '{prefix}{key}' (in {source}){hint}")


def check_values(options: Any, prefix: str = "") -> None:
    """Raise UserError for the first field that holds none of its choices, or a number outside its bounds."""
    for item in fields(options):
        key, value = f"{prefix}{item.name}", getattr(options, item.name)
        choices, bounds = item.metadata.get("choices"), item.metadata.get("bounds")
        if choices and value not in choices:
            raise UserError(f"{key}={value} is not one of {', '.join(filter(None, choices))}.")
        if bounds and value is not None and not bounds[0] <= value <= bounds[1]:
            raise UserError(f"{key}={value} is out of range: give a value from {bounds[0]:.12g} to {bounds[1]:.12g}.")
        pattern = item.metadata.get("pattern")
        if pattern and value and not re.fullmatch(pattern, value):
            raise UserError(f"{key}={value:.120} is not {item.metadata['holds']}.")
        if (limits := item.metadata.get("auto_or")) and value != "auto":
            if not (value.isdecimal() and limits[0] <= int(value) <= limits[1]):
                raise UserError(f"{key}={value} is neither auto nor a whole number from {limits[0]} to {limits[1]}.")
