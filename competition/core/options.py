"""The words of the command line: `key=value`, dotted keys, and lists of folds such as `0..4`."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from competition.core.errors import UserError, did_you_mean
from competition.core.settings import Config


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


def parse_options(words: Sequence[str], known: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return a command's own ``key=value`` options over their defaults, and the words that are not options.

    A word that begins with a known key and '=' is an option; another that names something on disk is none, whatever
    signs are in it. Raises UserError for an unknown key.
    """
    named = [word for word in words if "=" not in word or (word.partition("=")[0] not in known and _on_disk(word))]
    given = parse_words([word for word in words if word not in named])
    check_keys(given, list(known), "", "the command line")
    return {**known, **given}, named


def _on_disk(word: str) -> bool:
    try:
        return Path(word).exists()
    except (OSError, ValueError):  # longer than a name may be, or of characters that no name has
        return False


def nest(given: Mapping[str, str]) -> dict[str, Any]:
    """Turn dotted keys into nested dictionaries. Words stay text (OmegaConf converts them to each key's type), except
    lists, mappings and timm's own arguments, whose type only YAML can tell."""
    tree: dict[str, Any] = {}
    for key, value in given.items():
        parts = key.split(".")
        node = tree
        for part in parts[:-1]:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise UserError(f"'{key}' and '{part}' cannot both be given: keep one of them.")
        is_yaml = value[:1] in ("[", "{") or "backbone_args" in parts or value == "null"
        try:
            node[parts[-1]] = yaml.safe_load(value) if is_yaml else value
        except yaml.YAMLError as error:
            raise UserError(f"{key}={value} is not YAML: write it like [2,2] or {{a: 1}}.") from error
    return tree


def check_keys(layer: Any, known: Sequence[str], prefix: str, source: str) -> None:
    """Raise UserError for the first key of a mapping that is not known; ``prefix`` and ``source`` say where it is."""
    for key in layer if isinstance(layer, dict) else ():
        if key not in known:
            raise UserError(f"There is no setting '{prefix}{key}' (in {source}){did_you_mean(str(key), known)}")


def parse_folds(text: str, folds: int) -> tuple[list[int], bool]:
    """Return which folds ``text`` names, sorted, and whether a model on all rows is asked for too.

    ``0..4``, ``0,2``, ``all`` and ``full`` (all folds, and the model on all rows) may be joined by commas.
    """
    chosen: set[int] = set()
    full = False
    for part in (part.strip() for part in text.split(",")):
        if part in ("all", "full"):
            full |= part == "full"
            chosen.update(range(folds) if part == "all" else ())
        elif match := re.fullmatch(r"(\d+)(?:\.\.(\d+))?", part):
            first, last = int(match[1]), int(match[2] or match[1])
            if last >= folds or first > last:
                raise UserError(f"fold={text} asks for a fold outside 0..{folds - 1} (folds={folds}).")
            chosen.update(range(first, last + 1))
        else:
            raise UserError(f"fold={text} is not a list of folds: write fold=0..{folds - 1}, fold=0,2 or fold=all.")
    return sorted(chosen or range(folds)), full


def chosen_folds(config: Config) -> tuple[list[int], bool]:
    """Return which folds the run is to train, and whether a model on all rows is asked for too."""
    try:
        return parse_folds(config.fold, config.parts)
    except UserError as error:
        if config.shares is None:
            raise
        raise UserError(
            f"fold={config.fold} does not go with split={config.split}, which holds out one part: leave fold= out."
        ) from error
