"""One typed, frozen Config of four layers (see README.md), with a sentence for every mistake."""

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from competition.core.equalise import equalised_quality
from competition.core.errors import UserError, did_you_mean
from competition.core.options import check_keys, check_values, kind_words, parse_words
from competition.core.paths import PRESETS, preset_names
from competition.core.search_space import read_space
from competition.core.settings import GROUPS, RECIPE_KEYS, Config, Demo, Layers, Recipe
from competition.core.splits import BY_SOURCE, check_split, chosen_folds
from competition.core.yaml_text import MAX_DEPTH, parse_yaml, read_mapping

Settings = TypeVar("Settings", bound=Recipe)

CONFIG_FILE = "config.yaml"  # in a run's folder: what a later line that names the run alone goes by
WEIGHTS_WORDS = ("true", "false", "auto")  # what pretrained= may say instead of a path
TYPES = {item.name: item.type for kind in (Config, *GROUPS.values()) for item in fields(kind)}


def load_config(words: Sequence[str], defaults: Mapping[str, str] | None = None) -> Config:
    """Resolve ``key=value`` words into a Config.

    ``defaults`` holds words that yield to the user's own (the preset chosen when none is named, say). Raises UserError
    for an unknown key, preset, member or file, a value of the wrong type and a value that is not one of the choices.
    """
    given = {**(defaults or {}), **parse_words(words)}
    path = given.pop("config", "")
    file = read_mapping("config", path) if path else {}
    raw = OmegaConf.structured(Layers)
    if path and "size" in given and given["size"] != file.get("size", ""):
        raise UserError(
            f"size={given['size']} goes with a preset, and {path} holds settings of another size: name the "
            "preset instead, and another name= for its results."
        )
    if preset := given.get("preset", file.get("preset", "")):
        layer = read_preset(preset)
        sizes = layer.pop("sizes", {})
        raw = _merge(raw, layer, f"preset {preset}")
        raw = _merge_size(raw, sizes, given.get("size", file.get("size") or raw.size), preset)
    elif "size" in given:
        raise UserError(f"size={given['size']} needs a preset that has sizes, as preset=wai2025 has.")
    raw = _merge(raw, file, path)
    raw = _merge(raw, _nest(given), "the command line")
    try:
        return _resolve(OmegaConf.to_object(raw))
    except OmegaConfBaseException as error:
        raise UserError(
            f"A setting holds '${{...}}', which has no meaning here ({str(error).splitlines()[0]})."
        ) from error


def read_preset(name: str) -> dict[str, Any]:
    """Return the settings that a preset lays over the defaults; UserError where there is none of this name."""
    if name not in preset_names():
        raise UserError(f"There is no preset '{name}'{did_you_mean(name, preset_names())}")
    layer: dict[str, Any] = parse_yaml((PRESETS / f"{name}.yaml").read_text(encoding="utf-8"))
    return layer


def _nest(given: Mapping[str, str]) -> dict[str, Any]:
    """Turn dotted keys into nested dictionaries. Words stay text (OmegaConf converts them to each key's type), except
    lists, mappings and timm's own arguments, whose type only YAML can tell."""
    tree: dict[str, Any] = {}
    for key, value in given.items():
        parts = key.split(".")
        if len(parts) > MAX_DEPTH:
            raise UserError(f"'{key:.80} ...' is not a setting: none has {len(parts)} parts.")
        node = tree
        for part in parts[:-1]:
            node = node.setdefault(part, {})
            if not isinstance(node, dict):
                raise UserError(f"'{key}' and '{part}' cannot both be given: keep one of them.")
        is_yaml = value[:1] in ("[", "{") or "backbone_args" in parts or value == "null"
        try:
            node[parts[-1]] = parse_yaml(value) if is_yaml else value
        except ValueError as error:
            raise UserError(f"{key}={value:.80} is not YAML ({error}): write it like [2,2] or {{a: 1}}.") from error
    return tree


def _merge_size(raw: Any, sizes: Mapping[str, Any], size: str, preset: str) -> Any:
    if size and size not in sizes:
        known = did_you_mean(size, sizes) if sizes else " (it has none)"
        raise UserError(f"preset={preset} has no size '{size}'{known}")
    if sizes and not size:
        raise UserError(f"preset={preset} needs one of its sizes: {', '.join(sizes)}.")
    return _merge(raw, {**sizes.get(size, {}), "size": size}, f"preset {preset}, size {size}") if size else raw


def _merge(raw: Any, layer: Mapping[str, Any], source: str) -> Any:
    """Lay one layer over the settings so far: its general words undo the members' own of the layers below."""
    layer = dict(layer)
    if "members" in layer and layer["members"] is None:  # members=null takes all of the preset's members out
        del layer["members"]
        raw = OmegaConf.merge(raw, {"members": {name: None for name in raw.members}})
    _check_names(raw, layer, source)
    general = {key: None for key in RECIPE_KEYS if key in layer}
    undone = {"members": {name: general for name, own in raw.members.items() if own is not None}}
    try:
        return OmegaConf.merge(raw, undone if general else {}, layer)
    except OmegaConfBaseException as error:
        kind = TYPES.get(str(error.full_key).rpartition(".")[2], str)
        raise UserError(f"{error.full_key}={error.value} (in {source}) is not {kind_words(kind)}.") from error
    except TypeError as error:  # that of OmegaConf for one container in another's place
        raise UserError(f"In {source} a list stands for a mapping, or a mapping for a list ({error}).") from error
    except OverflowError as error:
        raise UserError(f"In {source} stands a whole number that is too large ({error}): correct it there.") from error


def _check_names(raw: Any, layer: Mapping[str, Any], source: str) -> None:
    """Refuse a setting or a member that there is not, before OmegaConf makes a new member of a misspelt one."""
    check_keys(layer, [item.name for item in fields(Config)], "", source)
    if layer.get("folds") == BY_SOURCE:
        raise UserError(
            f"folds={BY_SOURCE} (in {source}) is not a number of folds: leave whole sources out with split={BY_SOURCE}."
        )
    for key, kind in GROUPS.items():
        check_keys(layer.get(key), [item.name for item in fields(kind)], f"{key}.", source)
    members = layer.get("members") or {}
    if not isinstance(members, dict):
        raise UserError(f"members={members} in {source} is not a mapping: write members.NAME.key=value.")
    known = [name for name, own in raw.members.items() if own is not None]
    given = layer.get("predictions")
    for name, place in given.items() if isinstance(given, Mapping) else ():
        _check_member_name(str(name), source)
        if not isinstance(place, str):
            raise UserError(f"predictions.{name}={place} (in {source}) is not a folder: name one, or leave it empty.")
    for name, own in members.items():
        _check_member_name(str(name), source)
        if name not in known and not (isinstance(own, dict) and "backbone" in own):
            hint = did_you_mean(name, known) if known else ""
            raise UserError(f"There is no member '{name}' (in {source}){hint} A new one needs its own backbone.")
        check_keys(own, RECIPE_KEYS, f"members.{name}.", source)


def _check_member_name(name: str, source: str) -> None:
    if name in ("ensemble", "report"):
        raise UserError(f"A member cannot be called '{name}' (in {source}), which is another thing's name: choose one.")
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", name):
        raise UserError(f"'{name:.120}' in {source} cannot name a member: use up to 100 letters, digits, '-' and '_'.")


def _resolve(raw: Any) -> Config:
    """Return merged ``Layers`` as a Config, in which every member has its whole recipe and every value is allowed."""
    common = {key: getattr(raw, key) for key in RECIPE_KEYS}
    members = {}
    for name, own in raw.members.items():
        if own is None:  # members.swin=null takes a preset's member out
            continue
        set_here = {key: value for key in RECIPE_KEYS if (value := getattr(own, key)) is not None}
        members[name] = _tidy(Recipe(**{**common, **set_here}))
    if not members:
        members = {"model": _tidy(Recipe(**common))}
    settings = {item.name: getattr(raw, item.name) for item in fields(Config)}
    settings["predictions"] = {name: place for name, place in raw.predictions.items() if place}  # empty: without it
    config = _tidy(Config(**{**settings, "members": members, **_places(raw)}))
    check_values(config, "")
    for group in GROUPS:
        check_values(getattr(config, group), f"{group}.")
    for name, recipe in members.items():
        check_values(recipe, f"members.{name}.")
        equalised_quality(recipe.equalise, f"members.{name}.equalise")
    check_split(config.split, config.source)
    chosen_folds(config)
    read_space(config.tune)
    return config


def _tidy(recipe: Settings) -> Settings:
    """Write true and false as YAML does, whatever Python made of them."""
    words = {key: getattr(recipe, key).lower() for key in ("pretrained", "compile")}
    return dataclasses.replace(recipe, **{key: word for key, word in words.items() if word in WEIGHTS_WORDS})


def _places(raw: Config) -> dict[str, str]:
    """Return the data folder and the run's name, where they are not given: each demo has its own."""
    demo, data, name = raw.demo, raw.data, raw.name
    variant = "" if demo.world == Demo.world else f"-{demo.world}"
    variant += "" if demo.sources == Demo.sources else f"-sources{demo.sources}"
    if demo != Demo(draw=True, world=demo.world, sources=demo.sources):
        variant += f"-{demo.seed}-{demo.train_scenes}-{demo.test_scenes}"
    if demo.draw and not data:
        data = f"data/demo{variant}"
    name = name or (f"{raw.preset}{variant}" if demo.draw else Path(data).resolve().name or raw.preset)
    limited = f"-limit{raw.limit}" if raw.limit else ""
    return {"data": data, "name": name.removesuffix(limited) + limited}
