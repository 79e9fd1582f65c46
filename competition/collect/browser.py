"""The images of a page that scripts build: rendered and scrolled by a browser that has no way out of its own.

It can look up no name, and so reaches no proxy and nothing else. What a page, its scripts and its frames ask for, the
crawler fetches in its place, guarded like all that it fetches; what cannot be had so, as web sockets, stays away.
"""

import asyncio
import contextlib
import functools
import os
import shutil

from playwright.async_api import Error, Route, async_playwright
from scrapy import Spider
from scrapy.http import HtmlResponse

from competition.collect.crawl import AGENT, BROWSER, NoAnswer, fetch
from competition.collect.sources import page_images
from competition.core.errors import UserError

MAX_SECONDS, MAX_SCROLLS, MAX_CHARACTERS = 60.0, 100, 5_000_000
SETTLING = 500  # milliseconds for a page to grow after each scroll
NAMES = ("chromium", "chromium-browser", "google-chrome")
NO_WAY_OUT = (
    "--proxy-server=nowhere.invalid",
    "--proxy-bypass-list=<-loopback>",
    "--host-resolver-rules=MAP * ~NOTFOUND",
)
NO_WAY_OUT += ("--force-webrtc-ip-handling-policy=disable_non_proxied_udp",)
HTML = "most => document.documentElement.outerHTML.slice(0, most)"
SCROLL = "() => { const before = scrollY; scrollBy(0, innerHeight); return scrollY > before }"


async def rendered_images(address: str, spider: Spider) -> list[str]:
    """Return the addresses of the images that the page ``address`` names while it is scrolled.

    A page that has no end is left after a minute or 100 scrolls. Raises :class:`NoAnswer` for a page that cannot be
    opened, ``UserError`` where there is no browser.
    """
    found: dict[str, None] = {}
    async with async_playwright() as playwright:
        program = next(filter(None, map(shutil.which, NAMES)), None)  # None: Playwright's own
        sandbox = os.geteuid() != 0  # which root cannot have
        try:
            browser = await playwright.chromium.launch(
                executable_path=program, args=NO_WAY_OUT, chromium_sandbox=sandbox
            )
        except Error as error:
            raise UserError(f"browser=true needs Chromium ({str(error).splitlines()[0]}): install it.") from None
        try:
            async with browser, asyncio.timeout(MAX_SECONDS):
                context = await browser.new_context(
                    user_agent=f"Mozilla/5.0 (compatible; {AGENT})", service_workers="block"
                )
                await context.route("**/*", functools.partial(_fetch, spider))
                page = await context.new_page()
                await page.goto(address, wait_until="domcontentloaded")
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
    return list(found)


async def _fetch(spider: Spider, route: Route) -> None:
    """Answer a request of the browser with what the crawler gets for it."""
    request = route.request
    headers = {**request.headers, "accept-encoding": "identity"}
    with contextlib.suppress(Error):  # of a page that is closed by now
        try:
            response = await fetch(
                spider,
                request.url,
                method=request.method,
                headers=headers,
                body=request.post_data_buffer or b"",
                meta=BROWSER,
            )
        except NoAnswer:
            await route.abort()
        else:
            await route.fulfill(headers=response.headers.to_unicode_dict(), body=response.body)
