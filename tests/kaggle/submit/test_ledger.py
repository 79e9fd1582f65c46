"""The ledger never loses a row, and `./run.sh ledger` says what Kaggle made of each and which score to go by."""

import csv
import os
import subprocess
import sys

import cv2
import pytest

from competition.core.errors import UserError
from competition.kaggle.submission.figures import Figures
from competition.kaggle.submission.fingerprint import describe, file_mark, kernel_mark, marks_in
from competition.kaggle.submission.ledger import COLUMNS, begin, new_row, open_ledger, read_ledger, settle
from tests.kaggle.submit.made import FILES, SLUG, SOLUTION, content, make_data, make_run
from tests.kaggle.submit.session import Session, failed
from tests.kaggle_world import World
from tests.running import ROOT, inside

NOW = "2026-11-21T00:00:00Z"


def listed(ref, description, status="complete", public="0.9", time=NOW, error=""):
    cells = {"ref": ref, "time": time, "message": description, "file": "submission.csv", "status": status}
    return cells | {"public": public, "private": "", "error": error}


def row(mark="aaaaaaaa", name="first", competition=SLUG):
    return new_row(Figures(name=name, cv=0.95, cv_low=0.94, cv_high=0.96), competition, f"{name}.csv", mark)


def test_a_mark_stands_for_the_content_alone_and_is_found_as_a_word():
    assert file_mark(b"a") == file_mark(b"a") != file_mark(b"b") and len(file_mark(b"a")) == 8
    assert len({kernel_mark("a/b", 1), kernel_mark("a/b", 2), kernel_mark("a/c", 1)}) == 3
    assert describe("", ["mine", "CV 0.9"], "0123abcd") == "mine CV 0.9 0123abcd"
    assert describe(" two\nlines ", ["mine"], "0123abcd") == "two lines [0123abcd]"
    assert marks_in("two [0123abcd], x0123abcd 0123abcde 914df0b 5e4a14d8") == {"0123abcd", "5e4a14d8"}
    with pytest.raises(UserError, match="shorten it"):
        describe("x" * 300, [], "0123abcd")


def test_kaggles_list_finds_the_row_by_reference_then_by_mark_and_else_makes_one():
    rows = []
    begin(rows, row(), NOW)
    begin(rows, row(), NOW)  # repeated before it was ever seen: the same row
    assert [one["status"] for one in rows] == ["uploading"]
    known = {"bbbbbbbb": row("bbbbbbbb", "second")}
    settle(
        rows, SLUG, [listed("3", "by hand"), listed("2", "second bbbbbbbb"), listed("1", "first aaaaaaaa")], known, NOW
    )
    assert [(one["ref"], one["name"], one["cv"]) for one in rows] == [
        ("1", "first", "0.95"),
        ("2", "second", "0.95"),
        ("3", "", ""),
    ]
    assert rows[2]["message"] == "by hand" and rows[2]["file"] == "submission.csv"
    begin(rows, row(), NOW)  # once more, on purpose
    settle(rows, SLUG, [listed("4", "first aaaaaaaa", "pending", ""), listed("1", "first aaaaaaaa")], known, NOW)
    settle(
        rows, SLUG, [listed("4", "first aaaaaaaa", "error", "", error="bad"), listed("1", "", public="")], known, NOW
    )
    assert [(one["ref"], one["status"], one["public"]) for one in rows] == [
        ("1", "complete", "0.9"),
        ("2", "complete", "0.9"),
        ("3", "complete", "0.9"),
        ("4", "error", ""),
    ]
    settle(rows, "dogs", [listed("1", "another competition's")], known, NOW)
    assert len(rows) == 5 and rows[0]["message"] == "first aaaaaaaa"


def test_a_row_gets_its_figures_when_the_card_comes_to_this_machine_and_keeps_what_it_has():
    rows, one = [], listed("1", "better than bbbbbbbb [aaaaaaaa]")
    settle(rows, SLUG, [one], {}, NOW)
    assert (rows[0]["fingerprint"], rows[0]["cv"], rows[0]["file"]) == ("", "", "submission.csv")
    settle(rows, SLUG, [one], {"aaaaaaaa": row(), "bbbbbbbb": row("bbbbbbbb", "second")}, NOW)
    assert [rows[0][key] for key in ("fingerprint", "name", "cv", "file", "ref")] == [
        "aaaaaaaa",
        "first",
        "0.95",
        "first.csv",
        "1",
    ]
    settle(rows, SLUG, [one], {"aaaaaaaa": row() | {"cv": "0.1", "world": "same world"}}, NOW)
    assert (rows[0]["cv"], rows[0]["world"], len(rows)) == ("0.95", "same world", 1)


def test_a_ledger_keeps_columns_of_the_users_own_and_its_bytes_where_nothing_changes(tmp_path):
    path = tmp_path / "ledger.csv"
    path.write_bytes(b'\xef\xbb\xbfref,note,competition,fingerprint\r\n7,"mine, too",cats,aaaaaaaa\r\n')
    before = path.read_bytes()
    with open_ledger(tmp_path) as rows:
        assert rows[0]["note"] == "mine, too" and rows[0]["status"] == ""
    assert path.read_bytes() == before
    with pytest.raises(KeyError), open_ledger(tmp_path) as rows:
        rows.clear()
        raise KeyError
    assert path.read_bytes() == before
    with open_ledger(tmp_path) as rows:
        begin(rows, row("bbbbbbbb"), NOW)
    lines = path.read_text().splitlines()
    assert lines[0].split(",") == [*COLUMNS, "note"] and len(lines) == 3
    assert read_ledger(path)[0]["note"] == "mine, too" and read_ledger(path)[1]["note"] == ""


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (b"a,b\n1,2\n", "has no column 'competition'"),
        (b"\xff\xfe", "is not UTF-8"),
        (b"", "has no column"),
        (b"competition,fingerprint,ref\ncats,a,1,2\n", "line 2, has more cells"),
    ],
)
def test_a_file_that_is_no_ledger_is_named_and_left_alone(tmp_path, written, said):
    (tmp_path / "ledger.csv").write_bytes(written)
    with pytest.raises(UserError, match=said), open_ledger(tmp_path):
        pass
    assert (tmp_path / "ledger.csv").read_bytes() == written


ADDER = """
import sys; from pathlib import Path
from competition.kaggle.submission.figures import Figures
from competition.kaggle.submission.ledger import begin, new_row, open_ledger
for number in range(20):
    with open_ledger(Path(sys.argv[1])) as rows:
        begin(rows, new_row(Figures(), "cats", "x.csv", f"{sys.argv[2]}{number:07}"), "")
"""


def test_two_processes_that_write_at_once_lose_no_row(tmp_path):
    line = [sys.executable, "-c", ADDER, str(tmp_path)]
    both = [subprocess.Popen([*line, side], env={**os.environ, "PYTHONPATH": str(ROOT)}) for side in "ab"]
    assert [process.wait(60) for process in both] == [0, 0]
    assert len({one["fingerprint"] for one in read_ledger(tmp_path / "ledger.csv")}) == 40


@pytest.fixture
def world():
    with World() as world:
        world.add_competition(SLUG, files=FILES, solution=SOLUTION, show_private=False, pending_lists=0, daily=50)
        yield world


def test_the_ledger_lists_what_was_submitted_anywhere_beside_its_cv_and_draws_it(world, tmp_path):
    home = tmp_path
    run = Session(world, home)
    nothing = run("ledger")
    assert nothing.returncode == 0 and "Nothing is submitted yet" in nothing.stdout
    make_run(home, "first", wrong=4, cv=0.95, reach=0.02)
    failed(run("ledger", "competition=Fakes"), 2, "There is no competition Fakes")
    assert run("ledger", "competition=Fakes").stdout == ""
    empty = run("ledger", f"competition=https://www.kaggle.com/competitions/{SLUG}/data")
    assert empty.stdout == f"{SLUG}: nothing is submitted yet.\n"
    marks = {"first": file_mark(content(4)), "second": file_mark(make_run(home, "second", wrong=2, cv=0.93, reach=0.3))}
    (home / "hand.csv").write_bytes(content(1))
    line = ["competitions", "submit", SLUG, "-q"]  # elsewhere, and by other means
    assert world.kaggle(*line, "-f", home / "hand.csv", "-m", "by hand").returncode == 0
    (home / "hand.csv").write_bytes(content(2))
    assert world.kaggle(*line, "-f", home / "hand.csv", "-m", f"mine {marks['second']}").returncode == 0
    make_data(home)
    assert run("submit", "name=first", "yes=true").returncode == 0

    done = run("ledger")
    assert done.returncode == 0, done.stderr
    with open(home / "submissions" / "ledger.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    by_hand, second, first = world.submissions(SLUG)
    assert {one["ref"]: (one["name"], one["public"]) for one in rows} == {
        str(first.ref): ("first", first.public),
        str(second.ref): ("second", second.public),
        str(by_hand.ref): ("", by_hand.public),
    }
    gap = float(first.public) - 0.95
    assert f"{gap:+.4f}" in done.stdout and "OUTSIDE" in done.stdout
    assert (
        f"first ({marks['first']}): public {float(first.public):.4f} is below its CV interval 0.930-0.970"
        in done.stdout
    )
    assert "and below its leaderboard range 0.930-0.970" in done.stdout
    assert "Trust       CV: 2 submissions with both scores cannot speak against it" in done.stdout
    assert f"Final two   first ({marks['first']}), the best by CV" in done.stdout
    picture = home / "submissions" / "ledger.png"
    assert cv2.imread(str(picture)).shape[1] == 1200 and "submissions/ledger.png" in done.stdout

    before = (home / "submissions" / "ledger.csv").read_bytes()
    offline = run("ledger", "offline=true", f"competition={SLUG}")
    assert offline.returncode == 0 and offline.stdout == done.stdout
    world.fault("ListSubmissions", "reset", times=1000)
    unreachable = run("ledger", "wait=1")
    assert unreachable.returncode == 3 and unreachable.stdout == done.stdout
    assert "This is the ledger as it was" in unreachable.stderr and unreachable.stderr.count("\n") == 1
    world.credentials().unlink()
    unknown = run("ledger")
    assert unknown.returncode == 2 and "no Kaggle credentials" in unknown.stderr
    assert unknown.stdout == done.stdout.partition("Picture")[0]  # a refused line writes nothing
    assert (home / "submissions" / "ledger.csv").read_bytes() == before


def test_words_that_do_not_fit_are_one_sentence(tmp_path):
    mistakes = {
        "x": "'x' is not a setting",
        "ofline=true": "did you mean 'offline'?",
        "offline=1": "offline=1 is not true or false",
        "wait=x": "wait=x is not a number",
    }
    for word, said in mistakes.items():
        result = inside(tmp_path, "ledger", word)
        assert result.returncode == 2 and said in result.stderr and result.stderr.count("\n") == 1
