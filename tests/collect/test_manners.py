"""How long the fetcher waits between requests, and what it does not ask for because robots.txt says so."""

import asyncio

import pytest

from competition.collect.addresses import Failed, Rejected
from tests.collect.site import LIMIT, Answer, Site, fetching, get


async def outcome(fetcher, address):
    """Return the body, or the reason why there is none."""
    try:
        return (await fetcher.get(address, LIMIT)).body
    except (Rejected, Failed) as error:
        return str(error)


def outcomes(addresses, **changes):
    async def work(fetcher):
        return [await outcome(fetcher, address) for address in addresses]

    return fetching(work, **changes)


def test_pauses_between_retries_grow(site):
    site.pages["/x"] = [Answer(b"", 503)] * 3 + [Answer(b"fine")]
    get(f"{site.root}/x", delay=0.05, retries=3)
    pauses = [later - earlier for earlier, later in zip(site.times, site.times[1:], strict=False)]
    assert pauses[0] >= 0.05 and pauses[1] >= 0.1 and pauses[2] >= 0.2


@pytest.mark.parametrize("status", [429, 503])
def test_the_wait_that_a_server_asks_for_is_kept(site, status):
    site.pages["/x"] = [Answer(b"", status, {"Retry-After": "1"}), Answer(b"fine")]
    assert get(f"{site.root}/x").body == b"fine"
    assert site.times[1] - site.times[0] >= 1.0


def test_a_wait_that_one_request_is_told_holds_for_those_under_way_to_the_host(site):
    site.pages.update({"/x": [Answer(b"", 503, {"Retry-After": "1"}), Answer(b"fine")], "/y": Answer(b"fine")})

    async def work(fetcher):
        return await asyncio.gather(*(outcome(fetcher, site.root + path) for path in ("/x", "/y", "/y")))

    assert fetching(work, delay=0.3) == [b"fine"] * 3
    assert site.asked[0] == "/x" and site.times[1] - site.times[0] >= 1.0


def test_a_host_that_asks_for_an_hour_is_left_alone(site):
    site.pages["/x"] = Answer(b"", 429, {"Retry-After": "3600"})
    site.pages["/y"] = Answer(b"fine")
    for said in outcomes([f"{site.root}/x", f"{site.root}/y"]):
        assert "asks for 3,600 seconds without requests" in said
    assert site.asked == ["/x"]


@pytest.mark.parametrize("wait", ["soon", "-5", "Wed, 99 Foo 2015", "Wed, 21 Oct 2015 07:28:00 GMT"])
def test_a_wait_that_is_none_is_not_kept(site, wait):
    site.pages["/x"] = [Answer(b"", 429, {"Retry-After": wait}), Answer(b"fine")]
    assert get(f"{site.root}/x").body == b"fine"


def test_requests_to_one_host_are_apart_by_the_delay_even_when_several_are_under_way(site):
    site.pages["/x"] = Answer(b"fine")

    async def work(fetcher):
        return await asyncio.gather(*(outcome(fetcher, f"{site.root}/x") for _ in range(4)))

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
    forbidden = f"robots.txt of {site.root.removeprefix('http://')} forbids it"
    assert found == [b"fine", b"fine", forbidden, forbidden]
    assert site.times_asked("/robots.txt") == 1 and site.times_asked("/private/x.png") == 0
    assert get(f"{site.root}/private/x.png", robots=False).body == b"secret"


@pytest.mark.parametrize(
    "rules",
    [
        Answer(b"User-agent: *\nDisallow: /", 404),
        Answer(b"", 403),
        Answer(b"", 401),
        Answer(b"\xff\xfe\0binary"),
        Answer(b"<html>Disallow: /</html>"),
        Answer(status=302, headers={"Location": "ftp://a/"}),
    ],
)
def test_a_robots_txt_that_is_none_forbids_nothing(site, rules):
    site.pages.update({"/robots.txt": rules, "/x": Answer(b"fine")})
    assert get(f"{site.root}/x", robots=True).body == b"fine"


def test_a_robots_txt_that_the_server_fails_to_give_forbids_all_until_another_run(site):
    site.pages.update({"/robots.txt": Answer(b"", 503), "/x": Answer(b"fine"), "/y": Answer(b"fine")})
    for said in outcomes([f"{site.root}/x", f"{site.root}/y"], robots=True, retries=1):
        assert said.endswith("cannot be read (the server says 503 Service Unavailable)")
    assert site.asked == ["/robots.txt", "/robots.txt"]
    site.pages["/robots.txt"] = [Answer(b"", 503), Answer(b"", 404)]
    assert get(f"{site.root}/x", robots=True).body == b"fine"


def test_a_long_robots_txt_is_obeyed_as_far_as_its_first_500_kilobytes_go(site):
    rules = b"User-agent: *\nDisallow: /x\n" + b"#" * 483_970 + b"\n"
    rules += b"Disallow: /" + b"y" * 999_999
    site.pages.update({"/robots.txt": Answer(rules), "/x": Answer(b"fine"), "/yes": Answer(b"fine")})
    found = outcomes([f"{site.root}/x", f"{site.root}/yes"], robots=True)
    assert "forbids it" in found[0] and found[1] == b"fine"


def test_a_host_that_gives_nothing_for_five_addresses_is_left_alone_and_others_are_not(site):
    site.pages.update({"/ok": Answer(b"fine"), "/none": Answer(b"", 404)})
    dead = [f"{site.root}/dead{number}" for number in range(6)]
    site.pages.update({f"/dead{number}": Answer(b"", 503) for number in range(6)})
    with Site() as other:
        other.pages["/ok"] = Answer(b"fine")
        asked = [
            *dead[:4],
            f"{site.root}/none",
            *dead[:6],
            f"{site.root}/ok",
            f"{other.root}/ok",
        ]  # 404: an answer, too
        found = outcomes(asked, retries=1)
    assert all("503" in said for said in [*found[:4], *found[5:10]]) and "404" in found[4]
    assert found[10:] == ["its host does not answer now"] * 2 + [b"fine"]
    assert len(site.asked) == 4 * 2 + 1 + 5 * 2


def test_the_delay_that_robots_txt_asks_for_is_kept(site):
    site.pages.update({"/robots.txt": Answer(b"User-agent: *\nCrawl-delay: 1\n"), "/x": Answer(b"fine")})
    outcomes([f"{site.root}/x"] * 2, robots=True)
    assert site.times[2] - site.times[1] > 0.8
