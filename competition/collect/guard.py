"""Connections to the public internet only, decided for the very number that a socket is about to connect to."""

import asyncio
import socket
from typing import Any

from competition.collect.addresses import is_public


class NotPublic(OSError):
    """The IP address ``number`` is not on the public internet."""

    def __init__(self, number: str):
        super().__init__("not a public address")  # the same for all of a host's, or asyncio makes another error of them
        self.number = number


class GuardedLoop(asyncio.SelectorEventLoop):
    """An event loop whose sockets connect to the public internet alone; :class:`NotPublic` before any other attempt.

    Names are looked up before this, redirects followed after it: neither a redirect nor a name that comes to mean
    something else a moment later (DNS rebinding) can lead round it, whatever library asks for the connection.
    """

    async def sock_connect(self, sock: socket.socket, address: Any) -> None:
        """Connect as asyncio does; ``address`` is a pair of number and port, never a name."""
        if not is_public(address[0]):
            raise NotPublic(str(address[0]))
        await super().sock_connect(sock, address)
