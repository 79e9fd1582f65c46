"""Where a backbone's pretrained weights come from: the hub, a local file, or a folder of files named as on Kaggle.

Whether the hub has them is known within seconds, before anything waits for them: timm itself asks for each of two files
seven times, which without a network is 47 seconds, behind a silent firewall 13 minutes. Nothing here downloads, prints,
or raises for trouble with the network.
"""

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import timm
import torch
from huggingface_hub import constants, get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError

from competition.core.deadline import within
from competition.core.errors import UserError
from competition.core.files import file_digest
from competition.core.settings import Recipe

WEIGHT_FILES = (".safetensors", ".pth", ".pt", ".bin")
PATIENCE = 5.0  # seconds in which the hub has to answer
# Whatever may go wrong with the network: the hub's own errors are OSErrors, but those of the library that carries its
# requests (httpx or another, by the hub's version) are not, and share only a base with the hub's HTTP errors.
NETWORK_ERRORS: tuple[type[Exception], ...] = (OSError, *HfHubHTTPError.__bases__)


def weights_at_hand(name: str, patience: float = PATIENCE) -> bool:
    """Whether the weights of timm's backbone ``name`` are cached, or the hub says within ``patience`` that it has them.

    ``name`` may carry a tag ('resnet18.a1_in1k') or leave it to timm; without weights of that name the answer is no.
    Proxies, HF_ENDPOINT, HF_HOME, HF_HUB_OFFLINE and the user's token count as they do when the weights are loaded.
    """
    cfg = timm.get_pretrained_cfg(name)
    if cfg is None or not cfg.has_weights:
        return False
    if cached_weights(name) is not None:
        return True
    # A socket's own time-out starts anew with each address of a host, and does not count the search for them.
    with contextlib.suppress(TimeoutError):
        return within(patience, lambda: _served(cfg, patience))
    return False


def cached_weights(name: str) -> Path | None:
    """Return the file that timm would load for ``name`` if there were no network, or None where nothing is cached."""
    cfg = timm.get_pretrained_cfg(name)
    if cfg is None or not cfg.has_weights:
        return None
    if not cfg.hf_hub_id:  # a few old weights lie elsewhere, and torch keeps them
        path = Path(torch.hub.get_dir()) / "checkpoints" / str(cfg.url).rpartition("/")[2]
        return path if path.is_file() else None
    for repository, revision, file in _hub_files(cfg):
        found = try_to_load_from_cache(repository, file, revision=revision)
        if isinstance(found, str):  # neither None nor the mark of a file that the hub is known not to have
            return Path(found)
    return None


def _hub_files(cfg: Any) -> Iterator[tuple[str, str | None, str]]:
    """Yield repository, revision and name of each file that timm tries, in its order."""
    repository, _, revision = cfg.hf_hub_id.partition("@")
    own = [cfg.hf_hub_filename] if cfg.hf_hub_filename else []
    for file in own or [constants.SAFETENSORS_SINGLE_FILE, constants.PYTORCH_WEIGHTS_NAME]:
        yield repository, revision or None, file


def _served(cfg: Any, patience: float) -> bool:
    """Whether a HEAD request finds one of the files."""
    with contextlib.suppress(*NETWORK_ERRORS, ValueError, ImportError):  # the last two: a proxy's address that is none
        if not cfg.hf_hub_id:
            return bool(get_hf_file_metadata(cfg.url, token=False, timeout=patience))
        for repository, revision, file in _hub_files(cfg):
            with contextlib.suppress(EntryNotFoundError):  # the next file may be there
                url = hf_hub_url(repository, file, revision=revision)
                # A hotel's login page answers every address, but names no commit.
                return get_hf_file_metadata(url, timeout=patience).commit_hash is not None
    return False


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


def source_digest(recipe: Recipe) -> str:
    """Return ``true``, ``false``, or a fingerprint of one backbone's weights file: where it lies does not matter."""
    if recipe.pretrained in ("true", "false"):
        return recipe.pretrained
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
