"""Whom the fetcher never asks, however the address is disguised, and whom it does not trust."""

import shutil
import socket
import subprocess
import time

import pytest

from competition.collect.crawl import NoAnswer
from tests.collect.site import Answer, Site, get, in_a_network_of_its_own


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("file:///etc/passwd", "302 Found"),
        ("ftp://a.example/x", "302 Found"),
        ("http://[::1", "Invalid IPv6 URL"),
        ("http://a..b/", "label empty or too long"),
    ],
)
def test_a_redirect_to_what_is_no_plain_web_address_is_refused(site, place, reason):
    site.pages["/x"] = Answer(status=302, headers={"Location": place})
    with pytest.raises(NoAnswer, match=f"refused.*{reason}"):
        get(f"{site.root}/x")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "127.1", "2130706433", "0x7f.1", "[::ffff:127.0.0.1]"])
def test_loopback_is_never_asked_whatever_it_is_called(site, host):
    port = site.root.rpartition(":")[2]
    with pytest.raises(NoAnswer, match=r"not at a public address|not a canonical IPv4 address"):
        get(f"http://{host}:{port}/x", allow_local=False, robots=True)
    assert site.asked == []


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("number", ["169.254.169.254", "10.0.0.1", "192.168.0.1", "100.64.1.1", "[fe80::1]", "[::]"])
def test_private_addresses_are_refused_before_anything_is_sent(scheme, number):
    began = time.monotonic()
    with pytest.raises(NoAnswer, match="not at a public address"):
        get(f"{scheme}://{number}/latest", allow_local=False)
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("means", [["127.0.0.1"], ["93.184.216.34", "127.0.0.1"], ["::1", "127.0.0.1"]])
def test_a_name_that_means_loopback_first_or_on_second_thoughts_is_not_connected_to(monkeypatch, scheme, means):
    look_up = socket.getaddrinfo

    def names(host, port, *words, **more):
        return [one for number in means for one in look_up(number, port, type=socket.SOCK_STREAM)]

    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.1)
        monkeypatch.setattr(socket, "getaddrinfo", names)
        with pytest.raises(NoAnswer, match=r"not at a public address|Cannot connect to host"):
            get(f"{scheme}://rebinding.example:{server.getsockname()[1]}/x", allow_local=False, retries=1)
        with pytest.raises(TimeoutError):
            server.accept()


# Runs where the network is the machine's own loopback and nothing else, with a public address on it.
ON_A_PUBLIC_ADDRESS = """
from competition.collect.crawl import NoAnswer, fetch
from tests.collect.site import Answer, Site, fetching
async def work(spider):
    print((await fetch(spider, public.root + "/x")).body)
    for place in (local.root + "/x", "http://169.254.169.254/latest", "file:///etc/passwd"):
        public.pages["/y"] = Answer(status=302, headers={"Location": place})
        try:
            print(await fetch(spider, public.root + "/y"))
        except NoAnswer as none:
            print(none)
with Site("93.184.216.34") as public, Site() as local:
    public.pages["/x"] = local.pages["/x"] = Answer(b"fine")
    fetching(work, allow_local=False, robots=True)
    print(local.asked)
"""


def test_a_redirect_from_an_allowed_to_a_refused_address_is_refused():
    assert in_a_network_of_its_own(ON_A_PUBLIC_ADDRESS, 60) == [
        "b'fine'",
        "refused by allow_local: it is not at a public address",
        "refused by allow_local: it is not at a public address",
        "refused: the server says 302 Found",
        "[]",
    ]


def test_proxies_of_the_environment_are_not_asked(monkeypatch, site):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    site.pages["/x"] = Answer(b"direct")
    assert get(f"{site.root}/x").body == b"direct"


@pytest.mark.skipif(not shutil.which("openssl"), reason="makes a certificate with openssl")
def test_a_certificate_is_accepted_only_if_somebody_vouches_for_it(tmp_path, monkeypatch):
    made = [
        "openssl",
        "req",
        "-x509",
        "-newkey",
        "rsa:2048",
        "-nodes",
        "-subj",
        "/CN=127.0.0.1",
        "-keyout",
        "key.pem",
        "-out",
        "cert.pem",
        "-addext",
        "subjectAltName=IP:127.0.0.1",
    ]
    subprocess.run(made, cwd=tmp_path, check=True, capture_output=True)
    with Site(certificate=tmp_path / "cert.pem", key=tmp_path / "key.pem") as site:
        site.pages["/x"] = Answer(b"fine")
        with pytest.raises(NoAnswer, match=r"127\.0\.0\.1.*CERTIFICATE_VERIFY_FAILED"):
            get(f"{site.root}/x")
        assert site.asked == []
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
        assert get(f"{site.root}/x").body == b"fine"
        with pytest.raises(NoAnswer, match=r"localhost.*CERTIFICATE_VERIFY_FAILED"):
            get(f"{site.root}/x".replace("127.0.0.1", "localhost"))
