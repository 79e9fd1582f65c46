"""The server of a page: the socket that it listens on, and what answers there."""

import contextlib
import ctypes
import errno
import ipaddress
import os
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from competition.core.errors import UserError

if TYPE_CHECKING:
    import uvicorn

    from competition.app.service import Service

M_MMAP_THRESHOLD, LARGE_BLOCK = -3, 2**17  # glibc's number for it, and its default in bytes
PORT, NEXT = 7860, 50  # the usual port, and how many after it are tried where it is taken
PASSWORD = "TELLTALE_PASSWORD"  # an environment variable: words of a command line can be read by everyone on a machine


def make_server(
    service: "Service", uploads: Path, password: str = "", framed_by: str = "", proxies: str | None = None
) -> "uvicorn.Server":
    """Return the server of the run's page; its ``run(sockets=[listener])`` serves until a signal.

    For ``uploads``, ``password`` and ``framed_by`` see make_site. ``proxies``: the addresses and networks, divided by
    commas, whose header X-Forwarded-For is believed; None = what FORWARDED_ALLOW_IPS says, else this machine alone. Of
    several addresses there the last one counts that is not a proxy's: what stands before it anyone can write.
    """
    os.environ["GRADIO_TEMP_DIR"] = str(uploads)  # before Gradio is imported
    _give_memory_back()
    import uvicorn

    from competition.app.page import make_site

    site = make_site(service, uploads, password, framed_by)
    # A browser keeps a connection open for as long as the page is: do not wait for it to end.
    config = uvicorn.Config(site, log_level="critical", timeout_graceful_shutdown=1, forwarded_allow_ips=proxies)
    return uvicorn.Server(config)


def _give_memory_back() -> None:
    """Have glibc return large blocks as soon as they are free.

    It would raise the size from which it does so to that of the pictures, and keep what they leave: after 2,000 images
    the page held 537 MiB and rose, with this 288 to 315 MiB (283 after 200).
    """
    with contextlib.suppress(OSError, AttributeError):  # another system, or another C library
        ctypes.CDLL("libc.so.6").mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK)


def listen(host: str, port: int | None) -> socket.socket:
    """Return a socket that listens on ``host``: on ``port`` if given, else on the first free one from ``PORT`` on.

    Raises UserError for a host that is none of this machine's, and a port that is taken or not permitted.
    """
    for number in [port] if port else range(PORT, PORT + NEXT):
        try:
            family, kind, protocol, _, place = socket.getaddrinfo(host, number, type=socket.SOCK_STREAM)[0]
            listener = socket.socket(family, kind, protocol)
        except (OSError, UnicodeError) as error:  # the second of a name that no address can have
            reason = getattr(error, "strerror", None) or "its name is too long, or empty between two dots"
            raise UserError(
                f"host={host:.80} is not an address ({reason}): leave host= out, or give one of this machine's."
            ) from None
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(place)
            listener.listen()
            return listener
        except OSError as error:
            listener.close()
            refused = error
    if refused.errno == errno.EADDRNOTAVAIL:
        raise UserError(f"host={host} is not an address of this machine: leave host= out, or give one that is.")
    if isinstance(refused, PermissionError):
        raise UserError(f"port={port} needs the administrator's rights: give one from 1024 on, or leave port= out.")
    if not port:
        raise UserError(
            f"No port of {host} from {PORT} to {PORT + NEXT - 1} is free ({refused.strerror}): give another with port=."
        )
    raise UserError(f"port={port} of {host} cannot be used ({refused.strerror}): give another, or leave port= out.")


def announce(listener: socket.socket, password: str) -> None:
    """Print where the page is, and who can send images to it."""
    print(f"The page is at {address_of(listener)} (Ctrl-C ends it).", flush=True)
    if password:
        print("It asks for the password; any user name will do.", flush=True)
    elif not serves_alone(listener):
        host = listener.getsockname()[0]
        print(
            f"Anyone on the network can send images to this page, for it listens at {host} and has no password: "
            f"{PASSWORD}=WORD in the environment keeps others out.",
            file=sys.stderr,
            flush=True,
        )


def serves_alone(listener: socket.socket) -> bool:
    """Whether this machine alone reaches the page."""
    return ipaddress.ip_address(listener.getsockname()[0]).is_loopback


def address_of(listener: socket.socket) -> str:
    """Return the address at which a browser on this machine finds the page."""
    host, port = listener.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = "::1" if listener.family == socket.AF_INET6 else "127.0.0.1"
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
