"""Pages that scripts build, in a real browser that connects to nothing but what the guard allows."""

import shutil
import socket

import pytest

from competition.collect.crawl import NoAnswer
from competition.collect.gather import collect
from competition.core.errors import UserError
from tests.collect.site import Answer, collected, fetching, in_a_network_of_its_own, png, send, settings_for

pytest.importorskip("playwright.async_api", reason="the extra 'collect' is not installed")
if not any(map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))):
    pytest.skip("there is no Chromium on the PATH", allow_module_level=True)

BUILT = b"""<body><script>
let number = 0
const add = () => { const image = new Image(); image.src = `/${++number}.png`; image.style.height = '900px'
    image.style.display = 'block'; document.body.append(image) }
add()
addEventListener('scroll', () => { if (number < LAST) add() })
</script><img srcset="/small.png 100w, /large.png 2000w" sizes="2000px">"""


def rendered(site, tmp_path, html, **changes):
    site.pages["/page"] = Answer(html, headers={"Content-Type": "text/html"})
    return collected(tmp_path, page=f"{site.root}/page", browser=True, **changes)


@pytest.mark.slow
def test_a_page_that_scripts_build_is_scrolled_and_gives_its_images(site, tmp_path):
    site.pages.update(
        {f"/{number}.png": Answer(png(number)) for number in range(1, 5)} | {"/large.png": Answer(png(9))}
    )
    summary, rows = rendered(site, tmp_path, BUILT.replace(b"LAST", b"4"))
    assert summary.counts["saved"] == 5
    assert set(rows) == {f"{site.root}/{name}.png" for name in (1, 2, 3, 4, "large")}
    assert {row.page for row in rows.values()} == {f"{site.root}/page"}


@pytest.mark.slow
def test_what_a_page_asks_for_with_a_body_a_cookie_or_by_a_redirect_is_had_by_the_crawler(site, tmp_path):
    bodies = []

    def api(handler):
        bodies.append(handler.rfile.read(int(handler.headers["Content-Length"])))
        name = b"/with.png" if "known=1" in handler.headers.get("Cookie", "") else b"/without.png"
        send(handler, Answer(name))

    site._server.RequestHandlerClass.do_POST = site._server.RequestHandlerClass.do_GET
    page = b"""<img src="own.png"><script>
    fetch("/api", {method: "POST", body: "words"}).then(answer => answer.text()).then(address => {
        const image = new Image(); image.src = address; document.body.append(image) })</script>"""
    cookie = {"Content-Type": "text/html", "Set-Cookie": "known=1; Path=/"}
    site.pages.update({"/api": api, "/deep/page": Answer(page, headers=cookie)})
    site.pages.update({"/deep/own.png": Answer(png(1)), "/with.png": Answer(png(2))})
    site.pages["/page"] = Answer(status=302, headers={"Location": "/deep/page"})
    _, rows = collected(tmp_path, page=f"{site.root}/page", browser=True)
    assert set(rows) == {f"{site.root}/deep/own.png", f"{site.root}/with.png"} and bodies == [b"words"]


@pytest.mark.slow
@pytest.mark.parametrize("limit", [("MAX_SCROLLS", 5), ("MAX_SECONDS", 4.0)])
def test_a_page_without_an_end_is_left(site, tmp_path, monkeypatch, limit):
    monkeypatch.setattr(f"competition.collect.browser.{limit[0]}", limit[1])
    monkeypatch.setattr("competition.collect.browser.SETTLING", 100)
    site.pages.update({f"/{number}.png": Answer(png(number)) for number in range(1, 200)})
    summary, _ = rendered(site, tmp_path, BUILT.replace(b"LAST", b"1e9"))
    assert 3 <= summary.counts["saved"] <= 100


@pytest.mark.slow
def test_a_page_whose_script_never_ends_is_left(site, tmp_path, monkeypatch):
    monkeypatch.setattr("competition.collect.browser.MAX_SECONDS", 3.0)
    with pytest.raises(UserError, match="names no images"):
        rendered(site, tmp_path, b"<img src=/1.png><script>for (;;) {}</script>")


def test_robots_txt_counts_for_the_page(site, tmp_path):
    site.pages["/robots.txt"] = Answer(b"User-agent: *\nDisallow: /page")
    with pytest.raises(UserError, match=r"refused by robots: Forbidden by robots.txt"):
        rendered(site, tmp_path, b"<img src=/1.png>")
    assert site.asked == ["/robots.txt"]


def test_a_page_on_a_private_address_is_not_opened(site, tmp_path):
    with pytest.raises(UserError, match="not at a public address"):
        collect(settings_for(tmp_path, page=f"{site.root}/page", browser=True, allow_local=False))
    assert site.asked == []


# Runs where the network is the machine's own loopback and nothing else, with a public address on it.
HOSTILE = """
from competition.collect.browser import rendered_images
from tests.collect.site import Answer, Site, fetching
PAGE = '''<img src=/ok.png><img src=/hop><img src="LOCAL/secret.png"><iframe src="LOCAL/x"></iframe>
    <iframe src="/hop"></iframe><iframe srcdoc="<script>location = 'LOCAL/x'</script>"></iframe>
    <script src="http://localhost:PORT/x"></script><script>
    for (const host of ["127.0.0.1", "localhost", "[::1]", "0x7f.1", "2130706433", "0.0.0.0"]) {
        fetch(`http://${host}:PORT/x`).catch(() => 0)
        new WebSocket(`ws://${host}:PORT/socket`)
        navigator.sendBeacon(`http://${host}:PORT/x`, "told")
    }
    fetch("/hop").catch(() => 0); open("LOCAL/x"); new Worker("/worker.js")
    navigator.serviceWorker?.register("/worker.js")
    </script>'''
html, script = {"Content-Type": "text/html"}, {"Content-Type": "text/javascript"}
with Site("93.184.216.34") as public, Site() as local:
    local.pages["/x"] = local.pages["/secret.png"] = Answer(b"fine", headers={"Access-Control-Allow-Origin": "*"})
    public.pages["/hop"] = Answer(status=302, headers={"Location": local.root + "/x"})
    public.pages["/worker.js"] = Answer(f"fetch('{local.root}/x')".encode(), headers=script)
    page = PAGE.replace("LOCAL", local.root).replace("PORT", local.root.rpartition(":")[2])
    public.pages["/page"] = Answer(page.encode(), headers=html)
    async def work(fetcher):
        for path in ("/page", "/hop"):
            try:
                print(await rendered_images(public.root + path, fetcher))
            except Exception as error:
                print(error)
    fetching(work, allow_local=False)
    print(local.asked, "/worker.js" in public.asked)
    fetching(lambda fetcher: rendered_images(public.root + "/page", fetcher), allow_local=True)
    print(sorted(set(local.asked)))
    own = '<script>new WebSocket(`ws://${location.host}/socket`)</script><img src=/ok.png>'
    public.pages["/own"] = Answer(own.encode(), headers=html)
    print(fetching(lambda fetcher: rendered_images(public.root + "/own", fetcher), allow_local=True))
    print("/ok.png" in public.asked, "/socket" in public.asked)
"""


@pytest.mark.slow
def test_nothing_in_a_page_reaches_a_private_address_neither_by_script_nor_by_redirect():
    page, hop, guarded, allowed, _, own = in_a_network_of_its_own(HOSTILE, 120)
    assert "http://93.184.216.34" in page and "/ok.png" in page
    assert "the browser says" in hop and guarded == "[] True"
    assert "/x" in allowed and "/secret.png" in allowed  # the page does try, and succeeds where it may
    assert "/socket" not in allowed and own == "True False"  # the browser itself has no way out, not even to its page


def test_a_name_that_means_loopback_is_not_connected_to_by_the_browser(site, monkeypatch):
    port = int(site.root.rpartition(":")[2])
    from competition.collect.browser import rendered_images

    look_up = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda host, *words, **more: look_up("127.0.0.1", *words, **more))
    with pytest.raises(NoAnswer, match="the browser says"):
        fetching(lambda fetcher: rendered_images(f"http://rebinding.example:{port}/x", fetcher), allow_local=False)
    assert site.asked == []
