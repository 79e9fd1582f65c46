"""Whether pretrained weights can be had before anything waits for them: cached here, or at the hub within seconds; and
which file they are.

timm itself asks for each of two files seven times: without a network that is 47 seconds, behind a silent firewall 13
minutes. Nothing here downloads, prints, or raises for trouble with the network.
"""

import contextlib
import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import timm
import torch
from huggingface_hub import HfFileMetadata, constants, get_hf_file_metadata, hf_hub_url, try_to_load_from_cache
from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError

from competition.core.deadline import within

PATIENCE = 5.0  # seconds in which the hub has to answer
SHA256 = re.compile("[0-9a-f]{64}")
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
        return within(patience, lambda: _served(cfg, patience)) is not None
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


def cached_digest(name: str) -> str | None:
    """Return the SHA-256 of the file that :func:`cached_weights` finds, 64 hex digits, or None where nothing is cached.

    The hub's cache names a large file by just that, so that it need not be read; of any other it is computed.
    """
    path = cached_weights(name)
    if path is None:
        return None
    if SHA256.fullmatch(path.resolve().name):
        return path.resolve().name
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def served_digest(name: str, patience: float = PATIENCE) -> str | None:
    """Return the SHA-256 of the file that timm would fetch for ``name``, as the hub tells it within ``patience``."""
    cfg = timm.get_pretrained_cfg(name)
    with contextlib.suppress(TimeoutError):
        found = within(patience, lambda: _served(cfg, patience)) if cfg and cfg.has_weights else None
        return found.etag if found and SHA256.fullmatch(found.etag or "") else None
    return None


def _hub_files(cfg: Any) -> Iterator[tuple[str, str | None, str]]:
    """Yield repository, revision and name of each file that timm tries, in its order."""
    repository, _, revision = cfg.hf_hub_id.partition("@")
    own = [cfg.hf_hub_filename] if cfg.hf_hub_filename else []
    for file in own or [constants.SAFETENSORS_SINGLE_FILE, constants.PYTORCH_WEIGHTS_NAME]:
        yield repository, revision or None, file


def _served(cfg: Any, patience: float) -> HfFileMetadata | None:
    """Return what a HEAD request says of the first of the files that is there, or None."""
    with contextlib.suppress(*NETWORK_ERRORS, ValueError, ImportError):  # the last two: a proxy's address that is none
        if not cfg.hf_hub_id:
            return get_hf_file_metadata(cfg.url, token=False, timeout=patience)
        for repository, revision, file in _hub_files(cfg):
            with contextlib.suppress(EntryNotFoundError):  # the next file may be there
                url = hf_hub_url(repository, file, revision=revision)
                found = get_hf_file_metadata(url, timeout=patience)
                return found if found.commit_hash else None  # a hotel's login page answers, but names no commit
    return None
