"""How long the spider waits between requests, and what it does not ask for because robots.txt says so."""

import asyncio

import pytest

from competition.collect.crawl import NoAnswer, fetch
from tests.collect.site import Answer, fetching, get


async def outcome(spider, address):
    """Return the body, or the reason why there is none."""
    try:
        return (await fetch(spider, address)).body
    except NoAnswer as none:
        return str(none)


def outcomes(addresses, **changes):
    async def work(spider):
        return [await outcome(spider, address) for address in addresses]

    return fetching(work, **changes)


@pytest.mark.parametrize("status", [429, 503])
def test_the_wait_that_a_server_asks_for_is_kept(site, status):
    site.pages["/x"] = [Answer(b"", status, {"Retry-After": "1"}), Answer(b"fine")]
    assert get(f"{site.root}/x").body == b"fine"
    assert site.times[1] - site.times[0] >= 1.0


def test_a_wait_that_one_request_is_told_holds_for_those_under_way_to_the_host(site):
    site.pages.update({"/x": [Answer(b"", 503, {"Retry-After": "1"}), Answer(b"fine")], "/y": Answer(b"fine")})

    async def work(spider):
        return await asyncio.gather(*(outcome(spider, site.root + path) for path in ("/x", "/y", "/y")))

    assert fetching(work, delay=0.3) == [b"fine"] * 3
    assert site.asked[0] == "/x" and site.times[1] - site.times[0] >= 1.0


@pytest.mark.parametrize("wait", ["soon", "-5", "Wed, 99 Foo 2015", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_a_wait_that_is_none_is_not_kept(site, wait):
    site.pages["/x"] = [Answer(b"", 429, {"Retry-After": wait}), Answer(b"fine")]
    assert get(f"{site.root}/x").body == b"fine"


def test_requests_to_one_host_are_apart_by_the_delay_even_when_several_are_under_way(site):
    site.pages["/x"] = Answer(b"fine")

    async def work(spider):
        return await asyncio.gather(*(outcome(spider, f"{site.root}/x") for _ in range(4)))

    fetching(work, delay=0.08)
    assert len(site.times) == 4 and site.times[-1] - site.times[0] > 2 * 0.08


def test_robots_txt_is_read_once_and_obeyed_also_behind_a_redirect(site):
    rules = b"User-agent: *\nDisallow: /all/\n\nUser-agent: Telltale\nDisallow: /private/\nAllow: /\n"
    site.pages["/robots.txt"] = Answer(rules)
    site.pages["/open.png"] = site.pages["/all/x.png"] = Answer(b"fine")
    site.pages["/private/x.png"] = Answer(b"secret")
    site.pages["/detour"] = Answer(status=302, headers={"Location": "/private/x.png"})
    paths = ("/open.png", "/all/x.png", "/private/x.png", "/detour")  # the rules for all are not ours
    found = outcomes([site.root + path for path in paths], robots=True)
    assert found == [b"fine", b"fine", *["refused by robots: Forbidden by robots.txt"] * 2]
    assert site.times_asked("/robots.txt") == 1 and site.times_asked("/private/x.png") == 0
    assert get(f"{site.root}/private/x.png", robots=False).body == b"secret"


def test_robots_txt_counts_for_all_that_wait_for_it(site):
    """Scrapy's own middleware lets the third of them pass."""
    site.pages["/robots.txt"] = Answer(b"User-agent: *\nDisallow: /")

    async def work(spider):
        return await asyncio.gather(*(outcome(spider, f"{site.root}/{number}") for number in range(8)))

    assert fetching(work, robots=True) == ["refused by robots: Forbidden by robots.txt"] * 8
    assert site.asked == ["/robots.txt"]


@pytest.mark.parametrize(
    "rules",
    [
        Answer(b"", 404),
        Answer(b"", 403),
        Answer(b"", 503),
        Answer(b"\xff\xfe\0binary"),
        Answer(b"<html>Disallow: /</html>"),
        Answer(status=302, headers={"Location": "ftp://a/"}),
    ],
)
def test_a_robots_txt_that_is_none_forbids_nothing(site, rules):
    site.pages.update({"/robots.txt": rules, "/x": Answer(b"fine")})
    assert get(f"{site.root}/x", robots=True).body == b"fine"


def test_the_delay_that_robots_txt_asks_for_is_kept(site):
    site.pages.update({"/robots.txt": Answer(b"User-agent: *\nCrawl-delay: 1\n"), "/x": Answer(b"fine")})
    outcomes([f"{site.root}/x"] * 2, robots=True)
    assert site.times[2] - site.times[1] > 0.8
