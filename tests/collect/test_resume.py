"""A collection run again, killed, or run twice at once: nothing is fetched twice and nothing is lost."""

import json
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace

import pytest

from competition.collect.folder import read_rows
from competition.collect.gather import collect
from competition.core.errors import UserError
from competition.data.images.decode import decode
from tests.collect.site import (
    Answer,
    collected,
    encoded,
    images_in,
    outcome_of,
    picture,
    png,
    send,
    serve,
    settings_for,
)
from tests.running import ROOT


def test_a_second_run_asks_only_for_what_failed_and_what_is_new(site, tmp_path):
    good, none, failing, new = [f"{site.root}/{name}" for name in ("good", "none", "failing", "new")]
    site.pages.update({"/good": Answer(png(1)), "/failing": Answer(b"", 503), "/new": Answer(png(3))})
    first, rows = collected(tmp_path, [good, none, failing], retries=1, robots=False)
    assert (first.counts["saved"], first.counts["refused"], first.counts["failed"]) == (1, 1, 1)
    assert rows[failing].status == "failed: the server says 503 Service Unavailable"
    assert "run the same line again" in " ".join(first.lines)
    site.pages["/failing"] = Answer(png(2))
    site.asked.clear()
    second, rows = collected(tmp_path, [good, none, failing, new], robots=False)
    assert (second.counts["saved"], second.finished) == (2, 2)
    assert sorted(site.asked) == ["/failing", "/new"]
    assert {row.status for row in rows.values()} == {"saved", "refused: the server says 404 Not Found"}
    provenance = tmp_path / "data/ai/provenance.csv"
    before = provenance.stat().st_mtime_ns
    third, _ = collected(tmp_path, [good, none, failing, new], robots=False)
    assert third.finished == 4 and provenance.stat().st_mtime_ns == before


def test_what_the_user_weeded_out_is_not_fetched_again(site, tmp_path):
    (address,) = serve(site, a_png=png(1))
    _, rows = collected(tmp_path, [address])
    (tmp_path / "data" / rows[address].file).unlink()
    same, near, first = serve(site, b_png=png(1), c_jpg=encoded(picture(1), "JPEG"), d_png=png(2))
    summary, again = collected(tmp_path, [address, same, near, first])
    assert (summary.finished, summary.counts["saved"]) == (1, 1) and site.times_asked("/a.png") == 1
    assert again[same].status == f"duplicate of {rows[address].file}"
    assert again[near].status == f"near-duplicate of {rows[address].file}"


def test_a_class_folder_that_the_user_renamed_keeps_its_rows(site, tmp_path):
    (address,) = serve(site, a_png=png(1))
    collected(tmp_path, [address])
    (tmp_path / "data/ai").rename(tmp_path / "data/fake")
    summary, rows = collected(tmp_path, [address], label="fake")
    assert summary.finished == 1 and rows[address].label == "fake"


def test_what_a_setting_refused_is_asked_for_again_and_what_the_server_refused_is_not(site, tmp_path):
    (small,), none = serve(site, a_png=png(1, side=48)), f"{site.root}/none"
    summary, _ = collected(tmp_path, [small, none], min_side=64)
    assert summary.counts["refused"] == 2
    summary, rows = collected(tmp_path, [small, none])
    assert (summary.counts["saved"], summary.finished, rows[small].status) == (1, 1, "saved")
    assert site.times_asked("/none") == 1


def test_a_file_that_the_user_changed_is_never_overwritten(site, tmp_path):
    one, other = serve(site, a_png=png(1), b_png=png(1))
    _, rows = collected(tmp_path, [one])
    path = tmp_path / "data" / rows[one].file
    path.write_bytes(png(7, side=64))
    _, again = collected(tmp_path, [one, other])
    assert path.read_bytes() == png(7, side=64)
    assert again[other].status == f"duplicate of {rows[one].file}"


def test_only_what_a_killed_run_left_half_written_is_removed(site, tmp_path):
    folder = tmp_path / "data" / "ai"
    folder.mkdir(parents=True)
    left = {".0123456789abcdef.png.x1_yz.telltale.tmp", ".provenance.csv.x1_yz.telltale.tmp"}
    for name in {".mine.tmp", ".notes.csv.abc.tmp", *left}:
        (folder / name).write_text("x")
    (folder / ".0123456789abcdef.png.link.telltale.tmp").symlink_to(folder / ".mine.tmp")
    collected(tmp_path, serve(site, a_png=png(1)))
    assert {path.name for path in folder.glob(".*")} == {
        ".mine.tmp",
        ".notes.csv.abc.tmp",
        ".0123456789abcdef.png.link.telltale.tmp",
    }


def test_a_fingerprint_spoilt_in_the_table_leaves_the_bytes_to_compare(site, tmp_path):
    one, same = serve(site, a_png=png(1), b_png=png(1))
    _, rows = collected(tmp_path, [one])
    path = tmp_path / "data/ai/provenance.csv"
    path.write_text(path.read_text().replace(rows[one].perceptual_hash, "zzz"))
    _, again = collected(tmp_path, [one, same])
    assert again[same].status == f"duplicate of {rows[one].file}"


@pytest.mark.parametrize("kept", [0.5, 0.97])
def test_a_row_cut_short_is_dropped_and_its_image_keeps_its_place(site, tmp_path, kept):
    addresses = serve(site, a_png=png(1), b_png=png(2))
    _, rows = collected(tmp_path, addresses)
    path = tmp_path / "data/ai/provenance.csv"
    raw = path.read_bytes()
    path.write_bytes(raw[: int(len(raw) * kept)])
    summary, again = collected(tmp_path, addresses)
    assert {row.status for row in again.values()} == {"saved"} and summary.counts["saved"] in (1, 2)
    assert {row.file for row in again.values()} == {row.file for row in rows.values()}
    assert len(images_in(tmp_path / "data" / "ai")) == 2


def test_a_table_that_is_no_provenance_is_not_overwritten(site, tmp_path):
    (tmp_path / "data" / "ai").mkdir(parents=True)
    path = tmp_path / "data/ai/provenance.csv"
    path.write_text("painter,year\nme,2024\n")
    with pytest.raises(UserError, match=r"provenance\.csv has no column 'address'"):
        collected(tmp_path, serve(site, a_png=png(1)))
    assert path.read_text() == "painter,year\nme,2024\n"


RUN = """
import json, os, signal, sys
from competition.collect.gather import collect
from competition.collect.options import CollectOptions
if sys.argv[2] == "replace":  # the process ends in the middle of storing its third file
    replace, calls = os.replace, []
    def dying(*words):
        calls.append(1)
        if len(calls) == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        replace(*words)
    os.replace = dying
collect(CollectOptions(**json.loads(sys.argv[1])))
"""


@pytest.mark.parametrize("when", ["asking", "replace"])
def test_a_killed_run_goes_on_where_it_was_and_fetches_nothing_twice(site, tmp_path, when):
    """``asking``: killed while it waits for the server; ``replace``: while it stores an image."""
    reached, forever = threading.Event(), threading.Event()

    def stuck(handler):
        reached.set()
        forever.wait(30)

    site.pages.update({f"/{seed}": Answer(png(seed)) for seed in range(6)})
    if when == "asking":
        site.pages["/3"] = stuck
    addresses = [f"{site.root}/{seed}" for seed in range(6)]
    settings = settings_for(tmp_path, addresses, connections=1, robots=False)
    process = subprocess.Popen([sys.executable, "-c", RUN, json.dumps(vars(settings)), when], cwd=ROOT)
    try:
        if when == "asking":
            assert reached.wait(60)
            process.kill()
        assert process.wait(60) == -signal.SIGKILL
    finally:
        process.kill()
        forever.set()
    folder = tmp_path / "data" / "ai"
    recorded = {row.address for row in read_rows(folder / "provenance.csv")}
    assert 1 <= len(recorded) <= 3
    for path in folder.iterdir():
        if not path.name.startswith(".") and path.name != "provenance.csv":
            decode(path.read_bytes(), path)
    site.pages["/3"] = Answer(png(3))
    site.asked.clear()
    summary = outcome_of(collect(replace(settings, connections=4)))
    assert summary.finished == len(recorded) and summary.counts["saved"] == 6 - len(recorded)
    assert not {f"{site.root}{path}" for path in site.asked} & recorded
    assert len(site.asked) == 6 - len(recorded)
    rows = read_rows(folder / "provenance.csv")
    assert sorted(row.address for row in rows) == addresses and {row.status for row in rows} == {"saved"}
    assert images_in(folder) == sorted(row.file.removeprefix("ai/") for row in rows)


@pytest.mark.parametrize(("number", "what"), [(signal.SIGINT, "wait"), (signal.SIGTERM, "body")])
def test_an_interrupt_ends_what_is_waited_for_and_leaves_nothing_half_written(site, tmp_path, number, what):
    reached, forever = threading.Event(), threading.Event()

    def stuck(handler):
        if what == "wait":
            return send(handler, Answer(b"", 429, {"Retry-After": "60"})), reached.set()
        if what == "body":
            handler.send_response(200)
            handler.end_headers()
            handler.wfile.write(png(1)[:100])
        reached.set()
        forever.wait(30)

    site.pages.update({"/a": Answer(png(1)), "/b": stuck})
    options = {"connections": 1, "delay": 0, "allow_local": "true", "robots": "false", "label": "ai"}
    options |= {"urls": settings_for(tmp_path, [f"{site.root}/a", f"{site.root}/b"]).urls, "out": tmp_path / "data"}
    words = [f"{key}={value}" for key, value in options.items()]
    run = subprocess.Popen([sys.executable, "-m", "competition", "collect", *words], cwd=ROOT, stderr=subprocess.PIPE)
    try:
        assert reached.wait(60)
        time.sleep(0.1)
        run.send_signal(number)
        said = run.communicate(timeout=5)[1].decode()
    finally:
        run.kill()
        forever.set()
    assert run.returncode == 128 + number
    assert said == "\nInterrupted: what is finished is kept; the same line, run again, does the rest.\n"
    assert len(images_in(tmp_path / "data/ai")) == 1 and not [*(tmp_path / "data").rglob(".*")]


def test_two_collections_at_once_in_one_folder_are_refused(site, tmp_path):
    reached, go_on = threading.Event(), threading.Event()

    def slow(handler):
        reached.set()
        go_on.wait(30)
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(png(1))

    site.pages["/a"] = slow
    settings = settings_for(tmp_path, [f"{site.root}/a"], robots=False)
    thread = threading.Thread(target=collect, args=(settings,))
    thread.start()
    try:
        assert reached.wait(10)
        with pytest.raises(UserError, match="Another collection works in"):
            collect(replace(settings, label="human"))
    finally:
        go_on.set()
        thread.join(10)
    assert len(images_in(tmp_path / "data" / "ai")) == 1
