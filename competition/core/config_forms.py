"""A Config in other forms: as plain values, as what names a job, as YAML, and as another machine is to read it."""

import dataclasses
from collections.abc import Callable
from typing import Any

import yaml

from competition.core.config import WEIGHTS_WORDS, read_preset
from competition.core.settings import LATER_KEYS, Cluster, Config, Recipe, Remote


def as_dict(settings: Recipe) -> dict[str, Any]:
    """Return the settings as plain dictionaries, lists and numbers."""
    return dataclasses.asdict(settings)


def recipe_key(recipe: Recipe) -> dict[str, Any]:
    """Return the recipe as what names a job: without the ``LATER_KEYS`` that are at their defaults."""
    unset = Recipe()
    key = {
        key: value for key, value in as_dict(recipe).items() if key not in LATER_KEYS or value != getattr(unset, key)
    }
    return key | {"compile": {"true": True, "false": False}.get(recipe.compile, recipe.compile)}  # it was a truth value


def as_yaml(settings: Recipe) -> str:
    """Return the settings as YAML; fed back through ``config=FILE`` it gives the same Config."""
    tree = as_dict(settings)
    if preset := tree.get("preset"):  # the preset is read again with the file: say which of its members were taken out
        layers = [layer := read_preset(preset), layer.get("sizes", {}).get(tree["size"], {})]
        tree["members"] |= {
            name: None for part in layers for name in part.get("members", {}) if name not in tree["members"]
        }
    return str(yaml.safe_dump(tree, sort_keys=False, width=120))


def with_weights(config: Config, moved: Callable[[str], str]) -> Config:
    """Return the settings with each file or folder of weights ``moved`` to another."""

    def own(recipe: Recipe) -> str:
        return recipe.pretrained if recipe.pretrained in WEIGHTS_WORDS else moved(recipe.pretrained)

    members = {name: dataclasses.replace(recipe, pretrained=own(recipe)) for name, recipe in config.members.items()}
    return dataclasses.replace(config, pretrained=own(config), members=members)


def elsewhere(config: Config) -> Config:
    """Return the settings as another machine is to read them: without this one's folders, files and other runs, for all
    folds, trained there, as many at once as it carries. Weights of a file become random ones; what the hub or a
    checkpoint brings stays."""
    return dataclasses.replace(
        with_weights(config, lambda path: "false"),
        data="",
        cache="",
        extra="",
        pseudo="",
        names="",
        predictions={},
        fold="all",
        overwrite=False,
        hours=0.0,
        track="",
        jobs="auto",
        engine="local",
        kaggle=Remote(),
        ray=Cluster(),
    )
