"""Serve the web page of a trained run until Ctrl-C, to this machine alone unless host= says otherwise.

./run.sh app name=NAME                   the same as a web page on this machine

Images are given in the browser; they live in a private folder that goes with the server.
"""

import ipaddress
import os
import socket
import sys
import tempfile
import webbrowser
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from competition.core.errors import UserError
from competition.core.options import DEVICES, bounded, one_of, parse
from competition.core.packages import check_packages
from competition.data.images.credentials import read_trust

PORT, NEXT = 7860, 50  # the usual port, and how many after it are tried where it is taken
PACKAGES = ("gradio", "captum")


@dataclass(frozen=True)
class AppOptions:
    """Which run is served, and where."""

    name: str = "demo"  # the run's name
    port: int | None = bounded(None, 1, 65535)  # default: the first free one from 7860 on
    host: str = "127.0.0.1"  # the address to listen on; with 0.0.0.0 anyone on the network can send images
    device: str = one_of(*DEVICES)  # auto: the GPU, where there is one
    max_mb: float = bounded(20.0, 0.1, 1000)  # 10^6 bytes that one image may have
    trust: str = ""  # PEM file of root certificates: Content Credentials that lead to one are trusted
    open: bool = True  # open the page in the browser


def main(words: Sequence[str]) -> None:
    """Serve the page until Ctrl-C."""
    if named := [word for word in words if "=" not in word]:
        raise UserError(f"'{named[0]}' is not a setting of app, which takes its images in the browser: leave it out.")
    options = parse(words, AppOptions)
    check_packages("The web page", PACKAGES)
    trust = read_trust(options.trust)
    listener = listen(options.host, options.port)
    try:
        with listener, tempfile.TemporaryDirectory(prefix="telltale-", ignore_cleanup_errors=True) as folder:
            _serve(options, listener, Path(folder), trust)
    except KeyboardInterrupt:
        print()
    print("Stopped; nothing was kept.")


def _serve(options: AppOptions, listener: socket.socket, folder: Path, trust: str) -> None:
    # Here, for torch takes seconds to import, and mistakes in the options are reported before that.
    from competition.inference.run_record import without_outside
    from competition.inference.torch_member import open_classifier

    classifier = open_classifier(options.name, options.device)
    if note := without_outside(classifier.record):
        print(note, file=sys.stderr)
    print(f"Reading the models of '{options.name}' ...", flush=True)
    for member in classifier.members.values():
        _ = member.models  # now, so that a missing one is reported here and the first answer comes at once
    os.environ["GRADIO_TEMP_DIR"] = str(folder)  # before Gradio is imported
    import uvicorn

    from competition.app.page import make_site

    site = make_site(classifier, folder, options.max_mb, trust)
    address = address_of(listener)
    print(f"The page is at {address} (Ctrl-C ends it).", flush=True)
    if not ipaddress.ip_address(listener.getsockname()[0]).is_loopback:
        print(
            f"Anyone on the network can send images to this page, because host={options.host} was asked for.",
            file=sys.stderr,
            flush=True,
        )
    if options.open and _has_screen():
        webbrowser.open(address)  # the socket listens already: the browser waits until it is answered
    # A browser keeps a connection open for as long as the page is: do not wait for it to end.
    config = uvicorn.Config(site, log_level="critical", timeout_graceful_shutdown=1)
    uvicorn.Server(config).run(sockets=[listener])


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
    if isinstance(refused, PermissionError):
        raise UserError(f"port={port} needs the administrator's rights: give one from 1024 on, or leave port= out.")
    if not port:
        raise UserError(
            f"No port of {host} from {PORT} to {PORT + NEXT - 1} is free ({refused.strerror}): give another with port=."
        )
    raise UserError(f"port={port} of {host} cannot be used ({refused.strerror}): give another, or leave port= out.")


def address_of(listener: socket.socket) -> str:
    """Return the address at which a browser on this machine finds the page."""
    host, port = listener.getsockname()[:2]
    if ipaddress.ip_address(host).is_unspecified:
        host = "::1" if listener.family == socket.AF_INET6 else "127.0.0.1"
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


def _has_screen() -> bool:
    """Whether a browser has somewhere to show itself: without a screen, Python would start one in the terminal."""
    return sys.platform != "linux" or bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
