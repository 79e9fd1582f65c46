"""Web addresses: read from lists, brought into one spelling, and rejected where they must not be requested.

Nothing here touches the network. :func:`parsed` is the only reader of an address: what is checked is what is requested.
"""

import ipaddress
import re
from collections.abc import Iterable
from itertools import zip_longest
from pathlib import Path

from urllib3.exceptions import LocationParseError
from urllib3.util import Url, parse_url

from competition.core.errors import UserError

MAX_ADDRESS = 8000  # characters; servers refuse longer ones, and a CSV is no place for them
_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_UNICAST = ipaddress.ip_network("2000::/3")  # the only IPv6 space handed out to the public


class Rejected(Exception):
    """This address will not be collected, for the plain-words ``reason``; ``setting`` names the setting that refuses
    it, where another value of it would not."""

    def __init__(self, reason: str, setting: str = ""):
        super().__init__(reason)
        self.reason, self.setting = reason, setting


class Failed(Exception):
    """Nothing came, for the plain-words ``reason``, but another run may have better luck."""

    def __init__(self, reason: str):
        super().__init__(reason)
        self.reason = reason


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


def is_public(number: str) -> bool:
    """Tell whether an IP address in digits belongs to the public internet.

    Loopback, private, link-local, shared (CGNAT), multicast and reserved ones do not, nor do IPv6 addresses that stand
    for such an IPv4 address.
    """
    try:
        address = ipaddress.ip_address(number)
    except ValueError:
        return False
    if address.version == 6:
        inner = address.ipv4_mapped or address.sixtofour
        if inner is None and address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is None:
            return address in _UNICAST and address.is_global
        address = inner
    return address.is_global and not (address.is_multicast or address.is_reserved)


def same(address: str) -> str:
    """Return the key by which two spellings of one address are known as one: without its ``#fragment``."""
    return address.partition("#")[0]


def taking_turns(addresses: Iterable[str]) -> list[str]:
    """Return the addresses with their hosts taking turns, so that waiting for one host seldom holds up the others."""
    queues: dict[str, list[str]] = {}
    for address in addresses:
        host = re.sub(r"^\w+://", "", address).partition("/")[0].lower()
        queues.setdefault(host, []).append(address)
    return [address for turn in zip_longest(*queues.values()) for address in turn if address is not None]


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
