"""Where a backbone's pretrained weights come from: the hub, a local file, or a folder of files named as on Kaggle."""

import re
from pathlib import Path
from typing import Any

import timm

from competition.core.errors import UserError
from competition.core.files import file_digest
from competition.core.settings import Recipe
from competition.models.hub import cached_digest, cached_weights, served_digest

WEIGHT_FILES = (".safetensors", ".pth", ".pt", ".bin")


def weights_options(recipe: Recipe) -> dict[str, Any]:
    """Return timm's arguments for where one backbone's weights come from; UserError where there can be none."""
    source = recipe.pretrained
    if source in ("true", "false"):
        cfg = timm.get_pretrained_cfg(recipe.backbone)
        if source == "true" and not (cfg and cfg.has_weights):
            raise UserError(f"timm has no pretrained weights for '{recipe.backbone}': set pretrained=false or a file.")
        cached = cached_weights(recipe.backbone) if source == "true" else None  # or every job would ask the hub again
        return {"pretrained": source == "true"} | ({"pretrained_cfg_overlay": {"file": str(cached)}} if cached else {})
    path = Path(source).expanduser()
    if path.is_dir():
        path = _find_weights(path, recipe.backbone)
    if not path.is_file():
        raise UserError(f"pretrained={source} is not a file or folder: give one, or true, or false.")
    return {"pretrained": True, "pretrained_cfg_overlay": {"file": str(path)}}


def source_digest(recipe: Recipe, ask: bool = False) -> str:
    """Return ``false``, or a fingerprint of one backbone's weights file: where it lies does not matter.

    That of the hub's file is its SHA-256, as the hub's own page has it; with ``ask`` the hub is asked for it where the
    file is not cached. Raises UserError where the file is not there.
    """
    if recipe.pretrained == "false":
        return "false"
    if recipe.pretrained == "true":
        found = cached_digest(recipe.backbone) or (served_digest(recipe.backbone) if ask else None)
        if found is None:
            raise UserError(
                f"The weights of '{recipe.backbone}' are not cached, and the hub does not say which file they are: go "
                "online, give pretrained=FILE or FOLDER, or train from scratch with pretrained=false."
            )
        return found
    return file_digest(weights_options(recipe)["pretrained_cfg_overlay"]["file"])


def _find_weights(folder: Path, name: str) -> Path:
    """Find the file of backbone ``name`` in a folder: NAME.safetensors, NAME/model.safetensors, NAME/1/NAME.pth, …

    Kaggle's names of data sets turn dots and underscores into dashes, so only letters and digits are compared.
    """

    def bare(text: str) -> str:
        return re.sub(r"[^a-z0-9]", "", text.lower().removeprefix("timm"))

    files = sorted(p for p in folder.rglob("*") if p.suffix in WEIGHT_FILES and p.is_file())
    for wanted in dict.fromkeys((bare(name), bare(name.partition(".")[0]))):
        for path in files:
            parents = path.relative_to(folder).parts[:-1]
            if wanted == bare(path.stem) or wanted in map(bare, parents):
                return path
    if len(files) == 1 and bare(folder.name) in (bare(name), bare(name.partition(".")[0])):
        return files[0]
    found = ", ".join(str(p.relative_to(folder)) for p in files[:3]) or "none"
    raise UserError(f"Folder {folder} holds no weights named for '{name}' (found: {found}): give the file itself.")
