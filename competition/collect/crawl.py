"""Requests by Scrapy: robots.txt, pauses, repeats, redirects and limits are its own.

It runs on asyncio alone here, whose loop decides whom a socket may connect to. Proxies of the environment are not used:
behind one it would be the proxy that decides.
"""

import asyncio
import ipaddress
import logging
import os
import re
import ssl
import time
from typing import Any

import certifi
from scrapy import Request, Spider, exceptions
from scrapy.core.downloader import Slot
from scrapy.crawler import Crawler
from scrapy.downloadermiddlewares.robotstxt import RobotsTxtMiddleware
from scrapy.http import Response
from scrapy.robotstxt import RobotParser
from scrapy.settings import Settings
from scrapy.utils.misc import load_object
from scrapy.utils.response import response_status_message
from w3lib.url import safe_url_string

from competition import __version__
from competition.collect.options import CollectOptions
from competition.core.options import ADDRESS

AGENT = f"Telltale/{__version__} (+image collection for research)"
PATIENCE = 60.0  # seconds for one answer, and one more for each 10^6 bytes that it may have
MAX_WAIT = 60.0  # seconds that a host may ask for, between two requests or before the next
FOR_GOOD = (exceptions.IgnoreRequest, exceptions.NotSupported, exceptions.UnsupportedURLSchemeError, ValueError)
THIS_TIME = tuple(map(load_object, Settings().getlist("RETRY_EXCEPTIONS")))  # what Scrapy tries again
MAY_CHANGE = (401, 403, 408, 425, 429)  # statuses below 500 that may be others tomorrow
PUBLIC_IPV6, SIX_TO_FOUR = ipaddress.ip_network("2000::/3"), ipaddress.ip_network("2002::/16")
NAT64 = ipaddress.ip_network("64:ff9b::/96")  # how a network of IPv6 alone reaches IPv4


class NoAnswer(RuntimeError):  # no other is handed on by what makes connections
    """An address gives nothing: for good, which reads ``refused: REASON``; while a setting of ours is as it is, which
    reads ``refused by SETTING: REASON``; or this time, ``failed: REASON``."""


def crawl(kind: type[Spider], options: CollectOptions) -> Any:
    """Have a spider, made with ``options``, do its work with :func:`fetch`, and return it."""
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
        "ROBOTS": options.robots,
        "ROBOTSTXT_USER_AGENT": "Telltale",
        "ROBOTSTXT_OBEY": True,  # as far as robots= says: its middleware keeps other waits, too
        "DOWNLOADER_MIDDLEWARES": {RobotsTxtMiddleware: None, Manners: 560},  # before Scrapy's tries again
        "RETRY_TIMES": options.retries,
        "REDIRECT_MAX_TIMES": 5,
        "DOWNLOAD_DELAY": max(options.delay, 0.001),  # Scrapy holds no host that needs no pause
        "DOWNLOAD_DELAY_JITTER": 0,
        "DOWNLOAD_SLOTS": {"browser": {"delay": 0}},
        "DOWNLOAD_MAXSIZE": int(options.max_mb * 1e6),
        "DOWNLOAD_TIMEOUT": PATIENCE + options.max_mb,
        "DOWNLOAD_VERIFY_CERTIFICATES": True,
    }
    with asyncio.Runner(loop_factory=asyncio.SelectorEventLoop if options.allow_local else GuardedLoop) as runner:
        crawler = Crawler(kind, settings)
        runner.run(crawler.crawl_async(options))
    return crawler.spider


async def fetch(spider: Spider, address: str, **more: Any) -> Response:
    """Return what ``address``, or what it redirects to, serves, or raise :class:`NoAnswer`; ``more`` is what else
    Scrapy's ``Request`` takes."""
    if not re.fullmatch(ADDRESS, address):
        raise NoAnswer("refused: it is not a plain web address")
    meta = {"verbatim_url": True, **more.pop("meta", {})}
    try:
        request = Request(safe_url_string(address), meta=meta, **more)
        response: Response = await spider.crawler.engine.download_async(request)
    except exceptions.DownloadCancelledError as error:
        raise NoAnswer(f"refused by max_mb: {error}") from None
    except FOR_GOOD as error:
        setting = " by robots" if "robots.txt" in str(error) else ""
        raise NoAnswer(f"refused{setting}: {error}") from None
    except THIS_TIME as error:
        raise NoAnswer("failed: " + re.sub(r" ssl:(<.*?>|\w+)", "", str(error))) from None
    if response.status != 200:
        kind = "failed" if response.status >= 500 or response.status in MAY_CHANGE else "refused"
        raise NoAnswer(f"{kind}: the server says {response_status_message(response.status)}")
    return response


class GuardedLoop(asyncio.SelectorEventLoop):
    """An event loop whose sockets connect to the public internet alone; :class:`NoAnswer` before any attempt to.

    Names are looked up before this, redirects followed after it: neither a redirect nor a name that comes to mean
    something else a moment later (DNS rebinding) leads round it, whatever library asks for the connection.
    """

    async def sock_connect(self, sock: Any, address: Any) -> None:
        """Connect as asyncio does; ``address`` begins with the number, never with a name."""
        if not is_public(address[0]):
            raise NoAnswer("refused by allow_local: it is not at a public address")  # the same for all of a host's
        await super().sock_connect(sock, address)


def is_public(number: str) -> bool:
    """Tell whether an IP address in digits belongs to the public internet; ValueError for what is none.

    Loopback, private, link-local, shared (CGNAT), multicast and reserved ones do not. Of IPv6 only what is handed out
    to the public does, and what a NAT64 makes of a public IPv4 address.
    """
    address = ipaddress.ip_address(number)
    if address in NAT64:
        address = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address.version == 6 and (address not in PUBLIC_IPV6 or address in SIX_TO_FOUR):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved)


class Manners(RobotsTxtMiddleware):
    """Keeps what a host asks for, in its robots.txt and in its answers, up to ``MAX_WAIT``."""

    async def robot_parser(self, request: Request) -> RobotParser | None:
        """Return what a host's robots.txt says, if there is one."""
        if not self.crawler.settings["ROBOTS"]:
            return None
        await super().robot_parser(request)  # which says nothing yet (2.19) to the third that waits for it
        parser = await super().robot_parser(request)
        slot = self._slot(request)
        if parser and slot:
            slot.delay = max(slot.delay, min(parser.crawl_delay("Telltale") or 0.0, MAX_WAIT))
        return parser

    def process_response(self, request: Request, response: Response) -> Response:
        """Send the host no request for as long as it asks for."""
        seconds, slot = response.headers.get("Retry-After") or b"", self._slot(request)
        if seconds.isdigit() and slot:
            slot.lastseen = time.monotonic() + min(int(seconds[:9]), MAX_WAIT) - slot.delay
        return response

    def _slot(self, request: Request) -> Slot | None:
        downloader = self.crawler.engine.downloader
        return downloader.slots.get(downloader.get_slot_key(request))
