"""YAML as plain data: the one reader of every YAML text that a user or a stranger may have written."""

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from competition.core.errors import UserError

MAX_DEPTH = 20  # of containers within containers
MAX_VALUES = 10_000  # in all: an anchor that is used many times counts each time

_TOO_DEEP = f"it has more than {MAX_DEPTH} lists or mappings within each other"


class _Loader(yaml.SafeLoader):  # type: ignore[misc]  # yaml has no types
    """YAML's safe loader, which makes no objects; to it a date is text, and deep nesting is refused at once."""

    _depth = 0

    def fetch_flow_collection_start(self, token: Any) -> None:
        if self.flow_level >= MAX_DEPTH:  # the reader looks far ahead here, and would take minutes for a page of [
            raise ValueError(_TOO_DEEP)
        super().fetch_flow_collection_start(token)

    def compose_node(self, parent: Any, index: Any) -> Any:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ValueError(_TOO_DEEP)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        keys = Counter(key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode))
        if twice := next((key for key, times in keys.items() if times > 1), None):
            raise ValueError(f"'{twice}' stands there twice")  # YAML would take the later and say nothing
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def parse_yaml(text: str) -> Any:
    """Return what a YAML text holds: None, truth values, numbers, texts, and lists and mappings (with text keys) of
    them.

    Raises ValueError, which says why in one line, for what is not YAML, for any other kind of value, and for more
    than ``MAX_DEPTH`` containers within each other or ``MAX_VALUES`` values.
    """
    try:
        value = yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, ArithmeticError, LookupError, AttributeError, TypeError) as error:
        # The last five are what its constructors raise for a value that is not of the kind that a tag names.
        raise ValueError(" ".join(str(error).split())) from None
    _count_plain(value, 0)
    return value


def read_mapping(setting: str, path: str) -> dict[str, Any]:
    """Return the mapping in a YAML file that ``setting`` names; UserError for a file that cannot be read or is none."""
    try:
        found = parse_yaml(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"{setting}={path} cannot be read ({error.strerror}): give the path of a YAML file.") from error
    except ValueError as error:  # of the decoder, or of YAML
        raise UserError(f"{setting}={path} is not YAML for settings ({error}): correct it there.") from error
    if not isinstance(found, dict):
        raise UserError(f"{setting}={path} holds no settings: write one 'key: value' a line.")
    return found


def _count_plain(value: Any, depth: int) -> int:
    """Return how many values there are in ``value``; ValueError for too many, too deep and other than plain ones."""
    if depth > MAX_DEPTH:
        raise ValueError(_TOO_DEEP)  # or holding itself
    count = 1
    if isinstance(value, Mapping):
        for key in value:
            if not isinstance(key, str):
                raise ValueError(f"the key {key!r} is not text: write it in quotes")
        parts = [*value.keys(), *value.values()]
    else:
        parts = value if isinstance(value, list) else []
        if not isinstance(value, str | bool | int | float | list | None):
            raise ValueError(f"{value!r:.60} is neither text, a number, true, false, a list nor a mapping")
        if isinstance(value, str) and "\0" in value:
            raise ValueError("a text in it holds the character NUL")
    for part in parts:
        count += _count_plain(part, depth + 1)
        if count > MAX_VALUES:
            raise ValueError(f"it holds more than {MAX_VALUES:,} values")
    return count
