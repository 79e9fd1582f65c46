"""`./run.sh download` through the real Kaggle command line: complete or not there, and every failure one sentence."""

import io
import json
import os
import random
import signal
import subprocess
import sys
import time
import zipfile

import pytest

from tests.kaggle.download.test_unpack import tree, zipped
from tests.kaggle_world import World
from tests.running import everything, inside

MIB = 1 << 20
LARGE = random.Random(0).randbytes(4 * MIB)  # a file whose archive comes in parts: the command line writes whole MiB


@pytest.fixture
def world():
    with World() as world:
        yield world


@pytest.fixture
def home(tmp_path):
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def download(world, home, *words, slug="cats", **more):
    return world.telltale(home, "download", *([f"competition={slug}"] if slug else []), *words, **more)


def started(world, home):
    """Start a download in the background."""
    return world.popen(
        sys.executable,
        "-m",
        "competition",
        "download",
        "competition=cats",
        cwd=home,
        env={"TELLTALE_HOME": str(home)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def done(result):
    assert result.returncode == 0, result.stderr
    return result.stdout


def refused(result, status, *said):
    """Assert that the command ended with one sentence and this status."""
    assert result.returncode == status, result.stdout + result.stderr
    assert result.stderr.startswith("Error: ") and result.stderr.count("\n") == 1, result.stderr
    for words in said:
        assert words in result.stderr, result.stderr


def brought(home, slug="cats"):
    """Return the files that lie in the data's folder, but for the record of them."""
    return {name: content for name, content in tree(home / "data" / slug).items() if name != ".kaggle.json"}


def bodies(world):
    """Return the ranges of the requests for archives, '' for one from the beginning."""
    return [one.range for one in world.requests("GET /download")]


def part_of(home, slug="cats"):
    return home / "data" / ".download" / slug / f"{slug}.zip"


def wait_for(condition, seconds=60):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "it did not come to pass"
        time.sleep(0.02)


def test_a_competition_comes_complete_is_told_in_sentences_and_is_recognised(world, home):
    files = tree(world.add_demo("cats"))
    printed = done(download(world, home))
    assert brought(home) == files
    assert os.listdir(home / "data") == ["cats"]  # no archive, no part of one
    assert f"cats is complete in data/cats: {len(files)} files, 0.3 MB." in printed
    assert "60 training images, 50.0% of them '1' (class 1), in 60 groups (group=none); 24 test images" in printed
    assert "A quick audit: " in printed
    assert printed.endswith("Next: ./run.sh competition=cats data=data/cats fold=0..4\n")

    asked, before = len(bodies(world)), everything(home)
    size = json.loads((home / "data/cats/.kaggle.json").read_text())["archive"]
    part_of(home).parent.mkdir(parents=True)
    part_of(home).write_bytes(bytes(size))  # as a kill leaves it after all is in its place
    (part_of(home).parent / "replaced").mkdir()
    printed = done(download(world, home))
    assert "cats is complete in data/cats" in printed and "nothing is downloaded" in printed
    assert os.listdir(home / "data") == ["cats"]
    assert "24 test images" in printed and "Warning" not in printed
    assert len(bodies(world)) == asked and everything(home) == before


def test_the_preset_s_competition_is_meant_where_none_is_named(world, home):
    slug = "detect-ai-vs-human-generated-images"
    world.add_demo(slug)
    loose = world.credentials(mode=0o644)
    world.fault("DownloadDataFiles", "status", code=503)  # one that passes is not seen
    printed = done(download(world, home, "data=here", "keep_zip=true", slug=""))
    assert printed.startswith(f"Warning: other users of this machine can read {loose}: chmod 600 {loose}.\n")
    assert "in 30 groups (group=pairs)" in printed
    assert printed.endswith("Next: ./run.sh preset=wai2025 data=here fold=0..4\n")
    assert f"Its archive is kept: .download/{slug}/{slug}.zip" in printed
    done(download(world, home, "data=here", slug=""))
    with zipfile.ZipFile(home / ".download" / slug / f"{slug}.zip") as archive:
        assert archive.testzip() is None


def test_files_that_cannot_be_read_are_brought_all_the_same_and_overwriting_spares_the_user_s(world, home):
    inner = io.BytesIO()
    with zipfile.ZipFile(inner, "w") as made:
        made.writestr("1.txt", b"1")
    world.add_competition("cats", files={"notes.txt": b"no table", "b.txt": b"old", "train.zip": inner.getvalue()})
    printed = done(download(world, home))
    assert brought(home) == {"notes.txt": b"no table", "b.txt": b"old", "train/1.txt": b"1"}
    assert "Telltale cannot read them as they are laid out: " in printed and "neither a train.csv nor" in printed

    world.add_competition("cats", files={"notes.txt": b"new", "c.txt": b"new"})
    printed = done(download(world, home))
    assert "files on Kaggle are others now: overwrite=true downloads them anew" in printed
    (home / "data/cats/b.txt").unlink()
    refused(download(world, home), 2, "is not whole any more (b.txt is another or none): overwrite=true")
    done(download(world, home, "overwrite=true"))
    assert brought(home) == {"notes.txt": b"new", "c.txt": b"new"}

    (home / "data/cats/mine.txt").write_bytes(b"mine")
    refused(download(world, home, "overwrite=true"), 2, "holds 1 file that no download brought")
    assert brought(home) == {"notes.txt": b"new", "c.txt": b"new", "mine.txt": b"mine"}
    refused(download(world, home, "data=data/cats", slug="dogs"), 2, "holds the files of competition cats")


def test_a_folder_of_other_files_is_left_alone_and_an_empty_one_is_filled(world, home):
    world.add_competition("cats", files={"a.csv": b"x"})
    (home / "data/cats").mkdir(parents=True)
    (home / "data/cats/thesis.txt").write_text("years of work")
    for words in ([], ["overwrite=true"]):
        refused(download(world, home, *words), 2, "data/cats holds other files already (thesis.txt)", "data=")
    assert brought(home) == {"thesis.txt": b"years of work"}
    (home / "data/cats/thesis.txt").unlink()
    done(download(world, home))
    assert brought(home) == {"a.csv": b"x"}


REFUSALS = {
    "no credentials": (lambda world: world.credentials().unlink(), "There are no Kaggle credentials on this machine"),
    "a bad key": (lambda world: world.credentials(key="0" * 32), "refuses the credentials in"),
    "rules": (lambda world: world.set_competition("cats", entered=False), "competitions/cats/rules"),
    "rules, seen late": (
        lambda world: world.fault("DownloadDataFiles", "status", code=403, message="You must accept the rules."),
        "competitions/cats/rules, then repeat the same line (Kaggle says: You must accept the rules.)",
    ),
    "no such competition": (lambda world: world.add_competition("dogs"), "There is no competition cats on Kaggle"),
}


@pytest.mark.parametrize("why", REFUSALS)
def test_what_kaggle_refuses_is_one_sentence_with_status_2_and_nothing_written(world, home, why):
    prepare, said = REFUSALS[why]
    if why != "no such competition":
        world.add_competition("cats", files={"a.csv": b"x"})
    prepare(world)
    refused(download(world, home), 2, said)
    assert everything(home) == {}


def test_a_mistake_in_the_words_is_one_sentence_and_asks_nobody(home, monkeypatch):
    monkeypatch.setenv("HOME", str(home))
    for words, said in (
        (["competitoin=cats"], "did you mean 'competition'"),
        (["cats"], "'cats' is not a setting: write key=value"),
        (["competition=../cats"], "cannot be a competition"),
        (["preset=demo"], "preset=demo is of no competition on Kaggle"),
        (["keep_zip=yes"], "keep_zip=yes is not true or false"),
        (["patience=0"], "patience=0.0 is out of range: give a value from 1 to 1000000"),
        (["competition=https://www.kaggle.com/competitions/cats/data"], "no Kaggle credentials"),  # a good address
    ):
        refused(inside(home, "download", *words), 2, said)
    assert everything(home) == {}


# A file system of its own in a namespace of its own: without room, then without room for files, then with both.
ON_A_SMALL_DISK = """
mount -t tmpfs -o size=400k none {disk} && {line}; echo "status $?"
mount -o remount,size=50m,nr_inodes=30 none {disk} && {line}; echo "status $?"; find {disk}
mount -o remount,size=50m,nr_inodes=10k none {disk} && {line}; echo "status $?"; find {disk}
"""


@pytest.mark.slow
def test_a_full_disk_is_seen_before_the_download_or_else_keeps_the_archive_and_nothing_half_unpacked(world, home):
    files = tree(world.add_demo("cats"))
    (home / "disk").mkdir()
    line = f"{sys.executable} -m competition download competition=cats data={home}/disk/cats"
    script = ON_A_SMALL_DISK.format(disk=home / "disk", line=line)
    result = world.run("unshare", "-m", "sh", "-c", script, cwd=home, env={"TELLTALE_HOME": str(home)})
    early, late = result.stderr.splitlines()
    assert early.startswith(f"Error: 0.4 MB are free at {home}/disk")
    assert "the archive and its files need 1.6 MB: make room there" in early
    assert "was full before cats was unpacked: the archive is kept; make room, then repeat the same line" in late
    _, full, mended, end = result.stdout.split("status ")
    assert full.startswith("2") and mended.startswith("2") and end.startswith("0")
    disk = f"{home}/disk/"
    left, there = (
        {line.removeprefix(disk) for line in text.splitlines() if line.startswith(disk)} for text in (mended, end)
    )
    assert left == {".download", ".download/cats", ".download/cats/cats.zip"}
    assert {f"cats/{name}" for name in files} < there and ".download" not in there


def test_an_archive_with_names_that_lead_out_is_refused_and_kept_for_a_look(world, home):
    hostile = zipped(home.parent / "a.zip", ("train.csv", b"x"), ("../../evil.csv", b"x")).read_bytes()
    world.add_competition("cats", files={"train.csv": b"x"}, archive=hostile)
    for _ in range(2):
        refused(download(world, home), 2, "not safe to unpack, for '../../evil.csv' leads out of its folder")
        assert sorted(tree(home)) == ["data/.download/cats/cats.zip"]
    assert part_of(home).read_bytes() == hostile


def test_a_damaged_archive_is_thrown_away_and_the_next_one_is_unpacked(world, home):
    good = zipped(home.parent / "a.zip", ("train.csv", bytes(5000)), compression=zipfile.ZIP_STORED).read_bytes()
    for broken in (good[:2000] + b"?" + good[2001:], b"<html>" + good[6:-22] + bytes(22)):
        world.add_competition("cats", files={"train.csv": b"x"}, archive=broken)
        refused(download(world, home), 3, "it was thrown away, and the same line downloads it anew")
        assert everything(home) == {}
    world.add_competition("cats", files={"train.csv": b"x"}, archive=good)
    done(download(world, home))
    assert brought(home) == {"train.csv": bytes(5000)}


def test_a_killed_download_ends_at_once_and_is_resumed_where_it_was_though_connections_break(world, home):
    world.add_competition("cats", files={"large.bin": LARGE})
    world.fault("GET /download", "truncate", bytes=2 * MIB, skip=1)  # the command line then waits a moment
    process = started(world, home)
    wait_for(lambda: part_of(home).is_file() and part_of(home).stat().st_size >= MIB)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    asked = len(bodies(world))
    time.sleep(3.2)  # in which a command line that had outlived us would have asked for the rest
    there = part_of(home).stat().st_size
    assert len(bodies(world)) == asked and MIB <= there <= 2 * MIB

    world.fault("GET /download", "truncate", bytes=MIB + 5, skip=2)  # as it resumes: after two that ask for no part
    done(download(world, home))
    first, second = [int(span.removeprefix("bytes=").removesuffix("-")) for span in bodies(world)[asked:] if span]
    assert first == there and there < second < len(LARGE)
    assert brought(home) == {"large.bin": LARGE} and os.listdir(home / "data") == ["cats"]


@pytest.mark.slow
def test_a_download_that_stalls_is_taken_up_again(world, home):
    world.add_competition("cats", files={"large.bin": LARGE})
    world.fault("GET /download", "stall", seconds=60, skip=1)
    begun = time.monotonic()
    done(download(world, home, "patience=20"))
    assert time.monotonic() - begun < 50
    assert brought(home) == {"large.bin": LARGE}


@pytest.mark.slow
def test_an_error_that_is_written_over_a_part_is_never_taken_for_the_archive_s_beginning(world, home):
    world.add_competition("cats", files={"large.bin": LARGE})
    world.fault("GET /download", "truncate", bytes=2 * MIB, skip=1)
    world.fault("GET /download", "status", code=403, message="The address has expired.", skip=1, times=2)
    done(download(world, home))
    assert brought(home) == {"large.bin": LARGE}


def test_a_download_that_does_not_go_on_says_how_much_is_there_and_keeps_it(world, home):
    world.add_competition("cats", files={"large.bin": LARGE})
    world.fault("GET /download", "truncate", bytes=2 * MIB, skip=1)
    world.fault("GET /download", "reset", times=99, skip=1)
    refused(download(world, home, "patience=4"), 3, " MB of the 4.2 MB of cats are there", "repeat the same line later")
    assert part_of(home).stat().st_size >= MIB
    assert part_of(home).read_bytes()[:4] == b"PK\3\4"


def test_only_one_download_of_a_competition_at_a_time_and_ctrl_c_ends_it(world, home):
    world.add_competition("cats", files={"a.csv": b"x"})
    world.fault("GET /download", "stall", seconds=60, skip=1)
    first = started(world, home)
    wait_for(lambda: len(bodies(world)) == 2)
    refused(download(world, home), 2, "Another download of cats to data is under way: wait for it")
    first.send_signal(signal.SIGINT)
    _, said = first.communicate(timeout=30)
    assert (
        first.returncode == 130
        and said == "\nInterrupted: what is finished is kept; the same line, run again, does the rest.\n"
    )
    assert everything(home) == {}
