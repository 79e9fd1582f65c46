"""The limits of a page: by visitor, by password, by size, and by how much waits."""

import asyncio
import os
import time

import pytest
from fastapi import FastAPI, Request
from fastapi.testclient import TestClient
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from competition.app.guard import MAX_IDLE_SECONDS, WRONG_A_MINUTE, Guarded
from competition.app.limits import MAX_FILES, MAX_WAITING, Allowance, Busy, Limits, Turns, visitor
from competition.app.packed import SPACE_PROXIES


class Clock:
    """Seconds that pass when told."""

    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_visitor_has_so_many_turns_in_any_minute_and_others_have_their_own():
    clock = Clock()
    allowance = Allowance(3, clock)
    for passed in (0, 10, 10):
        clock.now += passed
        assert allowance.take("192.0.2.1") == 0
    assert allowance.take("192.0.2.1") == 40 and allowance.take("192.0.2.2") == 0
    clock.now += 40
    assert allowance.take("192.0.2.1") == 0 and allowance.take("192.0.2.1") == 10
    assert all(Allowance(0, clock).take("192.0.2.1") == 0 for _ in range(1000))


def test_visitors_of_before_are_forgotten():
    clock = Clock()
    allowance = Allowance(3, clock)
    for number in range(1000):
        allowance.take(f"visitor {number}")
    clock.now += 61
    allowance.take("another")
    assert list(allowance.turns) == ["another"]


def test_who_can_choose_among_many_addresses_is_one_visitor():
    assert visitor("2001:db8:1:2:3::4") == visitor("2001:db8:1:2::9") != visitor("2001:db8:1:3::4")
    assert visitor("::ffff:192.0.2.1") == visitor("192.0.2.1") != visitor("192.0.2.2")
    assert visitor(None) == "" and visitor("fe80::1%eth0") == "fe80::/64" and visitor("a socket") == "a socket"


def test_of_those_who_wait_few_are_let_in_and_everyone_leaves():
    turns = Turns()
    for _ in range(2):
        for _ in range(MAX_WAITING + 1):
            assert turns.room.acquire(blocking=False)
        with pytest.raises(Busy), turns.next(patient=False):
            raise AssertionError
        with turns.next(patient=True):
            pass
        for _ in range(MAX_WAITING + 1):
            turns.room.release()
        with pytest.raises(ZeroDivisionError), turns.next(patient=False):
            _ = 1 / 0


def _client(tmp_path, **how) -> TestClient:
    site = FastAPI()
    site.add_middleware(Guarded, limits=Limits(max_mb=1), uploads=tmp_path, **how)

    @site.post("/upload")
    @site.post("/judge")
    async def upload(request: Request) -> int:
        return len(await request.body())

    @site.get("/")
    def page() -> str:
        return "page"

    return TestClient(site)


def test_nothing_is_seen_without_the_password_and_it_cannot_be_guessed(tmp_path):
    client = _client(tmp_path, password="grün:1")
    for asked in (client.get("/"), client.post("/upload", content=b"x"), client.get("/none")):
        assert asked.status_code == 401 and asked.headers["www-authenticate"].startswith("Basic")
        assert "content-security-policy" in asked.headers
    assert client.get("/", auth=(b"anyone", "grün:1".encode())).json() == "page"
    for given in ("Basic !", "Basic ", "Bearer grün:1".encode(), "Basic Og=="):
        assert client.get("/", headers={"authorization": given}).status_code == 401
    statuses = [client.get("/", auth=("me", f"wrong {n}")).status_code for n in range(WRONG_A_MINUTE + 1)]
    assert statuses[0] == 401 and statuses[-1] == 429
    assert client.get("/", auth=(b"anyone", "grün:1".encode())).status_code == 429  # or guessing would go on


def test_who_waits_when_the_page_is_stopped_is_told_so(tmp_path):
    async def site(scope, receive, send):
        await asyncio.sleep(60)

    async def asked() -> list[dict]:
        sent: list[dict] = []

        async def send(message):
            sent.append(message)

        scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
        waiting = asyncio.create_task(Guarded(site, Limits(), tmp_path)(scope, None, send))
        await asyncio.sleep(0)
        waiting.cancel()
        await waiting
        return sent

    start, body = asyncio.run(asked())
    assert start["status"] == 503 and b"the page was stopped" in body["body"]


def test_an_upload_says_its_size_and_has_room_or_is_refused(tmp_path):
    client = _client(tmp_path)
    assert client.post("/upload", content=b"x" * 1000).json() == 1000
    assert client.post("/upload", content=(b"x" for _ in range(3))).status_code == 411
    for headers in ({"transfer-encoding": "chunked", "content-length": "1"}, {"content-length": "9" * 5000}):
        assert client.post("/upload", content=b"x", headers=headers).status_code == 411
    assert client.post("/upload", content=bytes(13 * 2**20)).status_code == 413
    assert client.post("/judge", content=bytes(2**20)).json() == 2**20
    assert client.post("/judge", content=bytes(2 * 2**20)).status_code == 413
    assert client.post("/queue/join", content=bytes(2**17)).status_code == 413
    waiting = tmp_path / "a" / "waiting.png"
    waiting.parent.mkdir()
    waiting.write_bytes(b"")
    os.truncate(waiting, (MAX_WAITING + 1) * MAX_FILES * (2**20 + 2**16))
    assert client.post("/upload", content=b"x").status_code == 503 and waiting.exists()
    old = time.time() - MAX_IDLE_SECONDS - 1
    (tmp_path / "empty").mkdir()
    for path in (waiting, tmp_path / "empty"):
        os.utime(path, (old, old))
    (tmp_path / "link").symlink_to(tmp_path / "a", target_is_directory=True)
    assert client.post("/upload", content=b"x").status_code == 200 and not waiting.exists()
    assert not (tmp_path / "empty").exists() and waiting.parent.exists()


def test_only_the_site_that_is_named_may_frame_the_page(tmp_path):
    alone, framed = _client(tmp_path), _client(tmp_path, framed_by="https://example.org")
    assert alone.get("/").headers["content-security-policy"].endswith("frame-ancestors 'self'")
    assert framed.get("/").headers["content-security-policy"].endswith("frame-ancestors 'self' https://example.org")


@pytest.mark.parametrize(
    ("peer", "said", "known_as"),
    [
        ("10.16.3.80", "192.0.2.7", "192.0.2.7"),
        ("10.16.3.80", "a lie, 198.51.100.1, 192.0.2.7, 10.16.0.9", "192.0.2.7"),
        ("203.0.113.5", "192.0.2.7", "203.0.113.5"),
    ],
)
def test_a_visitor_cannot_pass_for_another_before_a_space(peer, said, known_as):
    told = {}

    async def app(scope, receive, send):
        told["host"] = scope["client"][0]

    scope = {"type": "http", "client": (peer, 1), "headers": [(b"x-forwarded-for", said.encode())]}
    asyncio.run(ProxyHeadersMiddleware(app, SPACE_PROXIES)(scope, None, None))
    assert told["host"] == known_as
