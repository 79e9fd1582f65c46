"""The images of a page that scripts build: rendered and scrolled by a browser that can connect to nothing on its own.

All its connections, those of scripts, frames, redirects and web sockets, go through a proxy on this machine, which
lives on the guarded loop: it is :mod:`collect.guard` that decides about each, as for the crawler's own.
"""

import asyncio
import contextlib
import ipaddress
import os
import shutil
from asyncio import StreamReader, StreamWriter

from playwright.async_api import Error, async_playwright
from scrapy.http import HtmlResponse

from competition.collect.crawl import NoAnswer
from competition.collect.guard import NotPublic
from competition.collect.sources import page_images
from competition.core.errors import UserError

MAX_SECONDS, MAX_SCROLLS, MAX_CHARACTERS = 60.0, 100, 5_000_000
SETTLING = 500  # milliseconds for a page to grow after each scroll
NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    "--proxy-bypass-list=<-loopback>",  # loopback goes through the proxy, too
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # names are looked up by the proxy alone
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--disable-quic",
)
HTML = "most => document.documentElement.outerHTML.slice(0, most)"
SCROLL = "() => { const before = scrollY; scrollBy(0, innerHeight); return scrollY > before }"


async def rendered_images(address: str, agent: str) -> list[str]:
    """Return the addresses of the images that the page ``address`` names while it is scrolled.

    A page that has no end is left after a minute or 100 scrolls. Raises :class:`NoAnswer` for a page that cannot be
    opened, ``UserError`` where there is no browser.
    """
    if os.name == "nt":  # whose selector loop starts no programs
        raise UserError("browser=true does not work on Windows: list the images' addresses in urls=FILE.")
    found: dict[str, None] = {}
    async with await asyncio.start_server(_answer, "127.0.0.1", 0) as proxy, async_playwright() as playwright:
        server = f"--proxy-server=socks5://127.0.0.1:{proxy.sockets[0].getsockname()[1]}"
        program = next(filter(None, map(shutil.which, NAMES)), None)  # None: Playwright's own
        sandbox = os.geteuid() != 0  # which root cannot have
        try:
            browser = await playwright.chromium.launch(
                executable_path=program, args=[server, *FLAGS], chromium_sandbox=sandbox
            )
        except Error as error:
            raise UserError(f"browser=true needs Chromium ({str(error).splitlines()[0]}): install it.") from None
        try:
            async with asyncio.timeout(MAX_SECONDS):
                page = await browser.new_page(user_agent=f"Mozilla/5.0 (compatible; {agent})", service_workers="block")
                await page.goto(address, wait_until="load")
                for _ in range(MAX_SCROLLS):
                    await page.wait_for_timeout(SETTLING)
                    html = (await page.evaluate(HTML, MAX_CHARACTERS)).encode("utf-8", "replace")
                    found.update(dict.fromkeys(page_images(HtmlResponse(page.url, body=html, encoding="utf-8"))))
                    if not await page.evaluate(SCROLL):
                        break
        except TimeoutError:
            pass
        except Error as error:
            if not found:
                raise NoAnswer(f"failed: the browser says: {str(error).splitlines()[0]}") from None
        finally:
            await browser.close()
    return list(found)


async def _answer(reader: StreamReader, writer: StreamWriter) -> None:
    """Connect one client of the proxy to where it wants to go (SOCKS 5, RFC 1928), as far as this loop allows that."""
    with contextlib.suppress(NotPublic, OSError, EOFError, ValueError), contextlib.closing(writer):
        await reader.readexactly((await reader.readexactly(2))[1])
        writer.write(b"\5\0")
        _, _, _, kind = await reader.readexactly(4)
        if kind == 3:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode("ascii")
        else:
            host = str(ipaddress.ip_address(await reader.readexactly(4 if kind == 1 else 16)))
        port = int.from_bytes(await reader.readexactly(2), "big")
        far_reader, far_writer = await asyncio.open_connection(host, port)
        writer.write(b"\5\0\0\1" + bytes(6))
        await asyncio.gather(_pour(reader, far_writer), _pour(far_reader, writer))


async def _pour(reader: StreamReader, writer: StreamWriter) -> None:
    with contextlib.closing(writer):
        while piece := await reader.read(1 << 16):
            writer.write(piece)
            await writer.drain()
