"""A collection from a real server: what is stored, what is skipped, and why."""

import hashlib
import re
import time

import pytest

from competition.collect.folder import read_rows
from competition.collect.gather import collect
from competition.core.errors import UserError
from competition.data.layouts.read import read_dataset
from tests.collect.site import Answer, collected, encoded, images_in, picture, png, serve, settings_for


def test_images_are_stored_as_served_and_named_by_content_and_true_format(site, tmp_path):
    bodies = {
        "a_jpg": encoded(picture(1), "JPEG", quality=91, comment=b"kept"),
        "b_jpg": png(2),
        "c_png": encoded(picture(3), "WEBP"),
        "d_php": encoded(picture(4), "GIF"),
        "e": encoded(picture(5), "BMP"),
        "f_img": encoded(picture(6), "TIFF"),
    }
    addresses = serve(site, **bodies)
    summary, rows = collected(tmp_path, addresses)
    assert (summary.counts["saved"], summary.counts["refused"], summary.counts["failed"], summary.finished) == (
        6,
        0,
        0,
        0,
    )
    for address, body, ending in zip(
        addresses, bodies.values(), ["jpeg", "png", "webp", "gif", "bmp", "tiff"], strict=True
    ):
        row = rows[address]
        digest = hashlib.sha256(body).hexdigest()
        assert row.file == f"ai/{digest[:16]}.{ending}"
        assert (tmp_path / "data" / row.file).read_bytes() == body
        assert (row.label, row.status, row.sha256, row.bytes) == ("ai", "saved", digest, str(len(body)))
        assert (row.width, row.height, row.final_address) == ("48", "48", address)
        assert row.time.endswith("Z") and row.time[:2] == "20"
    assert len(images_in(tmp_path / "data" / "ai")) == 6


def test_two_labels_make_a_data_set_that_is_read_as_class_folders(site, tmp_path):
    ai, human = serve(site, a=png(1), b=png(2)), serve(site, c=png(3))
    first, _ = collected(tmp_path, ai)
    assert "./run.sh collect urls=FILE label=human out=" in first.lines[-1]
    second, _ = collected(tmp_path, human, label="human")
    assert second.lines[-1] == f"Next: ./run.sh data={tmp_path / 'data'}"
    dataset = read_dataset(tmp_path / "data")
    assert (dataset.kind, dataset.classes) == ("folders", ("human", "ai"))
    assert dataset.train["label"].tolist() == [1, 1, 0]
    rows = [read_rows(tmp_path / "data" / label / "provenance.csv") for label in ("ai", "human")]
    assert set(dataset.train["id"]) == {row.file for some in rows for row in some}


def test_classes_whose_names_tell_nothing_need_the_positive_one_named(site, tmp_path):
    collected(tmp_path, serve(site, a=png(1)), label="cats")
    summary, _ = collected(tmp_path, serve(site, b=png(2)), label="dogs")
    assert "positive=cats (or dogs" in summary.lines[-1]
    third, _ = collected(tmp_path, serve(site, c=png(3)), label="owls")
    assert "3 class folders (cats, dogs, owls)" in third.lines[-1]


def test_a_redirected_image_has_both_addresses(site, tmp_path):
    (target,) = serve(site, new_png=png(1))
    site.pages["/old"] = Answer(status=301, headers={"Location": "/new.png"})
    _, rows = collected(tmp_path, [f"{site.root}/old"])
    assert rows[f"{site.root}/old"].final_address == target


def test_the_same_bytes_are_kept_once_whatever_the_class(site, tmp_path):
    one, other = serve(site, a_png=png(1), b_png=png(1))
    _, rows = collected(tmp_path, [one, other], connections=1)
    assert rows[other].status == f"duplicate of {rows[one].file}"
    summary, rows = collected(tmp_path, [one], label="human")
    assert rows[one].status.startswith("duplicate of ai/") and summary.counts["duplicate"] == 1
    assert images_in(tmp_path / "data" / "human") == []


def test_a_reencoded_or_rescaled_copy_is_a_near_duplicate_and_another_picture_is_not(site, tmp_path):
    addresses = serve(
        site, a_png=png(1), b_jpg=encoded(picture(1), "JPEG", quality=70), c_png=png(1, side=96), d_png=png(2)
    )
    summary, rows = collected(tmp_path, addresses, connections=1)
    first = rows[addresses[0]].file
    assert [rows[address].status for address in addresses] == [
        "saved",
        f"near-duplicate of {first}",
        f"near-duplicate of {first}",
        "saved",
    ]
    assert (summary.counts["saved"], summary.counts["near-duplicate"]) == (2, 2)


def test_an_image_like_one_of_the_other_class_is_kept_for_it_may_be_its_edit(site, tmp_path):
    original, edit, copy = serve(site, a_png=png(1), b_jpg=encoded(picture(1), "JPEG"), c_png=png(1))
    collected(tmp_path, [original], label="human")
    _, rows = collected(tmp_path, [edit, copy])
    assert rows[edit].status == "saved"
    assert rows[copy].status.startswith("duplicate of human/")


def test_what_is_no_whole_image_of_some_size_is_refused_with_its_reason(site, tmp_path):
    jpeg = encoded(picture(1, 200), "JPEG")
    addresses = serve(
        site,
        page_jpg=b"<html>Not found</html>",
        cut_jpg=jpeg[: len(jpeg) // 2],
        cut_png=png(2)[:-20],
        empty_png=b"",
        tiny_png=png(3, side=31),
        odd_ppm=encoded(picture(4), "PPM"),
        large_png=png(5, side=400),
    )
    summary, rows = collected(tmp_path, [*addresses, f"{site.root}/none", "mailto:x@y", "not an address"], max_mb=0.05)
    reasons = [rows[address].status for address in [*addresses, f"{site.root}/none", "mailto:x@y", "not an address"]]
    other = "it is not a JPEG, PNG, WebP, BMP, TIFF or GIF image"
    assert reasons[0] == f"failed: {other}"  # a page in its place may be gone tomorrow
    assert "truncated" in reasons[1] and reasons[2].startswith("refused: it is ")
    assert reasons[3] == "failed: the file is empty"  # and so may an empty answer
    assert reasons[4] == "refused by min_side: its 31 x 31 pixels are too few"
    assert reasons[5] == f"refused: {other}"
    assert re.match(r"refused by max_mb: .*larger than download max size \(50000\)", reasons[6])
    assert reasons[7] == "refused: the server says 404 Not Found"
    assert reasons[8:] == ["refused: it is not a plain web address"] * 2
    assert (summary.counts["saved"], summary.counts["refused"], summary.counts["failed"]) == (0, 8, 2)
    assert summary.lines[-1].startswith("No image is in")
    assert images_in(tmp_path / "data" / "ai") == []


def test_loopback_is_refused_unless_allowed_and_asked_for_once_it_is(site, tmp_path):
    (address,) = serve(site, a_png=png(1))
    _, rows = collected(tmp_path, [address], allow_local=False)
    assert rows[address].status == "refused by allow_local: it is not at a public address"
    assert site.asked == []
    _, rows = collected(tmp_path, [address], allow_local=True)
    assert rows[address].status == "saved"


def test_images_of_a_page_and_of_a_list_come_together(site, tmp_path):
    site.pages["/shop/index.html"] = Answer(
        b'<base href="/pics/"><img src="a.png"><img srcset="s.png 10w, b.png 20w"><img data-src="/c.png">'
        b'<picture><source srcset="d.png"></picture><img src="data:image/png;base64,AA">'
    )
    for number, path in enumerate(["/pics/a.png", "/pics/b.png", "/c.png", "/pics/d.png"]):
        site.pages[path] = Answer(png(number))
    (extra,) = serve(site, extra_png=png(9))
    page = f"{site.root}/shop/index.html"
    summary, rows = collected(tmp_path, [extra, f"{site.root}/c.png"], page=page)
    assert summary.counts["saved"] == 5
    assert set(rows) == {f"{site.root}{path}" for path in ("/pics/a.png", "/pics/b.png", "/c.png", "/pics/d.png")} | {
        extra
    }
    assert site.times_asked("/c.png") == 1 and site.times_asked("/robots.txt") == 1
    again, _ = collected(tmp_path, page=page)
    assert (again.counts["saved"], again.finished) == (0, 4)


def test_an_address_longer_than_any_server_takes_is_refused_and_cut_in_its_row(site, tmp_path):
    (good,) = serve(site, ok_png=png(1))
    site.pages["/page"] = Answer(f'<img src="/{"A" * 200_000}"><img src="/ok.png">'.encode())
    for saved in (1, 0):
        summary, rows = collected(tmp_path, [f"{site.root}/{'B' * 9000}"], page=f"{site.root}/page")
        assert (summary.counts["saved"], summary.counts["refused"]) == (saved, 2)
    assert rows[good].status == "saved" and sum(map(len, rows)) < 20_000


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (Answer(b"<p>words</p>"), "names no images"),
        (Answer(b"", 404), "the server says 404"),
        (Answer(b"", 503), "try again later"),
        (Answer(b"", length=10**9), "larger than download max size"),
        (Answer(status=302, headers={"Location": "/private/page"}), "refused by robots: Forbidden by robots.txt"),
    ],
)
def test_a_page_without_images_is_one_sentence_and_nothing_is_written(site, tmp_path, answer, said):
    site.pages.update({"/robots.txt": Answer(b"User-agent: *\nDisallow: /private"), "/page": answer})
    with pytest.raises(UserError, match=said) as error:
        collect(settings_for(tmp_path, page=f"{site.root}/page"))
    assert "\n" not in str(error.value)
    assert not (tmp_path / "data").exists()


def test_robots_txt_forbids_images_unless_it_is_not_asked(site, tmp_path):
    allowed, forbidden = serve(site, a_png=png(1), secret_png=png(2))
    site.pages["/robots.txt"] = Answer(b"User-agent: *\nDisallow: /secret")
    _, rows = collected(tmp_path, [allowed, forbidden])
    assert rows[allowed].status == "saved"
    assert rows[forbidden].status == "refused by robots: Forbidden by robots.txt"
    assert site.times_asked("/secret.png") == 0
    _, rows = collected(tmp_path, [allowed, forbidden], robots=False)
    assert rows[forbidden].status == "saved"


def test_no_more_than_the_stated_number_of_requests_are_under_way(site, tmp_path):
    def slow(seed):
        def answer(handler):
            time.sleep(0.05)
            handler.send_response(200)
            handler.end_headers()
            handler.wfile.write(png(seed))

        return answer

    site.pages.update({f"/{seed}": slow(seed) for seed in range(9)})
    summary, _ = collected(tmp_path, [f"{site.root}/{seed}" for seed in range(9)], connections=3, robots=False)
    assert summary.counts["saved"] == 9
    assert site.most_at_once in (2, 3)
