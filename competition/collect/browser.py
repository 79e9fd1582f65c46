"""The images of a page that scripts build: rendered and scrolled by a browser that can connect to nothing.

It has a proxy whose name it cannot look up, as it can no other. Whatever a page, its scripts and its frames request is
fetched by the crawler instead, under the same guard as everything else; what cannot be fetched so (web sockets) fails.
"""

import asyncio
import contextlib
import functools
import os
import shutil

from playwright.async_api import BrowserContext, Error, Route, async_playwright
from scrapy import Spider
from scrapy.http import HtmlResponse

from competition.collect.crawl import AGENT, NoAnswer, fetch
from competition.collect.sources import page_images
from competition.core.errors import UserError

MAX_SECONDS, MAX_SCROLLS, MAX_CHARACTERS = 60.0, 100, 5_000_000
SETTLING = 500  # milliseconds for a page to grow after each scroll
NAMES = ("chromium", "chromium-browser", "google-chrome")
NO_WAY_OUT = ["--host-resolver-rules=MAP * ~NOTFOUND", "--force-webrtc-ip-handling-policy=disable_non_proxied_udp"]
META = {"download_slot": "browser", "dont_obey_robotstxt": True, "dont_retry": True}
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
        try:
            browser = await playwright.chromium.launch(
                executable_path=program,
                args=NO_WAY_OUT,
                proxy={"server": "http://nowhere.invalid"},
                chromium_sandbox=os.geteuid() != 0,  # which root cannot have
            )
        except Error as error:
            raise UserError(f"browser=true needs Chromium ({str(error).splitlines()[0]}): install it.") from None
        try:
            async with browser, asyncio.timeout(MAX_SECONDS):
                agent = f"Mozilla/5.0 (compatible; {AGENT})"
                context = await browser.new_context(user_agent=agent, service_workers="block")
                await context.route("**/*", functools.partial(_fetch, spider, context))
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


async def _fetch(spider: Spider, context: BrowserContext, route: Route) -> None:
    """Answer a request of the browser with what the crawler gets for it."""
    asked = route.request
    with contextlib.suppress(Error):  # of a page that is closed by now
        cookies = "; ".join(f"{one['name']}={one['value']}" for one in await context.cookies(asked.url))
        headers = {**asked.headers, "cookie": cookies, "accept-encoding": "identity"}
        body = asked.post_data_buffer or b""
        try:
            response = await fetch(spider, asked.url, method=asked.method, headers=headers, body=body, meta=META)
            await route.fulfill(headers=dict(response.headers.to_tuple_list()), body=response.body)
        except NoAnswer:
            await route.abort()
