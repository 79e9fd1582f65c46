"""Web addresses as they are requested: what is checked here is what is asked for. Nothing here touches the network."""

import re
from pathlib import Path

from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

from competition.core.errors import UserError

MAX_ADDRESS = 8000  # characters; servers refuse longer ones, and a CSV is no place for them


class Rejected(Exception):
    """An address will not be collected, for a reason in plain words; another value of ``setting`` might change that."""

    def __init__(self, reason: str, setting: str = ""):
        super().__init__(reason)
        self.setting = setting


class Failed(Exception):
    """Nothing came, for a reason in plain words, but another run may have better luck."""


def parsed(address: str) -> Url:
    """Split an address as it will be requested: lower-case ASCII host, percent-encoded path, no fragment.

    Raises :class:`Rejected` unless it is http or https, names a host and carries no user name or password.
    """
    if len(address) > MAX_ADDRESS:
        raise Rejected(f"the address has {len(address):,} characters")
    try:
        url = parse_url(address)
    except (LocationParseError, UnicodeError):
        raise Rejected("it is not an address") from None
    if url.scheme not in ("http", "https"):
        raise Rejected("it is not an http or https address")
    if url.auth is not None:
        raise Rejected("the address holds a user name or password")
    if not re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?|\[[0-9A-Fa-f:.]+\]", url.host or ""):
        raise Rejected("the address names no host")
    return url._replace(path=url.path or "/", fragment=None)


def host_of(address: str) -> str:
    """Return the host of an address, with its port if it states one; :class:`Rejected` as for :func:`parsed`."""
    return parsed(address).netloc or ""


def read_list(path: str) -> list[str]:
    """Return the addresses in a text file, one a line; ``#`` comments and blank lines are skipped.

    Raises ``UserError`` if the file cannot be read or names none.
    """
    try:
        text = Path(path).read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"urls={path} cannot be read ({error.strerror}): name a file of addresses.") from None
    except UnicodeDecodeError as error:
        raise UserError(f"urls={path} is not UTF-8 text (byte {error.start}): save it as a text file.") from None
    # A '#' inside an address begins its fragment; a comment begins a line or follows a space.
    lines = [re.split(r"(?:^|\s)#", line, maxsplit=1)[0].strip() for line in text.splitlines()]
    if not any(lines):
        raise UserError(f"urls={path} holds no address: write one a line.")
    return [line for line in lines if line]
