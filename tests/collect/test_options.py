"""The words of the command line become options, or one sentence that says what is wrong with them."""

import importlib.util
import subprocess
import sys

import pytest

from competition.collect.options import CollectOptions, wishes
from competition.commands.collect import main
from competition.core.errors import UserError
from competition.core.options import parse
from tests.running import ROOT


def checked(words):
    options = parse(words, CollectOptions)
    wishes(options)
    return options


def words(tmp_path, *more):
    return ["urls=list.txt", "label=ai", f"out={tmp_path / 'data'}", *more]


def test_words_become_options_with_their_types(tmp_path):
    settings = checked(
        words(
            tmp_path,
            "page=https://a.example/x?y=z",
            "allow_local=true",
            "max_mb=2.5",
            "min_side=64",
            "connections=2",
            "delay=1",
            "retries=0",
            "robots=False",
        )
    )
    assert settings == CollectOptions(
        urls="list.txt",
        page="https://a.example/x?y=z",
        label="ai",
        out=str(tmp_path / "data"),
        allow_local=True,
        max_mb=2.5,
        min_side=64,
        connections=2,
        delay=1.0,
        retries=0,
        robots=False,
    )
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("lable=ai", "There is no setting 'lable' (in the command line); did you mean 'label'?"),
        ("fold=0", "There is no setting 'fold' (in the command line): leave it out."),
        ("ai", "'ai' is not a setting: write key=value"),
        ("label=human", "'label' is given twice"),
        ("max_mb=big", "max_mb=big is not a number."),
        ("min_side=1.5", "min_side=1.5 is not a whole number."),
        ("robots=maybe", "robots=maybe is not true or false."),
        ("delay=nan", "delay=nan is out of range"),
        ("connections=0", "connections=0 is out of range: give a value from 1 to 16."),
        ("delay=-1", "delay=-1.0 is out of range"),
        ("max_mb=inf", "max_mb=inf is out of range"),
        ("page=a.example/x", "page=a.example/x is not a web address"),
        ("page=http://me:pw@a.example/", "page=http://me:pw@a.example/ is not a web address"),
        ("source=openverse", "search= and source=openverse go together"),
        ("source=flickr", "source=flickr is not one of"),
        ("licence=cc0", "licence= needs source=openverse or source=wikimedia"),
        ("licence=cc0,free", "licence=cc0,free is not one of by, by-sa"),
        ("browser=true", "browser=true renders the page that page= names"),
        ("api=http://127.0.0.1:80", "api= is the place of a search"),
        ("plan=plan.yaml", "plan=plan.yaml says what to collect: leave label= out"),
        ("api=127.0.0.1:80", "api=127.0.0.1:80 is not a web address"),
        ("name=a/b", "name=a/b is not a folder's name"),
        ("max=0", "max=0 is out of range"),
    ],
)
def test_a_wrong_word_is_one_sentence(tmp_path, word, said):
    with pytest.raises(UserError) as error:
        checked(words(tmp_path, word))
    assert str(error.value).startswith(said) and "\n" not in str(error.value)


@pytest.mark.parametrize(("lacking", "said"), [("urls", "Say where"), ("label", "needs label="), ("out", "needs out=")])
def test_what_is_lacking_is_asked_for(tmp_path, lacking, said):
    with pytest.raises(UserError, match=said):
        checked([word for word in words(tmp_path) if not word.startswith(lacking)])


@pytest.mark.parametrize(
    "label", ["../up", "a/b", ".hidden", "__x", "a b", "ä", "-x", "x.", "..", "train", "Test", "x" * 101]
)
def test_a_label_that_cannot_be_a_class_folder_is_refused(tmp_path, label):
    with pytest.raises(UserError, match="label="):
        checked(["urls=x", f"label={label}", f"out={tmp_path}"])


@pytest.mark.parametrize(
    ("name", "folder", "said"),
    [
        ("train.csv", False, "holds train.csv"),
        ("AI", True, "write label=AI"),
        ("train", True, "name out=.*train"),
    ],
)
def test_a_folder_that_would_not_be_read_as_class_folders_is_refused(tmp_path, name, folder, said):
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / name
    path.mkdir() if folder else path.write_text("x")
    with pytest.raises(UserError, match=said):
        checked(words(tmp_path))


def test_a_mistake_is_told_and_help_given_without_scrapy(tmp_path):
    """Nor do they take the second in which it is imported."""
    line = "import sys; from competition.__main__ import main; main(sys.argv[1:]); print('scrapy' in sys.modules)"
    for more in (["help"], ["label=ai", "out=x"]):
        run = subprocess.run([sys.executable, "-c", line, "collect", *more], cwd=ROOT, capture_output=True, text=True)
        assert run.stdout.endswith("False\n"), run.stderr


def test_a_package_that_is_lacking_is_named_with_how_to_get_it(tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "playwright" else find(name))
    with pytest.raises(UserError, match=r"collect needs playwright, which this Python lacks: run .* -m pip install"):
        main(["page=https://a.example/x", "browser=true", "label=ai", f"out={tmp_path}"])
