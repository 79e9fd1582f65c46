"""What a page takes of its visitors: images of a size, so many a minute of each, one judged at a time, few waiting."""

import ipaddress
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from competition.app.answer import MAX_MB

JUDGE = "/judge"  # where programs ask
MAX_FILES = 12  # of one drop
MAX_WAITING = 8  # drops, and as many requests of programs
PER_MINUTE = 30  # images of one visitor, where others are served; eight at once ask for 4 a second: README.md
MINUTE = 60.0  # seconds
IPV6_NETWORK = 64  # bits: what one customer is given, who may change the rest of an address at will


@dataclass(frozen=True)
class Limits:
    """``max_mb``: 2^20 bytes that an image may have; ``per_minute``: images a minute of one visitor, 0 = any number."""

    max_mb: float = MAX_MB
    per_minute: int = 0


class Busy(Exception):
    """As many requests as may wait are waiting."""


class Allowance:
    """So many turns a minute for each visitor; 0 = any number. A visitor is forgotten a minute after the last turn."""

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic):
        self.most, self.clock = most, clock
        self.turns: dict[str, deque[float]] = {}
        self.lock, self.swept = threading.Lock(), clock()

    def take(self, address: str | None) -> float:
        """Take a turn for the visitor at this address and return 0, or the seconds until there is one again."""
        with self.lock:
            wait = self._wait(address)
            if self.most and not wait:
                self.turns.setdefault(visitor(address), deque()).append(self.clock())
            return wait

    def blocked(self, address: str | None) -> bool:
        """Whether the visitor at this address has no turn left; none is taken."""
        with self.lock:
            return self._wait(address) > 0

    def _wait(self, address: str | None) -> float:
        now = self.clock()
        if now - self.swept >= MINUTE:
            self.turns = {who: turns for who, turns in self.turns.items() if turns and now - turns[-1] < MINUTE}
            self.swept = now
        turns = self.turns.get(visitor(address), deque())
        while turns and now - turns[0] >= MINUTE:
            turns.popleft()
        return turns[0] + MINUTE - now if self.most and len(turns) >= self.most else 0.0


class Turns:
    """One at a time, and at most ``MAX_WAITING`` behind."""

    def __init__(self) -> None:
        self.one, self.room = threading.Lock(), threading.BoundedSemaphore(MAX_WAITING + 1)

    @contextmanager
    def next(self, patient: bool) -> Iterator[None]:
        """Wait for a turn; who is not ``patient`` raises Busy where too many wait. The patient wait in a queue of their
        own before."""
        if not patient and not self.room.acquire(blocking=False):
            raise Busy
        try:
            with self.one:
                yield
        finally:
            if not patient:
                self.room.release()


def visitor(address: str | None) -> str:
    """Return what a visitor is known by: an IPv4 address, the network of an IPv6 address, any other text as it is."""
    try:
        ip = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return address or ""
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    if ip.ipv4_mapped:
        return str(ip.ipv4_mapped)
    return str(ipaddress.ip_network((ip, IPV6_NETWORK), strict=False))
