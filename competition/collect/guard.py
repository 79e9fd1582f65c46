"""Connections to the public internet only, decided for the very number that a socket is about to connect to."""

import asyncio
import ipaddress
import socket
from typing import Any

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_UNICAST = ipaddress.ip_network("2000::/3")  # the only IPv6 space handed out to the public


class NotPublic(RuntimeError):
    """The IP address ``number`` is not on the public internet: no OSError, after which libraries would try again."""

    def __init__(self, number: str):
        super().__init__("not a public address")  # the same for all of a host's, or aiohttp makes another error of them
        self.number = number


class GuardedLoop(asyncio.SelectorEventLoop):
    """An event loop whose sockets connect to the public internet alone; :class:`NotPublic` before any attempt to.

    Names are looked up before this, redirects followed after it: neither a redirect nor a name that comes to mean
    something else a moment later (DNS rebinding) leads round it, whatever library asks for the connection.
    """

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        """Connect as asyncio does; ``address`` begins with the number, never with a name."""
        if not is_public(address[0]):
            raise NotPublic(str(address[0]))
        await super().sock_connect(sock, address)


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
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is None:
            return address in _UNICAST and address.is_global
        address = inner
    return address.is_global and not (address.is_multicast or address.is_reserved)
