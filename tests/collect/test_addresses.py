"""Addresses are read from lists and pages as a browser reads them, and those that must not be asked are told."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from competition.collect.addresses import (
    Refused,
    candidates,
    distinct,
    is_public,
    page_images,
    page_text,
    parsed,
    read_list,
    taking_turns,
)
from competition.errors import UserError

PAGE = "https://site.example/a/b/page.html"


@pytest.mark.parametrize(
    "number",
    ["127.0.0.1", "127.9.9.9", "0.0.0.0", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1",
     "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "::", "::1", "fe80::1",
     "fe80::1%eth0", "fc00::1", "fd12::1", "fec0::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1",
     "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "2001:db8::1", "2001::1", "100::1", "4000::1",
     "not a number", ""],
)  # fmt: skip
def test_addresses_off_the_public_internet_are_known_as_such(number):
    assert not is_public(number)


@pytest.mark.parametrize(
    "number", ["8.8.8.8", "93.184.216.34", "100.128.0.1", "172.32.0.1", "2606:4700::1111", "::ffff:8.8.8.8",
               "64:ff9b::808:808", "2002:808:808::"]
)  # fmt: skip
def test_public_addresses_are_known_as_such(number):
    assert is_public(number)


@pytest.mark.parametrize(
    ("address", "reason"),
    [("ftp://a.example/x.png", "no http"), ("file:///etc/passwd", "no http"), ("a.example/x.png", "no http"),
     ("javascript:alert(1)", "no http"), ("", "no http"), ("http://", "no host"), ("http:///x.png", "no host"),
     ("http://me:secret@a.example/x.png", "user name"), ("http://me@a.example/x.png", "user name"),
     ("http://a.example:99999/", "no address"), ("http://[::1", "no address"), ("http://a b.example/", "no"),
     ("http://[fe80::1%25eth0]/", "no host"),
     ("http://a.example/" + "x" * 9000, "characters")],
)  # fmt: skip
def test_what_is_no_plain_web_address_is_refused(address, reason):
    with pytest.raises(Refused, match=reason):
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
        except Refused:
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


def test_images_of_a_page_are_resolved_against_its_address():
    html = """<img src="x.png"><IMG SRC='/y.png'><img src=//other.example/z.png><img src="https://far.example/w.png">
    <img src="../up.png?a=1&amp;b=2#frag"><img alt="none"><img src=""><img src="data:image/png;base64,AA==">
    <img src="ftp://a.example/no.png"><a href="big.png">no image</a><img src="x.png"><img src="http://[broken">
    <video><source src="film.mp4"></video><!-- <img src="comment.png"> --><script>"<img src='script.png'>"</script>"""
    assert page_images(html, PAGE) == [
        "https://site.example/a/b/x.png", "https://site.example/y.png", "https://other.example/z.png",
        "https://far.example/w.png", "https://site.example/a/up.png?a=1&b=2",
    ]  # fmt: skip


def test_the_base_of_a_page_holds_for_all_of_it_and_only_the_first_counts():
    html = '<img src="x.png"><base target="_blank"><base href="/pics/"><base href="/other/"><img src="y.png">'
    assert page_images(html, PAGE) == ["https://site.example/pics/x.png", "https://site.example/pics/y.png"]


def test_of_each_tag_the_largest_candidate_is_taken():
    html = """<img src="small.png" srcset="small.png 320w, large.png 1280w, middle.png 640w">
    <picture><source srcset="one.webp, two.webp 2x"><img src="fallback.jpg"></picture>
    <img src="blurred.gif" data-src="real.jpg"><img src="data:image/gif;base64,AA" data-srcset="lazy.jpg 2x, s.jpg 1x">
    <img src="only.png" srcset="">"""
    names = [address.rpartition("/")[2] for address in page_images(html, PAGE)]
    assert names == ["large.png", "two.webp", "fallback.jpg", "real.jpg", "lazy.jpg", "only.png"]


@pytest.mark.parametrize(
    ("srcset", "found"),
    [("a.png", [("a.png", 1)]), ("a.png 1x,b.png 2x", [("a.png", 1), ("b.png", 2)]),
     ("a.png, b.png 1.5x ,", [("a.png", 1), ("b.png", 1.5)]), ("a,b.png 2x", [("a,b.png", 2)]),
     ("  a.png\n 100w ,\n b.png 200w 50h", [("a.png", 100), ("b.png", 200)]), ("", []), (" , ", []),
     ("/w_300,h_200/a.jpg 300w, /w_600,h_400/a.jpg 600w", [("/w_300,h_200/a.jpg", 300), ("/w_600,h_400/a.jpg", 600)])],
)  # fmt: skip
def test_a_srcset_is_parsed_as_the_standard_says(srcset, found):
    assert candidates(srcset) == found


@given(st.text(alphabet="<>='\"/ ,imgsrcetdabov&#;0129wx:\n", max_size=200))
def test_no_page_is_too_broken_to_read(html):
    for address in page_images(html, PAGE):
        assert address.startswith(("http://", "https://"))


def test_a_page_is_decoded_by_the_charset_that_it_states():
    assert page_text("<p>é".encode("latin-1"), "text/html; charset=ISO-8859-1") == "<p>é"
    assert page_text('<meta charset="windows-1252">é'.encode("cp1252"), "text/html").endswith("é")
    assert page_text("é".encode(), "text/html; charset=nonsense") == "é"


def test_an_address_that_differs_in_its_fragment_is_the_same_and_the_first_spelling_stays():
    assert distinct(["http://a/1#x", "http://a/2", "http://a/1#y", "http://a/1"]) == ["http://a/1#x", "http://a/2"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 99)), unique=True))
def test_hosts_take_turns_and_no_address_is_lost(pairs):
    addresses = [f"http://{host}/{number}" for host, number in pairs]
    turns = taking_turns(addresses)
    assert sorted(turns) == sorted(addresses)
    for host in "abc":
        own = f"http://{host}/"
        assert [a for a in turns if a.startswith(own)] == [a for a in addresses if a.startswith(own)]
    hosts = len({host for host, _ in pairs})
    assert len({address[7] for address in turns[:hosts]}) == hosts
