"""What a polite visitor keeps to: a host's robots.txt, a pause between two requests, and the wait that it asks for."""

import re
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.robotparser import RobotFileParser

from urllib3.util import Url

from competition.collect.addresses import Refused

LONGEST_WAIT = 120.0  # seconds; a host that asks for more is left alone until another run
LONGEST_CRAWL_DELAY = 30.0  # seconds
ROBOTS_BYTES = 512_000  # RFC 9309, section 2.5, asks for 500 KiB or more


class Failed(Exception):
    """Nothing came, for the plain-words ``reason``, but another run may have better luck.

    ``passing``: whether trying again in a moment makes sense.
    """

    def __init__(self, reason: str, passing: bool = True):
        super().__init__(reason)
        self.reason, self.passing = reason, passing


class Manners:
    """Shared by the threads of a fetcher.

    robots: reads the text of ``(address, limit in bytes)``, empty where there is none; ``None`` to go without.
    delay: the least seconds between the starts of two requests to one host.
    """

    def __init__(self, robots: Callable[[str, int], str] | None, agent: str, delay: float):
        self._robots, self._agent, self._delay = robots, agent, delay
        self._rules: dict[str, RobotFileParser] = {}
        self._reading: dict[str, threading.Lock] = defaultdict(threading.Lock)
        self._lock = threading.Lock()
        self._next: dict[str, float] = {}
        self._held: dict[str, float] = {}
        self._pause: dict[str, float] = {}
        self._stopped = threading.Event()

    def permit(self, url: Url) -> None:
        """Raise :class:`Refused` where the host's robots.txt, read once, forbids the address.

        The standard library's parser reads it, which knows prefixes but no wildcards inside a path.
        """
        if self._robots is None:
            return
        origin = f"{url.scheme}://{url.netloc}"
        with self._lock:
            reading = self._reading[origin]
        with reading:  # the other threads wait for the one that asks
            if origin not in self._rules:
                self._rules[origin] = rules = _rules(self._robots(f"{origin}/robots.txt", ROBOTS_BYTES))
                wished = float(rules.crawl_delay(self._agent) or 0)
                self._pause[url.netloc] = max(self._delay, min(wished, LONGEST_CRAWL_DELAY))
        if not self._rules[origin].can_fetch(self._agent, url.url):
            raise Refused(f"robots.txt of {url.netloc} forbids it", "robots")

    def take_turn(self, host: str) -> None:
        """Wait until ``host`` may be asked; :class:`Failed` at once if it wants to be left alone for long."""
        while True:
            with self._lock:
                now = time.monotonic()
                held = self._held.get(host, 0.0)
                if held - now > LONGEST_WAIT:
                    raise Failed(f"{host} asks for {held - now:,.0f} seconds without requests", passing=False)
                turn = max(now, held, self._next.get(host, 0.0))
                self._next[host] = turn + self._pause.get(host, self._delay)
            self.rest(turn - now)
            if self._held.get(host, 0.0) <= time.monotonic():  # nobody was asked to wait meanwhile
                return

    def hold(self, host: str, seconds: float) -> None:
        """Ask nothing of ``host`` for so long."""
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
    except ValueError:  # digits that are no number to int()
        rules.allow_all = True
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
