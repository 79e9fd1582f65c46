"""How long the fetcher waits between requests, and what it does not ask for because robots.txt says so."""

import email.utils
import threading
import time

import pytest

from competition.collect.addresses import Rejected
from competition.collect.fetch import Fetcher
from competition.collect.manners import Failed, retry_after
from tests.collect.site import LIMIT, Answer, Site, get


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


def test_a_host_that_asks_for_an_hour_is_left_alone(site):
    site.pages["/x"] = Answer(b"", 429, {"Retry-After": "3600"})
    site.pages["/y"] = Answer(b"fine")
    with Fetcher(True, 0.0, 4, False) as fetcher:
        for path in ("/x", "/y"):
            with pytest.raises(Failed, match=r"asks for 3,\d\d\d seconds without requests"):
                fetcher.get(site.root + path, LIMIT)
    assert site.asked == ["/x"]


def test_retry_after_is_a_number_or_a_date():
    assert retry_after("7") == 7.0
    date = email.utils.formatdate(time.time() + 100, usegmt=True)
    assert 95 < retry_after(date) <= 100
    assert retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    for nonsense in ("", "soon", "-5", "1e9", "9" * 500, "Wed, 99 Foo 2015"):
        assert retry_after(nonsense) == 0


def test_requests_to_one_host_are_apart_by_the_delay_even_from_several_threads(site):
    site.pages["/x"] = Answer(b"fine")
    with Fetcher(True, 0.08, 0, False) as fetcher:
        threads = [threading.Thread(target=fetcher.get, args=(f"{site.root}/x", LIMIT)) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(site.times) == 4 and site.times[-1] - site.times[0] > 2 * 0.08


def test_robots_txt_is_read_once_and_obeyed_also_behind_a_redirect(site):
    rules = b"User-agent: *\nDisallow: /all/\n\nUser-agent: Telltale\nDisallow: /private/\nAllow: /\n"
    site.pages["/robots.txt"] = Answer(rules)
    site.pages["/open.png"] = site.pages["/all/x.png"] = Answer(b"fine")
    site.pages["/private/x.png"] = Answer(b"secret")
    site.pages["/detour"] = Answer(status=302, headers={"Location": "/private/x.png"})
    with Fetcher(True, 0.0, 0, True) as fetcher:
        assert fetcher.get(f"{site.root}/open.png", LIMIT).body == b"fine"
        assert fetcher.get(f"{site.root}/all/x.png", LIMIT).body == b"fine"  # the rules for all are not ours
        for path in ("/private/x.png", "/detour"):
            with pytest.raises(Rejected, match=r"robots\.txt of .* forbids it") as refusal:
                fetcher.get(site.root + path, LIMIT)
            assert refusal.value.setting == "robots"
    assert site.times_asked("/robots.txt") == 1 and site.times_asked("/private/x.png") == 0
    assert get(f"{site.root}/private/x.png", robots=False).body == b"secret"


@pytest.mark.parametrize(
    "rules",
    [
        Answer(b"", 404),
        Answer(b"", 403),
        Answer(b"", 401),
        Answer(b"\xff\xfe\0binary"),
        Answer(b"<html>Disallow: /</html>"),
        Answer(b"User-agent: *\nCrawl-delay: \xc2\xb2\nDisallow: /"),
        Answer(status=302, headers={"Location": "ftp://a/"}),
    ],
)
def test_a_robots_txt_that_is_none_forbids_nothing(site, rules):
    site.pages.update({"/robots.txt": rules, "/x": Answer(b"fine")})
    assert get(f"{site.root}/x", robots=True).body == b"fine"


def test_a_robots_txt_that_the_server_fails_to_give_forbids_all_until_another_run(site):
    site.pages.update({"/robots.txt": Answer(b"", 503), "/x": Answer(b"fine"), "/y": Answer(b"fine")})
    with Fetcher(True, 0.0, 1, True) as fetcher:
        for path in ("/x", "/y"):
            with pytest.raises(Failed, match=r"robots\.txt of .* cannot be read \(the server says 503"):
                fetcher.get(site.root + path, LIMIT)
    assert site.asked == ["/robots.txt", "/robots.txt"]
    site.pages["/robots.txt"] = [Answer(b"", 503), Answer(b"", 404)]
    assert get(f"{site.root}/x", robots=True).body == b"fine"


def test_a_long_robots_txt_is_obeyed_as_far_as_its_first_500_kilobytes_go(site):
    rules = b"User-agent: *\nDisallow: /x\n" + b"#" * 483_970 + b"\n"
    rules += b"Disallow: /" + b"y" * 999_999
    site.pages.update({"/robots.txt": Answer(rules), "/x": Answer(b"fine"), "/yes": Answer(b"fine")})
    with Fetcher(True, 0.0, 0, True) as fetcher:
        with pytest.raises(Rejected, match="forbids it"):
            fetcher.get(f"{site.root}/x", LIMIT)
        assert fetcher.get(f"{site.root}/yes", LIMIT).body == b"fine"


def test_a_host_that_gives_nothing_for_five_addresses_is_left_alone_and_others_are_not(site):
    site.pages.update({"/ok": Answer(b"fine"), "/none": Answer(b"", 404)})
    dead = [f"{site.root}/dead{number}" for number in range(6)]
    site.pages.update({f"/dead{number}": Answer(b"", 503) for number in range(6)})
    with Site() as other, Fetcher(True, 0.0, 1, False) as fetcher:
        other.pages["/ok"] = Answer(b"fine")

        def fail(addresses, said):
            for address in addresses:
                with pytest.raises(Failed, match=said):
                    fetcher.get(address, LIMIT)

        fail(dead[:4], "503")
        with pytest.raises(Rejected, match="404"):
            fetcher.get(f"{site.root}/none", LIMIT)  # an answer, too
        fail(dead[:5], "503")
        before = len(site.asked)
        fail([dead[5], f"{site.root}/ok"], "its host does not answer now")
        assert len(site.asked) == before == 4 * 2 + 1 + 5 * 2
        assert fetcher.get(f"{other.root}/ok", LIMIT).body == b"fine"


def test_the_delay_that_robots_txt_asks_for_is_kept(site):
    site.pages.update({"/robots.txt": Answer(b"User-agent: *\nCrawl-delay: 1\n"), "/x": Answer(b"fine")})
    with Fetcher(True, 0.0, 0, True) as fetcher:
        for _ in range(2):
            fetcher.get(f"{site.root}/x", LIMIT)
    assert site.times[2] - site.times[1] > 0.8
