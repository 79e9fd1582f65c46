"""`./run.sh submit` by the real command line against the stand-in: once, or not at all, and the status is the truth."""

import csv
import datetime
import os
import pty
import signal
import subprocess
import sys
import time

import pytest

from competition.kaggle.submission.ledger import open_ledger
from competition.kaggle.submit.upload import alone
from tests.kaggle.submit.made import FILES, SLUG, SOLUTION, content, make_data, make_run
from tests.kaggle.submit.session import Session, failed
from tests.kaggle_world import World


@pytest.fixture
def world():
    with World() as world:
        world.add_competition(SLUG, files=FILES, solution=SOLUTION, show_private=False, pending_lists=0, daily=50)
        yield world


@pytest.fixture
def home(tmp_path):
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


def ledger(home):
    with open(home / "submissions" / "ledger.csv", newline="") as file:
        return list(csv.DictReader(file))


def own(home, name, wrong):
    """Write a file that no run made; return the words that submit it."""
    (home / name).write_bytes(content(wrong))
    return ["submit", f"file={name}", f"data={make_data(home)}", f"competition={SLUG}", "yes=true"]


def test_a_submission_is_shown_asked_about_uploaded_once_and_followed_to_its_score(world, home):
    make_run(home, "first", wrong=4, verdict="another world")
    world.set_competition(SLUG, pending_lists=1)
    keyboard, terminal = pty.openpty()  # where a user answers
    pipe = subprocess.PIPE
    for answer, status, count in ((b"n\n", 1, 0), (b"y\n", 0, 1)):
        os.write(keyboard, answer)
        line = world.popen(
            sys.executable,
            "-m",
            "competition",
            "submit",
            env={"TELLTALE_HOME": str(home)},
            cwd=home,
            stdin=terminal,
            stdout=pipe,
            stderr=pipe,
        )
        printed, errors = line.communicate(timeout=60)
        assert line.returncode == status, errors
        assert len(world.submissions(SLUG)) == count
        assert (
            "first: CV F1 0.9000 (0.880-0.920), leaderboard range 0.700-1.100, threshold 0.4747, commit 914df0b"
            in printed
        )
        assert "ANOTHER WORLD: Do not believe the CV score.\n            - The scores are no mixture" in printed
        assert "warned of metadata-shortcut" in printed and f"Submit to {SLUG}" in printed
        assert "40 rows" in printed and "50.0% positive" in printed
    (made,) = world.submissions(SLUG)
    (row,) = ledger(home)
    assert made.path.read_bytes() == content(4) and made.file_name == "submission.csv"
    assert made.description == f"first CV 0.9000 914df0b {row['fingerprint']}"
    assert f"public {made.public}" in printed and "inside the leaderboard range" in printed and "gap" in printed
    assert row["ref"] == str(made.ref) and row["public"] == made.public and row["status"] == "complete"
    assert (row["cv"], row["cv_low"], row["range_low"], row["public_rows"]) == ("0.9", "0.88", "0.7", "20")

    world.set_competition(SLUG, pending_lists=0)
    run = Session(world, home)
    path = home / "submissions" / "ledger.csv"
    written = path.read_text()
    path.unlink()
    folds, cards = home / "submissions/first", home / "elsewhere"
    folds.rename(cards)  # another machine, where the run is not: its ledger knows Kaggle's words alone
    assert run("ledger", f"competition={SLUG}").returncode == 0
    assert ledger(home)[0]["fingerprint"] == ""
    own(home, "sent.csv", 4)
    foreign = run("submit", "file=sent.csv", f"competition={SLUG}", "yes=true")
    assert f"already, as {made.ref}" in foreign.stdout and len(world.submissions(SLUG)) == 1, foreign
    path.unlink()
    cards.rename(folds)
    path.write_text(written)
    again = run("submit")
    assert again.returncode == 0 and f"already, as {made.ref}" in again.stdout and made.public in again.stdout
    assert len(world.submissions(SLUG)) == 1
    forced = run("submit", "again=true", "yes=true", "message=one more\ntry")
    assert forced.returncode == 0, forced.stderr
    assert [one.description for one in world.submissions(SLUG)][1] == f"one more try [{row['fingerprint']}]"
    assert [row["ref"] for row in ledger(home)] == [str(one.ref) for one in world.submissions(SLUG)]
    failed(run("submit", "again=true"), 2, "Nobody can be asked", "yes=true")


def test_what_kaggle_does_not_take_is_said_before_anything_is_uploaded(world, home):
    make_run(home, "first")
    run = Session(world, home)
    world.set_competition(SLUG, entered=False)
    failed(run("submit", "yes=true"), 2, "accept its rules", f"competitions/{SLUG}/rules")
    world.set_competition(SLUG, entered=True, closed=True)
    failed(run("submit", "yes=true"), 2, "takes no submissions")
    world.set_competition(SLUG, closed=False, code_only=True)
    failed(run("submit", "yes=true"), 2, f"./run.sh bundle name=first push=true competition={SLUG}")
    world.set_competition(SLUG, code_only=False)
    failed(run("submit", "yes=true", "competition=cast"), 2, "There is no competition cast on Kaggle")
    failed(run("submit", "yes=true", "kernel=alice/nothing"), 2, "There is no kernel alice/nothing")
    path = world.credentials(key="0" * 32, mode=0o644)
    refused = run("submit", "yes=true")
    failed(refused, 2, "Kaggle refuses the credentials in", "kaggle.json", "401")
    assert f"Warning: other users of this machine can read {path}: chmod 600" in refused.stderr
    path.unlink()
    failed(run("submit", "yes=true"), 2, "no Kaggle credentials")
    world.credentials()
    world.fault("Competition", "status", times=1000)
    failed(run("submit", "yes=true", "wait=0"), 3, "503", "repeat the same line later")
    world.clear_faults()
    assert not world.requests("StartSubmissionUpload") and not (home / "submissions" / "ledger.csv").exists()
    world.set_competition(SLUG, deadline="2025-01-01T00:00:00", daily=1)
    late = run("submit", "yes=true")
    assert late.returncode == 0 and "the deadline of cats is past (2025-01-01 00:00 UTC)" in late.stdout
    failed(run("submit", "again=true", "yes=true"), 2, "made 1 submissions to cats today", "00:00 UTC, in ")
    assert len(world.submissions(SLUG)) == 1


@pytest.mark.slow
def test_trouble_while_uploading_ends_in_exactly_one_submission_of_each_file(world, home):
    run = Session(world, home)
    faults = {
        "unavailable": ("CreateSubmission", "status", {}),
        "reset": ("StartSubmissionUpload", "reset", {}),
        "reset-while-sending": ("PUT /upload", "reset", {"bytes": 100}),
        "reset-after": ("CreateSubmission", "reset_after", {}),
    }
    for wrong, (name, (match, kind, more)) in enumerate(faults.items(), 1):
        world.fault(match, kind, **more)
        done = run(*own(home, f"{name}.csv", wrong))
        assert done.returncode == 0, (name, done.stdout, done.stderr)
        said = {"unavailable": "Attempt 1 of 3 failed (Service Unavailable)", "reset": "Attempt 1 of 3 failed"}
        assert said.get(name, "") in done.stderr
    late = own(home, "late.csv", 5)
    world.fault("CreateSubmission", "stall", seconds=13)
    cut = run(*late, "timeout=4")
    failed(cut, 3, "cut short (no end of it in 4 seconds)", "may still arrive", "repeat the same line in a minute")
    assert len(world.submissions(SLUG)) == 4
    again = run(*late)  # at once, and it does arrive, after all
    assert again.returncode == 0 and "already, as" in again.stdout, (again.stdout, again.stderr)
    assert "An earlier line was cut short " in again.stderr and " s ago and may still arrive: looking" in again.stderr
    made = world.submissions(SLUG)
    assert [one.path.read_bytes() for one in made] == [content(wrong) for wrong in range(1, 6)]
    assert [row["ref"] for row in ledger(home)] == [str(one.ref) for one in made]
    assert {row["status"] for row in ledger(home)} == {"complete"}


def test_kaggles_refusal_is_shown_and_the_line_may_be_repeated(world, home):
    run = Session(world, home)
    line = own(home, "mine.csv", 3)
    with alone(home / "submissions"):
        failed(run(*line), 2, "Another ./run.sh submit is uploading")
    limit = "Submission limit reached: your team has used its submission allowance (5 of 5)."
    world.fault("CreateSubmission", "status", code=400, message=limit)
    failed(run(*line), 2, "nothing was submitted", limit)
    (row,) = ledger(home)
    assert row["status"] == "refused" and row["error"] == limit and not world.submissions(SLUG)
    then = datetime.datetime.now(datetime.UTC) - datetime.timedelta(seconds=57)
    with open_ledger(home / "submissions") as rows:  # as a line that was killed leaves it
        rows[0] |= {"status": "uploading", "time": then.strftime("%Y-%m-%dT%H:%M:%SZ")}
    world.fault("ListSubmissions", "status", code=403)
    cut = run("ledger", f"competition={SLUG}")
    said = " ".join(cut.stdout.split())
    assert f"may be repeated: ./run.sh submit file=mine.csv competition={SLUG}" in said
    world.clear_faults()
    with alone(home / "submissions"):  # it is not dead
        failed(run(*line), 2, "Another ./run.sh submit is uploading")
    assert not world.submissions(SLUG)
    done = run(*line)
    assert done.returncode == 0 and "may still arrive: looking for 3 s more" in done.stderr, done.stderr
    (row,) = ledger(home)
    assert row["status"] == "complete" and row["error"] == "" and len(world.submissions(SLUG)) == 1


def test_a_submission_that_kaggle_cannot_score_ends_with_its_reason(world, home):
    make_run(home, "first")
    world.set_competition(SLUG, columns=["id", "generated"])
    run = Session(world, home)
    failed(run("submit", "yes=true"), 2, "could not score", "must contain columns: id, generated")
    (row,) = ledger(home)
    assert row["status"] == "error" and "generated" in row["error"]
    world.set_competition(SLUG, columns=["id", "label"])
    again = run("submit", "yes=true")  # what is in error is no reason not to, but is told
    assert again.returncode == 0 and f"Before      as {row['ref']} on " in again.stdout, again.stdout
    assert "could not score: Submission must contain columns: id, generated" in " ".join(again.stdout.split())
    assert [row["status"] for row in ledger(home)] == ["error", "complete"]
    printed = run("ledger").stdout
    assert "could not be scored: Submission must contain columns: id, generated" in printed


def test_a_score_that_takes_too_long_is_picked_up_later(world, home):
    run = Session(world, home)
    line = own(home, "mine.csv", 3)
    world.set_competition(SLUG, pending_seconds=3600)
    failed(run(*line, "wait=1"), 3, "accepted (reference ", "./run.sh ledger picks it up")
    assert ledger(home)[0]["status"] == "pending"
    assert "is not scored yet" in run("ledger").stdout
    world.set_competition(SLUG, pending_seconds=0)
    world.fault("ListSubmissions", "reset")
    assert run("ledger").returncode == 0
    assert ledger(home)[0]["public"] == world.submissions(SLUG)[0].public
    again = own(home, "other.csv", 4)
    world.set_competition(SLUG, pending_lists=1)
    world.fault("ListSubmissions", "status", skip=3)
    world.fault("ListSubmissions", "reset", skip=3)
    assert run(*again).returncode == 0  # trouble while it polls is waited out
    assert {one.fault for one in world.requests("ListSubmissions")} == {"", "status", "reset"}
    assert len(world.submissions(SLUG)) == 2


def test_what_was_sent_and_not_seen_to_arrive_is_found_again_and_never_sent_twice(world, home):
    run = Session(world, home)
    line = own(home, "mine.csv", 3)
    world.fault("ListSubmissions", "status", times=1000, skip=2)
    failed(run(*line, "wait=0"), 3, "not known yet whether Kaggle accepted", "never submits it twice")
    (row,) = ledger(home)
    assert row["status"] == "uploading" and row["ref"] == "" and row["file"] == "mine.csv"
    failed(run("ledger", "wait=0"), 3, "This is the ledger as it was")
    world.clear_faults()
    found = run(*line, "again=true")  # even so: the earlier line's upload is what it is about
    assert found.returncode == 0 and "already, as" in found.stdout
    assert len(world.submissions(SLUG)) == 1 and ledger(home)[0]["ref"] == str(world.submissions(SLUG)[0].ref)

    other = own(home, "other.csv", 4)
    world.fault("ListSubmissions", "stall", times=1, skip=2, seconds=20)
    cut = world.popen(
        sys.executable,
        "-m",
        "competition",
        *other,
        env={"TELLTALE_HOME": str(home)},
        cwd=home,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    until = time.monotonic() + 60
    while len(world.submissions(SLUG)) < 2:
        assert time.monotonic() < until and cut.poll() is None
        time.sleep(0.1)
    cut.send_signal(signal.SIGKILL)
    cut.wait()
    world.clear_faults()
    assert ledger(home)[1]["status"] == "uploading"
    assert run("ledger").returncode == 0
    assert [row["status"] for row in ledger(home)] == ["complete", "complete"]
    assert run(*other).returncode == 0 and len(world.submissions(SLUG)) == 2
