"""What a polite crawler keeps to: a host's robots.txt, a pause between two requests, and the wait that it names."""

import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.robotparser import RobotFileParser

from urllib3.util import Url

from competition.collect.addresses import Rejected

LONGEST_WAIT = 120.0  # seconds; a host that asks for more is left alone until another run
LONGEST_CRAWL_DELAY = 30.0  # seconds
ENOUGH = 5  # addresses in a row of which a host gave nothing: it is left alone until another run
SILENT = "its host does not answer now"
ROBOTS_BYTES = 512_000  # RFC 9309, section 2.5, asks for 500 KiB; what comes after them is not read


class Failed(Exception):
    """Nothing came, for the ``reason``, but another run may have better luck.

    ``passing``: whether trying again in a moment makes sense.
    """

    def __init__(self, reason: str, passing: bool = True):
        super().__init__(reason)
        self.reason, self.passing = reason, passing


class Denied(Failed):
    """The server answers that it will not give this to us now: no use to insist, but another run may be let in."""


class Manners:
    """Shared by the threads of a fetcher.

    robots: reads the text of ``(address, limit in bytes)``, empty where there is none, :class:`Failed` where
    that cannot be known; ``None`` to go without.
    delay: the least seconds between the starts of two requests to one host.
    """

    def __init__(self, robots: Callable[[str, int], str] | None, agent: str, delay: float):
        self._robots, self._agent, self._delay = robots, agent, delay
        self._rules: dict[str, RobotFileParser | str] = {}  # a text says why there are none
        self._reading: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._lock = threading.Lock()
        self._next: dict[str, float] = {}
        self._held: dict[str, float] = {}
        self._pause: dict[str, float] = {}
        self._missed: dict[str, int] = {}  # addresses in a row
        self._stopped = threading.Event()

    def permit(self, url: Url) -> None:
        """Raise :class:`Rejected` where the host's robots.txt, read once, forbids the address.

        One that the host fails to give forbids all, which is :class:`Failed` (RFC 9309, section 2.3.1.4).
        The standard library's parser reads it, which knows prefixes but no wildcards inside a path.
        """
        if self._robots is None:
            return
        origin = f"{url.scheme}://{url.netloc}"
        with self._lock:
            reading = self._reading[origin]
        with reading:  # the other threads wait for the one that reads
            if origin not in self._rules:
                self._rules[origin] = self._read(self._robots, url.netloc or "", f"{origin}/robots.txt")
        rules = self._rules[origin]
        if isinstance(rules, str):
            raise Failed(rules, passing=False)
        if not rules.can_fetch(self._agent, url.url):
            raise Rejected(f"robots.txt of {url.netloc} forbids it", "robots")

    def _read(self, robots: Callable[[str, int], str], host: str, address: str) -> RobotFileParser | str:
        try:
            rules = _rules(robots(address, ROBOTS_BYTES))
        except Failed as failure:
            return f"robots.txt of {host} cannot be read ({failure.reason})"
        wished = float(rules.crawl_delay(self._agent) or 0)
        self._pause[host] = max(self._delay, min(wished, LONGEST_CRAWL_DELAY))
        return rules

    def take_turn(self, host: str) -> None:
        """Wait until ``host`` may get a request; :class:`Failed` at once if it names a long wait or is silent."""
        while True:
            with self._lock:
                if self._missed.get(host, 0) >= ENOUGH:
                    raise Failed(SILENT, passing=False)
                now = time.monotonic()
                held = self._held.get(host, 0.0)
                if held - now > LONGEST_WAIT:
                    raise Failed(f"{host} asks for {held - now:,.0f} seconds without requests", passing=False)
                turn = max(now, held, self._next.get(host, 0.0))
                self._next[host] = turn + self._pause.get(host, self._delay)
            self.rest(turn - now)
            if self._held.get(host, 0.0) <= time.monotonic():  # it named no other wait meanwhile
                return

    def note(self, host: str, answer: bool) -> None:
        """Take note of whether ``host`` gave an answer, of whatever kind, for one address."""
        with self._lock:
            self._missed[host] = 0 if answer else self._missed.get(host, 0) + 1

    def hold(self, host: str, seconds: float) -> None:
        """Send ``host`` no request for so long."""
        with self._lock:
            self._held[host] = max(self._held.get(host, 0.0), time.monotonic() + seconds)

    def rest(self, seconds: float) -> None:
        """Sleep, unless all are to stop, which is :class:`Failed`."""
        self._stopped.wait(max(0.0, seconds))
        self.go_on()

    def go_on(self) -> None:
        """Raise :class:`Failed` once all are to stop."""
        if self._stopped.is_set():
            raise Failed("the run was interrupted", passing=False)

    def stop(self) -> None:
        """End every wait and every download."""
        self._stopped.set()


def _rules(text: str) -> RobotFileParser:
    rules = RobotFileParser()
    try:
        rules.parse(text.splitlines())
    except ValueError:  # digits that are no number to int(): then nothing is forbidden
        rules = RobotFileParser()
        rules.parse([])
    return rules


def retry_after(text: str) -> float:
    """Return the seconds that a Retry-After header asks for, given as a number or as a date; 0 if it is neither."""
    if re.fullmatch(r"\d{1,9}", text.strip()):
        return float(text)
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, OverflowError):
        return 0.0
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return max(0.0, (moment - datetime.now(UTC)).total_seconds())
