"""The fetcher against a real server: what it asks for, how much it reads, and what it makes of failures."""

import gzip
import socket
import time

import pytest

from competition.collect.crawl import AGENT, NoAnswer
from tests.collect.site import Answer, get


def test_what_is_served_comes_back_byte_for_byte_with_an_honest_name(site):
    body = bytes(range(256)) * 999
    site.pages["/a.bin?x=1"] = Answer(body, headers={"Content-Type": "image/x-odd; a=b"})
    fetched = get(f"{site.root}/a.bin?x=1#part")
    assert (fetched.body, fetched.url) == (body, f"{site.root}/a.bin?x=1#part")
    assert fetched.headers["Content-Type"] == b"image/x-odd; a=b"
    assert site.agents == {AGENT} and AGENT.startswith("Telltale/")


def test_a_compressed_answer_is_unpacked_and_its_limit_is_that_of_what_it_becomes(site):
    site.pages["/a"] = Answer(gzip.compress(b"x" * 1000), headers={"Content-Encoding": "gzip"})
    site.pages["/bomb"] = Answer(gzip.compress(bytes(50_000_000)), headers={"Content-Encoding": "gzip"})
    assert get(f"{site.root}/a").body == b"x" * 1000
    with pytest.raises(NoAnswer, match=r"refused.*(larger than download max size|exceeded DOWNLOAD_MAXSIZE)"):
        get(f"{site.root}/bomb")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirects_are_followed_to_where_they_point(site, status):
    site.pages["/old/x"] = Answer(status=status, headers={"Location": "../new/b%20c?d"})
    site.pages["/new/b%20c?d"] = Answer(b"here")
    fetched = get(f"{site.root}/old/x")
    assert (fetched.body, fetched.url) == (b"here", f"{site.root}/new/b%20c?d")


def test_five_redirects_are_followed_and_not_six(site):
    for step in range(6):
        site.pages[f"/{step}"] = Answer(status=302, headers={"Location": f"/{step + 1}"})
    site.pages["/6"] = Answer(b"end")
    assert get(f"{site.root}/1").body == b"end"
    with pytest.raises(NoAnswer, match=r"refused.*max redirections reached"):
        get(f"{site.root}/0")


@pytest.mark.parametrize("status", [400, 404, 410, 204, 206, 304, 300])
def test_what_the_server_will_not_give_is_refused_at_once(site, status):
    site.pages["/x"] = Answer(b"" if status in (204, 304) else b"sorry", status)
    with pytest.raises(NoAnswer, match=f"refused.*the server says {status}"):
        get(f"{site.root}/x")
    assert site.times_asked("/x") == 1


@pytest.mark.parametrize("status", [401, 403])
def test_what_the_server_will_not_give_to_us_is_failed_at_once(site, status):
    site.pages["/x"] = Answer(b"sorry", status)
    with pytest.raises(NoAnswer, match=f"failed.*the server says {status}"):
        get(f"{site.root}/x")
    assert site.times_asked("/x") == 1


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_passing_failure_is_tried_again(site, status):
    site.pages["/x"] = [Answer(b"", status), Answer(b"", status), Answer(b"fine")]
    assert get(f"{site.root}/x").body == b"fine"
    assert site.times_asked("/x") == 3


def test_a_failure_that_does_not_pass_is_failed_after_the_retries(site):
    site.pages["/x"] = Answer(b"", 503)
    with pytest.raises(NoAnswer, match=r"failed.*the server says 503 Service Unavailable"):
        get(f"{site.root}/x", retries=3)
    assert site.times_asked("/x") == 4


def test_a_declared_length_of_ten_gigabytes_is_refused_unread(site):
    sent = []

    def pour(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", "10000000000")
        handler.end_headers()
        for _ in range(2000):
            sent.append(handler.wfile.write(bytes(100_000)))

    site.pages["/x"] = pour
    with pytest.raises(NoAnswer, match=r"refused by max_mb.*larger than download max size"):
        get(f"{site.root}/x")
    assert sum(sent) < 20_000_000  # what the sockets' buffers hold, at most


@pytest.mark.parametrize("chunked", [False, True])
def test_an_endless_body_without_a_length_is_cut_off_at_the_limit(site, chunked):
    sent = []

    def pour(handler):
        handler.protocol_version = "HTTP/1.1" if chunked else "HTTP/1.0"
        handler.send_response(200)
        if chunked:
            handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        while True:
            sent.append(handler.wfile.write(b"186a0\r\n" + bytes(100_000) + b"\r\n" if chunked else bytes(100_000)))

    site.pages["/x"] = pour
    with pytest.raises(NoAnswer, match=r"refused.*(larger than download max size|exceeded DOWNLOAD_MAXSIZE)"):
        get(f"{site.root}/x")
    assert sum(sent) < 20_000_000


def test_a_body_shorter_than_its_length_is_tried_again(site):
    site.pages["/x"] = [Answer(b"half", length=8), Answer(b"complete")]
    assert get(f"{site.root}/x").body == b"complete"


def test_a_reset_connection_is_tried_again(site):
    def reset(handler):
        handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        handler.connection.close()

    calls = []

    def first_reset(handler):
        calls.append(1)
        if len(calls) == 1:
            return reset(handler)
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(b"fine")

    site.pages["/x"] = first_reset
    assert get(f"{site.root}/x").body == b"fine"


@pytest.mark.parametrize("where", ["headers", "body", "silent"])
def test_a_server_that_is_silent_or_drips_is_left_at_the_deadline(site, monkeypatch, where):
    monkeypatch.setattr("competition.collect.crawl.PATIENCE", 0.4)

    def drip(handler):
        if where == "body":
            handler.send_response(200)
            handler.end_headers()
        for _ in range(60):
            time.sleep(0.05)
            if where != "silent":
                handler.wfile.write(b"x")

    site.pages["/x"] = drip
    began = time.monotonic()
    with pytest.raises(NoAnswer, match=r"failed.*(took longer than|Bad status line)"):
        get(f"{site.root}/x", retries=0, max_mb=0.001)
    assert time.monotonic() - began < 2


def test_nobody_at_the_other_end_is_failed_in_plain_words():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(NoAnswer, match=r"failed.*Cannot connect to host 127\.0\.0\.1"):
        get(f"http://127.0.0.1:{port}/x", retries=1)
    with pytest.raises(NoAnswer, match=r"failed.*Cannot connect to host no-such-host\.invalid"):
        get("http://no-such-host.invalid/x", retries=0)
