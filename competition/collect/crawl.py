"""One polite, guarded request after another, by Scrapy: robots.txt, pauses, repeats, redirects and limits are its own.

Scrapy runs on asyncio alone here, where :mod:`collect.guard` decides whom a socket may connect to. Proxies of the
environment are not used: behind one it would be the proxy that decides.
"""

import asyncio
import contextlib
import logging
import os
import ssl
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import certifi
from scrapy import Request, Spider, exceptions, signals
from scrapy.crawler import Crawler
from scrapy.downloadermiddlewares.retry import RetryMiddleware, get_retry_request
from scrapy.http import Response
from scrapy.http.request import NO_CALLBACK
from scrapy.robotstxt import RobotParser
from scrapy.utils.response import response_status_message
from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

from competition import __version__
from competition.collect.addresses import Failed, Rejected, host_of, parsed
from competition.collect.guard import GuardedLoop, NotPublic
from competition.collect.options import CollectOptions

T = TypeVar("T")
AGENT = f"Telltale/{__version__} (+image collection for research)"
PATIENCE = 60.0  # seconds for one answer, and one more for each 10^6 bytes that it may have
LONGEST_WAIT, LONGEST_CRAWL_DELAY = 120.0, 30.0  # seconds; a host that asks for a longer wait is left alone
ENOUGH = 5  # addresses in a row of which a host gave nothing: it is left alone until another run
SILENT = "its host does not answer now"
ROBOTS_BYTES = 512_000  # RFC 9309, section 2.5, asks for 500 KiB; what comes after them is not read
PASSING = (408, 425, 429, 500, 502, 503, 504)
OFF = ("TWISTED_REACTOR_ENABLED", "COOKIES_ENABLED", "HTTPPROXY_ENABLED", "METAREFRESH_ENABLED", "REFERER_ENABLED")
WORDS: dict[Any, str] = {
    exceptions.CannotResolveHostError: "cannot be found",
    exceptions.DownloadConnectionRefusedError: "cannot be reached",
    exceptions.DownloadTimeoutError: "does not answer in time",
    (exceptions.DownloadFailedError, exceptions.ResponseDataLossError, OSError): "breaks the connection",
}


def crawl(settings: CollectOptions, work: Callable[["Fetcher"], Awaitable[T]]) -> T:
    """Return what ``work`` returns, or raise what it raises, with a fetcher that lives as long."""
    for name in ("scrapy", "asyncio"):  # what goes wrong is raised, or becomes a row
        logging.getLogger(name).addHandler(logging.NullHandler())
        logging.getLogger(name).propagate = False
    if not ssl.get_default_verify_paths().cafile:  # Mozilla's certificates beside those that the system may have
        os.environ.setdefault("SSL_CERT_FILE", certifi.where())
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop if settings.allow_local else GuardedLoop) as runner:
        outcome = runner.get_loop().create_future()
        runner.run(Crawler(Collector, scrapy_settings(settings)).crawl_async(work=work, outcome=outcome))
        result: T = outcome.result()
        return result


def scrapy_settings(settings: CollectOptions) -> dict[str, Any]:
    """Return what Scrapy is to keep to."""
    return {
        "EXTENSIONS_BASE": {},
        "DOWNLOAD_HANDLERS": dict.fromkeys(("data", "file", "ftp", "s3")),
        "DOWNLOADER_MIDDLEWARES": {RetryMiddleware: None, Fetcher: 550},
        "DEFAULT_REQUEST_HEADERS": {"Accept": "*/*", "Accept-Encoding": "identity"},  # for files as they are stored
        "USER_AGENT": AGENT,
        "ROBOTSTXT_USER_AGENT": "Telltale",
        "ROBOTSTXT_OBEY": settings.robots,
        "RETRY_TIMES": settings.retries,
        "REDIRECT_MAX_TIMES": 5,
        "DOWNLOAD_DELAY": max(settings.delay, 0.001),  # Scrapy holds no host that needs no pause
        "DOWNLOAD_DELAY_JITTER": 0,
        "DOWNLOAD_MAXSIZE": settings.limit,
        "DOWNLOAD_TIMEOUT": PATIENCE + settings.max_mb,
        "DOWNLOAD_VERIFY_CERTIFICATES": True,
        **dict.fromkeys(OFF, False),
    }


class Collector(Spider):
    """Has Scrapy's engine live as long as ``work`` needs it."""

    name = "collect"
    work: Callable[[Any], Awaitable[Any]]
    outcome: asyncio.Future[Any]

    async def start(self) -> AsyncIterator[Any]:
        """Do the work; nothing is left for the engine to schedule."""
        try:
            self.outcome.set_result(await self.work(self.crawler.get_downloader_middleware(Fetcher)))
        except Exception as error:  # raised again where the crawl was begun
            self.outcome.set_exception(error)
        return
        yield


class Fetcher:
    """Fetches addresses, several at a time if asked to; as the crawler's middleware, it adds what Scrapy leaves open.

    That is: the waits that a host asks for, pauses that grow from one repeat to the next, and that a robots.txt which
    its host fails to give forbids all until another run (RFC 9309, section 2.3.1.4).
    """

    def __init__(self, crawler: Crawler):
        self._crawler, self._delay = crawler, crawler.settings.getfloat("DOWNLOAD_DELAY")
        self._closed: dict[str, str] = {}  # hosts that are left alone, and why
        self._missed = Counter[str]()  # addresses in a row
        crawler.signals.connect(self._hold, signals.response_downloaded)  # before the next request is sent
        crawler.signals.connect(self._slow_down, signals.robots_parsed)

    @classmethod
    def from_crawler(cls, crawler: Crawler) -> "Fetcher":
        """Return the crawler's, as Scrapy asks for it."""
        return cls(crawler)

    async def get(self, address: str, limit: int, robots: bool = True) -> Response:
        """Return what ``address``, or what it redirects to, serves; ``robots``: whether robots.txt counts, if at all.

        Raises :class:`Rejected` for what will not be fetched, such as more than ``limit`` bytes, and :class:`Failed`
        for what another run may get.
        """
        meta = {"verbatim_url": True, "download_maxsize": limit, "dont_obey_robotstxt": not robots}
        try:
            response = await self._crawler.engine.download_async(Request(parsed(address).url, meta=meta))
        except exceptions.IgnoreRequest as refusal:  # of redirects, or of what a compressed body becomes
            many = Rejected("it redirects more than 5 times")
            raise (many if "redirections" in str(refusal) else _too_long(limit)) from None
        except ValueError:
            raise Rejected("it redirects to something that is not an address") from None
        reason = f"the server says {response_status_message(response.status)}"
        if response.status in (401, 403, *PASSING):
            raise Failed(reason)
        if 300 < response.status < 400 and (place := response.headers.get("Location")):  # which Scrapy did not follow
            parsed(place.decode("latin-1"))
        if response.status not in (200, 203):
            raise Rejected(reason)
        return response

    def process_request(self, request: Request) -> None:
        """Refuse what is no plain web address, and a host that is left alone."""
        host = request.meta["download_slot"] = host_of(request.url)
        if host in self._closed:
            raise Failed(self._closed[host])

    async def process_response(self, request: Request, response: Response) -> Request | Response:
        """Repeat the request where that may help; of a robots.txt keep what counts."""
        if response.status not in PASSING:
            self._missed[request.meta["download_slot"]] = 0
        elif again := await self._again(request, f"the server says {response_status_message(response.status)}"):
            return again
        if request.callback is not NO_CALLBACK:  # which is how Scrapy marks a robots.txt
            return response
        return response.replace(body=response.body[:ROBOTS_BYTES] if response.status == 200 else b"")

    async def process_exception(self, request: Request, exception: Exception) -> Request:
        """Repeat the request where that may help; else raise what is wrong in plain words."""
        words = in_words(exception, request)
        if words is not exception and isinstance(words, Failed) and (again := await self._again(request, str(words))):
            return again
        raise words

    async def _again(self, request: Request, reason: str) -> Request | None:
        """Return the request to repeat, after a pause; ``None`` if it was repeated enough, which is taken note of."""
        spider = self._crawler.spider
        if spider and (again := get_retry_request(request, spider=spider, reason=reason)):
            await asyncio.sleep(self._delay * 2 ** (again.meta["retry_times"] - 1))
            return again
        host = host_of(request.meta.get("redirect_urls", [request.url])[0])
        self._missed[host] += 1
        if request.callback is NO_CALLBACK:
            self._closed[host] = f"robots.txt of {host} cannot be read ({reason})"
        elif self._missed[host] >= ENOUGH:
            self._closed[host] = SILENT
        return None

    def _hold(self, response: Response, request: Request) -> None:
        """Send the host no request for as long as it asks for."""
        asked, host, wait = response.headers.get("Retry-After"), request.meta["download_slot"], 0.0
        if asked and response.status in PASSING:
            with contextlib.suppress(InvalidHeader, OverflowError):
                wait = Retry().parse_retry_after(asked.decode("latin-1"))
        if wait > LONGEST_WAIT:
            self._closed[host] = f"{host} asks for {wait:,.0f} seconds without requests"
        elif wait:
            slot = self._crawler.engine.downloader.slots[host]
            slot.lastseen = time.monotonic() + wait - slot.delay

    def _slow_down(self, robotparser: RobotParser, request: Request) -> None:
        """Keep the pause between two requests that a host's robots.txt asks for."""
        host, downloader = host_of(request.url), self._crawler.engine.downloader
        pause = max(self._delay, min(robotparser.crawl_delay("Telltale") or 0.0, LONGEST_CRAWL_DELAY))
        downloader.per_slot_settings[host] = {"delay": pause}
        downloader.slots[host].delay = pause


def _too_long(limit: int) -> Rejected:
    return Rejected(f"it has more than {limit:,} bytes", "max_mb")


def in_words(error: Exception, request: Request) -> Exception:
    """Return :class:`Rejected` or :class:`Failed` for what Scrapy raised, and what it does not know as it is."""
    if isinstance(error, Rejected | Failed):
        return error
    url, cause = parsed(request.url), error.__cause__
    while cause:
        if isinstance(cause, NotPublic):
            means = "" if cause.number in (url.host or "") else f" ({cause.number})"
            return Rejected(f"{url.host}{means} is not a public address", "allow_local")
        if why := getattr(cause, "verify_message", ""):
            return Failed(f"the certificate of {url.host} is not valid ({why})")
        cause = cause.__cause__ or cause.__context__
    if isinstance(error, exceptions.IgnoreRequest):
        return Rejected(f"robots.txt of {url.netloc} forbids it", "robots")
    if isinstance(error, exceptions.UnsupportedURLSchemeError):
        return Rejected("it is not an address")
    if isinstance(error, exceptions.DownloadCancelledError):
        return _too_long(request.meta.get("download_maxsize", 0))
    return next((Failed(f"{url.host} {words}") for kind, words in WORDS.items() if isinstance(error, kind)), error)
