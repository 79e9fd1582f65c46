"""What is submitted is chosen and checked before anything is sent: by the data, the sample, or a kernel's output."""

import csv

import pytest

from tests.kaggle.submit.made import FILES, IDS, ORDER, SLUG, SOLUTION, content, make_run
from tests.kaggle.submit.session import Session, failed
from tests.kaggle_world import World
from tests.running import inside


@pytest.fixture
def world():
    with World() as world:
        world.add_competition(SLUG, files=FILES, solution=SOLUTION, show_private=False, pending_lists=0)
        yield world


@pytest.fixture
def home(tmp_path):
    (tmp_path / "home").mkdir()
    return tmp_path / "home"


@pytest.mark.parametrize(
    "damage", ["missing id", "extra id", "permuted", "duplicated", "float labels", "NaN", "wrong header", "BOM", "CRLF"]
)
def test_a_damaged_file_is_refused_before_the_network_is_asked(home, damage, monkeypatch):
    make_run(home, "first")
    for variable in ("HOME", "KAGGLE_CONFIG_DIR"):
        monkeypatch.setenv(variable, str(home))  # no credentials: Kaggle would be the next to complain
    (home / "mine.csv").write_bytes(damaged(damage))
    failed(inside(home, "submit", "file=mine.csv", "name=first", "yes=true"), 2, "mine.csv", REASONS[damage])
    assert not (home / "submissions" / "ledger.csv").exists()


REASONS = {
    "missing id": "lacks 1 id of the test set's 40, first 'test/39.png'",
    "extra id": "line 42, has the id 'test/99.png'",
    "permuted": "line 2, has the id 'test/38.png' where the test set has 'test/39.png'",
    "duplicated": "line 42, repeats the id 'test/39.png' of line 2",
    "float labels": "line 2, has the label '1.0'",
    "NaN": "line 2, has the label 'nan'",
    "wrong header": "must have id,label",
    "BOM": "byte-order mark",
    "CRLF": "carriage return",
}


def damaged(damage):
    header, first, second, *rest = content().split(b"\n")
    return {
        "missing id": lambda: b"\n".join([header, second, *rest]),
        "extra id": lambda: content() + b"test/99.png,1\n",
        "permuted": lambda: b"\n".join([header, second, first, *rest]),
        "duplicated": lambda: content() + first + b"\n",
        "float labels": lambda: content().replace(b",1\n", b",1.0\n"),
        "NaN": lambda: content().replace(b",1\n", b",nan\n"),
        "wrong header": lambda: content().replace(b"label", b"target"),
        "BOM": lambda: b"\xef\xbb\xbf" + content(),
        "CRLF": lambda: content().replace(b"\n", b"\r\n"),
    }[damage]()


def test_the_competitions_own_sample_is_asked_where_the_data_has_none_or_is_not_here(world, home):
    make_run(home, "first", wrong=2)
    (home / "data" / "sample_submission.csv").unlink()
    run = Session(world, home)
    (home / "mine.csv").write_bytes(b"id,label\n" + b"".join(f"{one},1\n".encode() for one in IDS))  # test.csv's order
    failed(run("submit", "file=mine.csv", "name=first", "yes=true"), 2, "not in the test set's order")
    assert run("submit", "name=first", "yes=true").returncode == 0
    (home / "all.csv").write_bytes(content().replace(b",0\n", b",1\n"))
    address = f"competition=https://www.kaggle.com/competitions/{SLUG}/overview"
    same = run("submit", "file=all.csv", f"data={home / 'data'}", address)
    failed(same, 2, "Nobody can be asked")
    assert "all 40 rows have the label 1" in same.stdout
    sample = world.folder / "competitions" / SLUG / "data" / "sample_submission.csv"
    sample.write_text(sample.read_text().replace(ORDER[0], "test/new.png"))
    failed(run("submit", "name=first", "again=true", "yes=true"), 2, "'test/new.png' is not in", "download both files")
    sample.unlink()
    failed(run("submit", "file=mine.csv", f"competition={SLUG}", "yes=true"), 2, "has no sample submission", "data=DIR")
    failed(
        run("submit", "file=mine.csv", f"competition={SLUG}", f"data={home / 'none'}", "yes=true"),
        2,
        "There is no folder data=",
        "/none",
        "data=DIR",
    )
    assert len(world.submissions(SLUG)) == 1


def test_a_kernels_output_is_submitted_to_a_code_competition_once(world, home):
    world.set_competition(SLUG, code_only=True)
    folder = home / "kernel"
    folder.mkdir()
    (folder / "main.py").write_text(f"open('submission.csv', 'wb').write({content(2)!r})\n")
    (folder / "kernel-metadata.json").write_text(
        '{"id": "alice/answer", "title": "answer", "code_file": "main.py", "language": "python", '
        f'"kernel_type": "script", "is_private": true, "competition_sources": ["{SLUG}"]}}'
    )
    make_run(home, "first", cv=0.8)
    run = Session(world, home)
    assert world.kaggle("kernels", "push", "-p", folder).returncode == 0
    failed(run("submit", "kernel=alice/answer", "version=7", "yes=true"), 2, "version=7", "the current one is 1")
    world.wait_kernel("alice/answer")
    failed(
        run("submit", "kernel=alice/answer", "competition=dogs", "yes=true"),
        2,
        f"Kernel alice/answer is attached to {SLUG}, not to dogs",
    )
    done = run("submit", "kernel=alice/answer", "name=first", "yes=true")
    assert done.returncode == 0, done.stderr
    (made,) = world.submissions(SLUG)
    assert made.kernel == "alice/answer/1" and made.description.startswith("first CV 0.8000 914df0b ")
    assert made.public in done.stdout
    assert "already, as" in run("submit", "kernel=alice/answer", "yes=true").stdout
    with open(home / "submissions" / "ledger.csv", newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["file"] == "alice/answer version 1" and row["cv"] == "0.8" and len(world.submissions(SLUG)) == 1


def test_words_that_do_not_fit_are_one_sentence(home):
    (home / "mine.csv").write_bytes(content())
    failed(inside(home, "submit"), 2, "There is no submission", "./run.sh fold=0..4")
    failed(inside(home, "submit", "name=second"), 2, "The run 'second' has no submission")
    make_run(home, "first", slug="")
    for words, said in {
        ("mine.csv",): "write key=value, as in ./run.sh submit file=mine.csv",
        ("fle=x",): "did you mean 'file'?",
        ("file=folds",): "file=folds is a folder",
        ("competition=a b",): "cannot be a competition",
        ("file=no.csv",): "There is no submission no.csv",
        ("yes=maybe",): "yes=maybe is not true or false",
        ("wait=long",): "wait=long is not a number",
        ("kernel=answer",): "write kernel=OWNER/SLUG",
        ("version=2",): "kernel=OWNER/SLUG",
        ("kernel=a/b", "file=mine.csv"): "cannot both be given",
        (): "name it with competition=SLUG",
        ("name=frist",): "did you mean 'first'?",
        ("file=mine.csv", "name=frist"): "did you mean 'first'?",
    }.items():
        failed(inside(home, "submit", *words), 2, said)
