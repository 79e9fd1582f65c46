"""Addresses are read from lists, and those that must not be asked are told."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from competition.collect.crawl import NoAnswer, fetch, is_public
from competition.collect.sources import read_list
from competition.core.errors import UserError
from competition.core.options import ADDRESS
from tests.collect.site import fetching


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
        "::ffff:8.8.8.8",
        "::127.0.0.1",
        "64:ff9b::7f00:1",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2002:808:808::",
        "2001:db8::1",
        "2001::1",
        "100::1",
        "4000::1",
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
        "64:ff9b::808:808",
    ],
)
def test_public_addresses_are_known_as_such(number):
    assert is_public(number)


@pytest.mark.parametrize(
    "address",
    [
        "ftp://a.example/x.png",
        "file:///etc/passwd",
        "a.example/x.png",
        "javascript:alert(1)",
        "",
        "http://",
        "http:///x.png",
        "http://me:secret@a.example/x.png",
        "http://me@a.example/x.png",
        "http://a b.example/",
        "http://8.8.8.8\\@127.0.0.1/",
        "http://a.example/" + "x" * 9000,
    ],
)
def test_what_is_no_plain_web_address_is_known_as_such(address):
    assert not re.fullmatch(ADDRESS, address)


@pytest.mark.parametrize(
    "address",
    ["http://a.example", "HTTPS://B\u00fccher.Example:8443/\u00e4 b.png?q=\u00fc@#part", "http://[::1]/", "http://a/@"],
)
def test_plain_web_addresses_are_known_as_such(address):
    assert re.fullmatch(ADDRESS, address)


@settings(max_examples=20, deadline=None)
@given(st.lists(st.text(max_size=60), min_size=20, max_size=20))
def test_any_text_gives_no_answer_and_nothing_worse(texts):
    async def work(spider):
        for text in texts:
            with pytest.raises(NoAnswer):
                await fetch(spider, f"http://{text}.invalid/{text}")

    fetching(work, retries=0)


def test_a_list_has_an_address_a_line_with_comments_and_blank_lines(tmp_path):
    path = tmp_path / "urls.txt"
    path.write_bytes(
        "\ufeff# my list\r\nhttp://a.example/1.png\r\n\r\n  http://a.example/2.png   # the best\n#x\nhttp://a/#f\n".encode()
    )
    assert read_list(str(path)) == ["http://a.example/1.png", "http://a.example/2.png", "http://a/#f"]


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "cannot be read"), (b"# nothing\n\n", "holds no address"), (b"\xff\xfeh\0t\0", "cannot be read")],
)
def test_a_list_that_is_none_is_one_sentence(tmp_path, content, said):
    path = tmp_path / "urls.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=said) as error:
        read_list(str(path))
    assert str(path) in str(error.value) and "\n" not in str(error.value)
