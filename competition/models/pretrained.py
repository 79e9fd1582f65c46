"""What becomes of `pretrained=`: decided once for each member, kept beside its folds, and the same for all its jobs."""

import dataclasses
from pathlib import Path

from competition.core.errors import UserError
from competition.core.intact import damaged, read_record_file, stands, write_record_file
from competition.core.paths import run_folder
from competition.core.settings import Config
from competition.core.yaml_text import parse_yaml
from competition.models.backbones import backbone_cfg
from competition.models.build import timm_parts, weights_digest
from competition.models.hub import weights_at_hand

FILE = "pretrained.json"


def settle_pretrained(config: Config) -> tuple[Config, list[str]]:
    """Decide ``pretrained=auto`` for each member as when its first job began, or by what is at hand; with notes."""
    members, notes = {}, []
    for name, recipe in config.members.items():
        if recipe.pretrained == "auto":
            parts = [part.backbone for part in timm_parts(recipe)]
            value = None if config.overwrite else _kept(run_folder(config.name) / name, parts)
            if value == "false" and parts:
                notes.append(f"{name} goes on from random weights, as it began (overwrite=true looks for others)")
            if value is None:
                value = "true" if parts and all(map(weights_at_hand, parts)) else "false"
                if value == "false" and parts:
                    notes.append(
                        f"NO PRETRAINED WEIGHTS of {' and '.join(parts)} are cached or to be fetched: {name} "
                        "starts from random ones (pretrained=FOLDER takes local files)"
                    )
            recipe = dataclasses.replace(recipe, pretrained=value)
        if recipe.adapt != "full" and recipe.pretrained == "false":
            notes.append(
                f"{name} starts from random weights, and adapt={recipe.adapt} leaves most of them so (give pretrained "
                "ones, or adapt=full)"
            )
        members[name] = recipe
    return dataclasses.replace(config, members=members), notes


def _kept(folder: Path, backbones: list[str]) -> str | None:
    """Return the decision kept in a member's folder, if it was about these backbones and a job began under it."""
    kept = read_record_file(folder / FILE)
    began = any(folder.glob("*/config.yaml"))
    return kept["pretrained"] if kept and began and kept["backbones"] == backbones else None


def keep_pretrained(config: Config, requested: Config) -> None:
    """Write down what became of each ``pretrained=auto`` in ``requested``, before the first job of the member."""
    for name, recipe in config.members.items():
        path = run_folder(config.name) / name / FILE
        value = {"pretrained": recipe.pretrained, "backbones": [part.backbone for part in timm_parts(recipe)]}
        if requested.members[name].pretrained == "auto" and not stands(path, value):
            write_record_file(path, value)


def digest_of(config: Config, member: str) -> str:
    """Return ``false`` or the fingerprint of a member's weights files; where they are not at hand, the one under which
    its jobs were trained, and for a member that has none, that of the file that the hub would send.

    ``true`` is what jobs were named after before the hub's files were told apart: a member that began under it goes on.
    """
    recipe, begun = config.members[member], _begun(run_folder(config.name) / member)
    if begun == recipe.pretrained == "true":
        return begun
    try:
        return weights_digest(recipe)
    except UserError:
        return begun or weights_digest(recipe, ask=True)


def licence_lines(config: Config) -> list[str]:
    """Return for each member with weights from the hub their names, and the licences that timm knows of them."""
    lines = []
    for name, recipe in config.members.items():
        if recipe.pretrained in ("true", "auto"):
            for cfg in (backbone_cfg(part.backbone) for part in timm_parts(recipe)):
                full = ".".join(filter(None, (cfg.architecture, cfg.tag)))
                lines.append(f"{name}: pretrained weights {full}, licence {cfg.license or 'unknown'}")
    return lines


def _begun(folder: Path) -> str | None:
    """Return the fingerprint of the weights that a member's first job began with, or None where none has begun."""
    for path in sorted(folder.glob("*/config.yaml")):
        try:
            return parse_yaml(path.read_text(encoding="utf-8"))["pretrained"]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise damaged(path, "it is not the settings that were written") from error
    return None
