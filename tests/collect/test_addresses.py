"""Addresses are read from lists, and those that must not be asked are told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from competition.collect.addresses import Rejected, parsed, read_list
from competition.collect.gather import taking_turns
from competition.collect.guard import is_public
from competition.collect.provenance import Row
from competition.core.errors import UserError


@pytest.mark.parametrize(
    "number",
    [
        "127.0.0.1",
        "127.9.9.9",
        "0.0.0.0",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
        "192.0.2.1",
        "198.18.0.1",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fd12::1",
        "fec0::1",
        "ff02::1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2001:db8::1",
        "2001::1",
        "100::1",
        "4000::1",
        "not a number",
        "",
    ],
)
def test_addresses_off_the_public_internet_are_known_as_such(number):
    assert not is_public(number)


@pytest.mark.parametrize(
    "number",
    [
        "8.8.8.8",
        "93.184.216.34",
        "100.128.0.1",
        "172.32.0.1",
        "2606:4700::1111",
        "::ffff:8.8.8.8",
        "64:ff9b::808:808",
        "2002:808:808::",
    ],
)
def test_public_addresses_are_known_as_such(number):
    assert is_public(number)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("ftp://a.example/x.png", "not an http"),
        ("file:///etc/passwd", "not an http"),
        ("a.example/x.png", "not an http"),
        ("javascript:alert(1)", "not an http"),
        ("", "not an http"),
        ("http://", "no host"),
        ("http:///x.png", "no host"),
        ("http://me:secret@a.example/x.png", "user name"),
        ("http://me@a.example/x.png", "user name"),
        ("http://a.example:99999/", "not an address"),
        ("http://[::1", "not an address"),
        ("http://a b.example/", "no"),
        ("http://[fe80::1%25eth0]/", "no host"),
        ("http://a.example/" + "x" * 9000, "characters"),
    ],
)
def test_what_is_no_plain_web_address_is_refused(address, reason):
    with pytest.raises(Rejected, match=reason):
        parsed(address)


def test_an_address_is_brought_into_the_spelling_in_which_it_is_asked_for():
    url = parsed("HTTPS://Bücher.Example:8443/ä b.png?q=ü#part")
    assert (url.scheme, url.host, url.port) == ("https", "xn--bcher-kva.example", 8443)
    assert url.request_uri == "/%C3%A4%20b.png?q=%C3%BC"
    assert parsed("http://a.example").request_uri == "/"
    assert parsed("http://8.8.8.8\\@127.0.0.1/").host == "8.8.8.8"  # as browsers read it


@given(st.text(max_size=60))
def test_any_text_is_an_address_or_refused(text):
    for address in (text, f"http://{text}", f"http://a.example/{text}"):
        try:
            url = parsed(address)
        except Rejected:
            continue
        assert url.scheme in ("http", "https") and url.host and url.request_uri.isascii()


def test_a_list_has_an_address_a_line_with_comments_and_blank_lines(tmp_path):
    path = tmp_path / "urls.txt"
    path.write_bytes(
        "\ufeff# my list\r\nhttp://a.example/1.png\r\n\r\n  http://a.example/2.png   # the best\n#x\nhttp://a/#f\n".encode()
    )
    assert read_list(str(path)) == ["http://a.example/1.png", "http://a.example/2.png", "http://a/#f"]


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "cannot be read"), (b"# nothing\n\n", "holds no address"), (b"\xff\xfeh\0t\0", "not UTF-8")],
)
def test_a_list_that_is_none_is_one_sentence(tmp_path, content, said):
    path = tmp_path / "urls.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=said) as error:
        read_list(str(path))
    assert str(path) in str(error.value) and "\n" not in str(error.value)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 99)), unique=True))
def test_hosts_take_turns_and_no_address_is_lost(pairs):
    addresses = [f"http://{host}/{number}" for host, number in pairs]
    turns = [row.address for row in taking_turns(Row("ai", address=address) for address in addresses)]
    assert sorted(turns) == sorted(addresses)
    for host in "abc":
        own = f"http://{host}/"
        assert [a for a in turns if a.startswith(own)] == [a for a in addresses if a.startswith(own)]
    hosts = len({host for host, _ in pairs})
    assert len({address[7] for address in turns[:hosts]}) == hosts
