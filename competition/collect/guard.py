"""Connections to the public internet only: the far end is checked on the connected socket, before a byte is sent.

A look-up beforehand is not enough, for a name may mean something else a moment later (DNS rebinding); it is done as
well, so that a refused address does not even see an attempt to connect.
"""

import contextlib
import socket
import threading
from collections.abc import Iterator

from urllib3.connection import HTTPConnection, HTTPSConnection

from competition.collect.addresses import Refused, is_public


def not_public(host: str, number: str) -> Refused:
    """Return the refusal of a host for its address."""
    means = "" if host == number else f" ({number})"
    return Refused(f"{host}{means} is no public address", "allow_local")


class _PublicOnly:
    """Mixed into urllib3's connections; an unknown host is a ``socket.gaierror``."""

    allow_local = False

    def _new_conn(self) -> socket.socket:
        for *_, found in socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM):
            if not self.allow_local and not is_public(found[0]):
                raise not_public(self.host, found[0])
        connected = super()._new_conn()
        try:
            number = connected.getpeername()[0]
            if not self.allow_local and not is_public(number):
                raise not_public(self.host, number)
        except BaseException:
            connected.close()
            raise
        return connected


class GuardedHTTP(_PublicOnly, HTTPConnection):
    """An HTTP connection; :class:`Refused` on connecting to what is not public, unless ``allow_local``."""


class GuardedHTTPS(_PublicOnly, HTTPSConnection):
    """An HTTPS connection; :class:`Refused` as for :class:`GuardedHTTP`, before the TLS handshake."""


def cut(connected: socket.socket) -> None:
    """End a socket that another thread waits on, which then reads the end of the stream."""
    with contextlib.suppress(OSError):
        socket.socket.shutdown(connected, socket.SHUT_RDWR)  # SSLSocket's own would first tear down what is being read


@contextlib.contextmanager
def cut_off(connected: socket.socket, seconds: float) -> Iterator[None]:
    """Cut the socket if the block takes longer; the socket's own time-out begins anew at each byte."""
    timer = threading.Timer(seconds, cut, (connected,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
