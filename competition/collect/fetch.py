"""One polite, guarded request after another: never to a private address, never more bytes than allowed, never hasty.

Every hop of a redirect passes the same gate: the address is well-formed, robots.txt allows it, the host's turn has
come, and the socket's other end is public before a byte is sent. Proxies of the environment are not used: behind one
it would be the proxy, not this gate, that decides whom to connect to.
"""

import contextlib
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import urljoin

import certifi
from urllib3.connection import HTTPConnection
from urllib3.response import BaseHTTPResponse
from urllib3.util import Url

from competition import __version__
from competition.collect.addresses import Rejected, parsed
from competition.collect.guard import GuardedHTTP, GuardedHTTPS, cut, cut_off, plain_words
from competition.collect.manners import Denied, Failed, Manners, retry_after

AGENT = f"Telltale/{__version__} (+image collection for research)"
# "*/*" rather than a list of image types: many servers answer the latter with a copy that they made for the asker.
HEADERS = {"User-Agent": AGENT, "Accept": "*/*", "Accept-Encoding": "identity"}
MAX_REDIRECTS = 5
GREETING = 10.0  # seconds to connect
PATIENCE = 30.0  # seconds without a byte
DEADLINE = 300.0  # seconds for one answer in all: a server that drips must not hold a connection for ever
CHUNK = 1 << 16
_MOVED = (301, 302, 303, 307, 308)
_PASSING = (408, 425, 429, 500, 502, 503, 504)


@dataclass(frozen=True)
class Fetched:
    """A whole answer: its ``body`` as served, the ``address`` it came from after redirects, its ``content_type``."""

    body: bytes
    address: str
    content_type: str


class Fetcher:
    """Fetches addresses; may be used by several threads at once.

    allow_local: whether addresses that are not public may be requested. delay: seconds between two requests to one
    host. retries: how often a passing failure is tried again, after ``delay``, twice that, and so on. robots: whether
    robots.txt is obeyed.
    """

    def __init__(self, allow_local: bool, delay: float, retries: int, robots: bool):
        self._allow_local, self._delay, self._retries = allow_local, delay, retries
        self._manners = Manners(self._robots_text if robots else None, AGENT, delay)
        self._trust = ssl.create_default_context()  # the system's certificates, and Mozilla's where there are none
        self._trust.load_verify_locations(certifi.where())
        self._live: set[socket.socket] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> "Fetcher":
        return self

    def __exit__(self, *error: object) -> None:
        """Make every request in flight end soon, as :class:`Failed`."""
        self._manners.stop()
        with self._lock:
            for connected in self._live:
                cut(connected)

    def get(self, address: str, limit: int, robots: bool = False) -> Fetched:
        """Return what ``address``, or what it redirects to, serves; a robots.txt (``robots``) may be cut short.

        Raises :class:`Rejected` for what will not be fetched, such as more than ``limit`` bytes, and :class:`Failed`
        for what another run may get.
        """
        for _ in range(MAX_REDIRECTS + 1):
            url = parsed(address)
            if not robots:
                self._manners.permit(url)
            answer = self._repeat(url, limit, robots)
            if isinstance(answer, Fetched):
                return answer
            try:
                address = urljoin(url.url, answer)
            except ValueError:
                raise Rejected("it redirects to something that is not an address") from None
        raise Rejected(f"it redirects more than {MAX_REDIRECTS} times")

    def _robots_text(self, address: str, limit: int) -> str:
        """Return the whole lines within the first ``limit`` bytes of a robots.txt, nothing where there is none."""
        try:
            body = self.get(address, limit, robots=True).body
        except (Rejected, Denied):
            return ""
        whole = body if len(body) <= limit else body[: body.rfind(b"\n", 0, limit) + 1]
        return whole.decode("utf-8", "replace")

    def _repeat(self, url: Url, limit: int, cut_short: bool) -> Fetched | str:
        """Repeat the request where that may help; return the answer, or where it points to."""
        attempt, host = 0, url.netloc or ""
        while True:
            self._manners.take_turn(host)
            try:
                answer = self._request(url, limit, cut_short)
            except (Rejected, Denied):
                self._manners.note(host, True)
                raise
            except Failed as failure:
                if not failure.passing or attempt == self._retries:
                    self._manners.note(host, False)
                    raise
                self._manners.rest(self._delay * 2**attempt)
                attempt += 1
            else:
                self._manners.note(host, True)
                return answer

    def _request(self, url: Url, limit: int, cut_short: bool) -> Fetched | str:
        """Send one request; return the answer, or where it points to."""
        deadline = time.monotonic() + DEADLINE
        with plain_words(url.host or ""), contextlib.closing(self._connection(url)) as connection:
            connection.connect()
            connection.timeout = PATIENCE  # which request() gives to the socket
            with self._in_flight(connection.sock):
                with cut_off(connection.sock, DEADLINE):
                    connection.request("GET", url.request_uri, headers=HEADERS, preload_content=False)
                    response = connection.getresponse()
                with contextlib.closing(response):
                    place = response.headers.get("Location")
                    if response.status in _MOVED and place:
                        return place.encode("latin-1", "replace").decode("utf-8", "replace")
                    self._check_status(url, response)
                    body = self._read(response, limit, deadline, cut_short)
                    return Fetched(body, url.url, response.headers.get("Content-Type", ""))

    @contextlib.contextmanager
    def _in_flight(self, connected: socket.socket) -> Iterator[None]:
        """Have the socket shut when the fetcher is left."""
        with self._lock:
            self._live.add(connected)
        try:
            self._manners.go_on()
            yield
        finally:
            with self._lock:
                self._live.discard(connected)

    def _check_status(self, url: Url, response: BaseHTTPResponse) -> None:
        reason = f"the server says {response.status} {(response.reason or '')[:60]}".strip()
        if response.status in _PASSING:
            self._manners.hold(url.netloc or "", retry_after(response.headers.get("Retry-After", "")))
            raise Failed(reason)
        if response.status in (401, 403):
            raise Denied(reason, passing=False)
        if response.status not in (200, 203):
            raise Rejected(reason)

    def _read(self, response: BaseHTTPResponse, limit: int, deadline: float, cut_short: bool) -> bytes:
        """Return the body; of a longer one at most a chunk more than ``limit`` bytes is read, kept if ``cut_short``."""
        stated = response.headers.get("Content-Length", "")
        if not cut_short and stated.isdecimal() and int(stated[:18]) > limit:
            raise Rejected(f"its {int(stated[:18]):,} bytes are too many", "max_mb")
        parts: list[bytes] = []
        held = 0
        while part := response.read1(CHUNK, decode_content=True):
            parts.append(part)
            held += len(part)
            if held > limit:
                if cut_short:
                    return b"".join(parts)
                raise Rejected(f"it is longer than {limit:,} bytes", "max_mb")
            if time.monotonic() > deadline:
                raise Failed(f"it did not come within {DEADLINE:g} seconds", passing=False)
            self._manners.go_on()
        self._manners.go_on()  # a socket that was cut looks like the end of the body
        return b"".join(parts)

    def _connection(self, url: Url) -> HTTPConnection:
        host = (url.host or "").strip("[]")
        connection: GuardedHTTP
        if url.scheme == "https":
            connection = GuardedHTTPS(host, url.port or 443, timeout=GREETING, ssl_context=self._trust)
        else:
            connection = GuardedHTTP(host, url.port or 80, timeout=GREETING)
        connection.allow_local = self._allow_local
        return connection
