"""Scrapy as the one who asks: robots.txt, pauses, repeats, redirects and limits are its own.

It runs on asyncio alone here, where :mod:`collect.guard` decides whom a socket may connect to. Proxies of the
environment are not used: behind one it would be the proxy that decides.
"""

import asyncio
import logging
import os
import re
import ssl
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar
from urllib.parse import urlsplit

import certifi
from scrapy import Request, Spider, exceptions, signals
from scrapy.crawler import Crawler
from scrapy.downloadermiddlewares.robotstxt import RobotsTxtMiddleware
from scrapy.http import Response
from scrapy.robotstxt import RobotParser
from scrapy.utils.response import response_status_message
from w3lib.url import safe_url_string

from competition import __version__
from competition.collect.guard import GuardedLoop, NotPublic
from competition.collect.options import CollectOptions
from competition.core.options import ADDRESS

T = TypeVar("T")
AGENT = f"Telltale/{__version__} (+image collection for research)"
PATIENCE = 60.0  # seconds for one answer, and one more for each 10^6 bytes that it may have
MAX_WAIT = 60.0  # seconds that a host may ask for, between two requests or before the next
FOR_GOOD = (exceptions.IgnoreRequest, exceptions.NotSupported, exceptions.UnsupportedURLSchemeError, ValueError)
THIS_TIME = (
    *(exceptions.CannotResolveHostError, exceptions.DownloadConnectionRefusedError, exceptions.DownloadTimeoutError),
    *(exceptions.DownloadFailedError, exceptions.ResponseDataLossError, OSError),
)
MAY_CHANGE = (401, 403, 408, 425, 429)  # statuses below 500 that may be others tomorrow


class NoAnswer(Exception):
    """An address gives nothing: for good, which reads ``refused: REASON``, or this time, ``failed: REASON``.

    setting: the one of whose value this comes, if of one's.
    """

    def __init__(self, status: str, setting: str = ""):
        super().__init__(status)
        self.setting = setting


def crawl(options: CollectOptions, work: Callable[["Collector"], Awaitable[T]]) -> T:
    """Return what ``work`` returns, or raise what it raises, given a spider to :meth:`Collector.fetch` with."""
    for name in ("scrapy", "asyncio"):  # what goes wrong is raised, or becomes a row
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
    if not ssl.get_default_verify_paths().cafile:  # Mozilla's certificates beside those that the system may have
        os.environ.setdefault("SSL_CERT_FILE", certifi.where())
    settings = {
        "TWISTED_REACTOR_ENABLED": False,
        "HTTPPROXY_ENABLED": False,
        "COOKIES_ENABLED": False,
        "METAREFRESH_ENABLED": False,
        "EXTENSIONS_BASE": {},
        "DEFAULT_REQUEST_HEADERS": {"Accept": "*/*", "Accept-Encoding": "identity"},  # for files as they are stored
        "USER_AGENT": AGENT,
        "ROBOTSTXT_USER_AGENT": "Telltale",
        "ROBOTSTXT_OBEY": options.robots,
        "DOWNLOADER_MIDDLEWARES": {RobotsTxtMiddleware: None, Robots: 100},
        "RETRY_TIMES": options.retries,
        "REDIRECT_MAX_TIMES": 5,
        "DOWNLOAD_DELAY": max(options.delay, 0.001),  # Scrapy holds no host that needs no pause
        "DOWNLOAD_DELAY_JITTER": 0,
        "DOWNLOAD_MAXSIZE": int(options.max_mb * 1e6),
        "DOWNLOAD_TIMEOUT": PATIENCE + options.max_mb,
        "DOWNLOAD_VERIFY_CERTIFICATES": True,
    }
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop if options.allow_local else GuardedLoop) as runner:
        outcome = runner.get_loop().create_future()
        runner.run(Crawler(Collector, settings).crawl_async(work=work, outcome=outcome))
        result: T = outcome.result()
        return result


class Robots(RobotsTxtMiddleware):
    """Scrapy's own (2.19), which of the requests that wait for one robots.txt would let all but two pass unjudged."""

    def __init__(self, crawler: Crawler):
        super().__init__(crawler)
        self._turns: dict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    async def robot_parser(self, request: Request) -> RobotParser | None:
        """Return what a host's robots.txt says, to one request after the other; ``None`` where there is none."""
        async with self._turns[urlsplit(request.url).netloc]:
            return await super().robot_parser(request)


class Collector(Spider):
    """Fetches addresses for ``work``, and keeps the waits that a host asks for."""

    name = "collect"
    work: Callable[["Collector"], Awaitable[Any]]
    outcome: asyncio.Future[Any]

    async def start(self) -> AsyncIterator[Any]:
        """Do the work; nothing is left for the engine to schedule."""
        self.crawler.signals.connect(self._wait, signals.response_downloaded)
        self.crawler.signals.connect(self._slow_down, signals.robots_parsed)
        try:
            self.outcome.set_result(await self.work(self))
        except Exception as error:  # raised again where the crawl was begun
            self.outcome.set_exception(error)
        return
        yield

    async def fetch(self, address: str, robots: bool = True) -> Response:
        """Return what ``address``, or what it redirects to, serves, or raise :class:`NoAnswer`; ``robots``: whether
        robots.txt counts, if at all."""
        if not re.fullmatch(ADDRESS, address):
            raise NoAnswer("refused: it is not a plain web address")
        meta = {"verbatim_url": True, "dont_obey_robotstxt": not robots}
        try:
            request = Request(safe_url_string(address), meta=meta)
            response: Response = await self.crawler.engine.download_async(request)
        except NotPublic as error:
            raise NoAnswer(f"refused: {error.number} is not a public address", "allow_local") from None
        except exceptions.DownloadCancelledError as error:
            raise NoAnswer(f"refused: {error}", "max_mb") from None
        except FOR_GOOD as error:
            raise NoAnswer(f"refused: {error}", "robots" if "by robots.txt" in str(error) else "") from None
        except THIS_TIME as error:
            raise NoAnswer("failed: " + re.sub(r" ssl:(<.*?>|\w+)", "", str(error))) from None
        if (status := response.status) != 200:
            kind = "failed" if status >= 500 or status in MAY_CHANGE else "refused"
            raise NoAnswer(f"{kind}: the server says {response_status_message(status)}")
        return response

    def _wait(self, response: Response, request: Request) -> None:
        """Send the host no request for as long as it asks for."""
        seconds = response.headers.get("Retry-After") or b""
        if seconds.isdigit() and response.status in (429, 503):
            slot = self.crawler.engine.downloader.slots[request.meta["download_slot"]]
            slot.lastseen = time.monotonic() + min(int(seconds[:9]), MAX_WAIT) - slot.delay

    def _slow_down(self, robotparser: RobotParser, request: Request) -> None:
        """Keep the pause between two requests that a host's robots.txt asks for."""
        downloader = self.crawler.engine.downloader
        slot = downloader.slots[downloader.get_slot_key(request)]
        slot.delay = max(slot.delay, min(robotparser.crawl_delay("Telltale") or 0.0, MAX_WAIT))
