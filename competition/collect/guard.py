"""Connections to the public internet only: the far end is checked on the connected socket, before a byte is sent.

A look-up beforehand is not enough, for a name may mean something else a moment later (DNS rebinding); it is done as
well, so that a refused address does not even see an attempt to connect.
"""

import contextlib
import http.client
import socket
import ssl
import threading
from collections.abc import Iterator

from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.exceptions import HTTPError, NewConnectionError
from urllib3.exceptions import TimeoutError as NoAnswer

from competition.collect.addresses import Rejected, is_public
from competition.collect.manners import Failed


class GuardedHTTP(HTTPConnection):
    """An HTTP connection; :class:`Rejected` on connecting to what is not public, unless ``allow_local``.

    An unknown host is a ``socket.gaierror``.
    """

    allow_local = False

    def _new_conn(self) -> socket.socket:
        for *_, found in socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM):
            self._check(str(found[0]))
        connected = super()._new_conn()
        try:
            self._check(connected.getpeername()[0])
        except BaseException:
            connected.close()
            raise
        return connected

    def _check(self, number: str) -> None:
        """Refuse the host for its IP address, unless that is public."""
        if not self.allow_local and not is_public(number):
            means = "" if self.host == number else f" ({number})"
            raise Rejected(f"{self.host}{means} is not a public address", "allow_local")


class GuardedHTTPS(GuardedHTTP, HTTPSConnection):
    """An HTTPS connection; :class:`Rejected` as for :class:`GuardedHTTP`, before the TLS handshake."""


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


@contextlib.contextmanager
def plain_words(host: str) -> Iterator[None]:
    """Turn every way in which a connection can break into :class:`Failed`."""
    try:
        yield
    except NewConnectionError:
        raise Failed(f"{host} cannot be reached") from None
    except (TimeoutError, NoAnswer):
        raise Failed(f"{host} does not answer in time") from None
    except socket.gaierror as error:
        raise Failed(f"{host} cannot be found", passing=error.errno == socket.EAI_AGAIN) from None
    except UnicodeError:  # a label of the name is empty or too long
        raise Rejected("the address names no host") from None
    except ssl.SSLCertVerificationError as error:
        raise Failed(f"the certificate of {host} is not valid ({error.verify_message})", passing=False) from None
    except (OSError, http.client.HTTPException, HTTPError) as error:
        raise Failed(f"the connection to {host} broke ({type(error).__name__})") from None
