"""Who the user is on Kaggle: credentials, searched for where the Kaggle command line does, in its order."""

import json
import os
import stat
from dataclasses import dataclass, field
from pathlib import Path

from competition.core.errors import UserError

ENVIRONMENT = "KAGGLE_API_ENVIRONMENT"
REMEDY = (
    "make an API token on kaggle.com/settings and put it into ~/.kaggle/access_token or KAGGLE_API_TOKEN, or "
    "keep a kaggle.json in ~/.kaggle"
)


@dataclass(frozen=True)
class Account:
    """``where`` the credentials were found, for sentences; ``username`` is empty where only Kaggle knows it.

    Either ``token`` or ``key`` is set, or neither for those of ``kaggle auth login``. ``warnings``: sentences on files
    that other users of this machine can read.
    """

    where: str
    username: str = ""
    token: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    warnings: tuple[str, ...] = ()


def find_account() -> Account:
    """Return the credentials the Kaggle command line will use. Raises UserError where there are none, or none that can
    be read, and where KAGGLE_API_ENVIRONMENT names a site that the command line and the API understand differently."""
    named = os.environ.get(ENVIRONMENT, "PROD")
    if named not in ("PROD", "LOCALHOST"):
        raise UserError(f"{ENVIRONMENT}={named} is not understood alike by all of Kaggle's tools: unset it.")
    account = _token() or _key() or _login()
    if account is None:
        raise UserError(f"There are no Kaggle credentials on this machine: {REMEDY}.")
    return account


def _token() -> Account | None:
    """An access token: KAGGLE_API_TOKEN (the token, or a file that holds it), then ~/.kaggle/access_token[.txt]."""
    given = os.environ.get("KAGGLE_API_TOKEN", "")
    if given and not os.path.exists(given):
        return Account("KAGGLE_API_TOKEN", token=given)
    folder = Path("~/.kaggle").expanduser()
    for path in [Path(given)] if given else [folder / "access_token", folder / "access_token.txt"]:
        if path.is_file() and (token := _read(path).strip()):
            return Account(str(path), token=token, warnings=_readable_by_others(path))
    return None


def _key() -> Account | None:
    """A user name with its key: KAGGLE_USERNAME and KAGGLE_KEY, which go before those of kaggle.json."""
    path = _config_folder() / "kaggle.json"
    stored: dict[str, str] = {}
    warnings: tuple[str, ...] = ()
    if path.is_file():
        try:
            stored = json.loads(_read(path) or "{}")
        except ValueError as error:
            raise UserError(f"{path} is not JSON ({error}): {REMEDY}.") from error
        if not isinstance(stored, dict):
            raise UserError(f"{path} holds no username and key: {REMEDY}.")
        warnings = _readable_by_others(path)
    username, key = (os.environ.get(f"KAGGLE_{name.upper()}") or stored.get(name, "") for name in ("username", "key"))
    if username and key:
        if "KAGGLE_USERNAME" in os.environ and "KAGGLE_KEY" in os.environ:
            return Account("KAGGLE_USERNAME and KAGGLE_KEY", username, key=key)
        return Account(str(path), username, key=key, warnings=warnings)
    if username or key:
        lacking = "key" if username else "username"
        raise UserError(f"The Kaggle credentials in {path} and the environment lack the {lacking}: {REMEDY}.")
    return None


def _login() -> Account | None:
    """What ``kaggle auth login`` left behind."""
    path = Path("~/.kaggle/credentials.json").expanduser()
    if not path.is_file():
        return None
    try:
        stored = json.loads(_read(path))
        username, refresh = stored.get("username", ""), stored.get("refresh_token", "")
    except (ValueError, AttributeError) as error:
        raise UserError(f"{path} is not JSON ({error}): log in again with 'kaggle auth login'.") from error
    if not refresh:  # which the command line takes for no login at all
        raise UserError(f"{path} holds no refresh_token: log in again with 'kaggle auth login'.")
    return Account(str(path), username, warnings=_readable_by_others(path))


def _config_folder() -> Path:
    if given := os.environ.get("KAGGLE_CONFIG_DIR"):
        return Path(given)
    usual = Path("~/.kaggle").expanduser()
    return usual if usual.exists() else Path(os.environ.get("XDG_CONFIG_HOME") or "~/.config").expanduser() / "kaggle"


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"The Kaggle credentials in {path} cannot be read ({error}): {REMEDY}.") from error


def _readable_by_others(path: Path) -> tuple[str, ...]:
    if os.name == "nt" or not path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        return ()
    return (f"other users of this machine can read {path}: chmod 600 {path}",)
