"""The words after a command become its typed options, or one sentence that says what is wrong with them."""

from dataclasses import dataclass

import pytest

from competition.core.errors import UserError
from competition.core.options import bounded, folder_name, one_of, parse, positional, some_of, web_address


@dataclass(frozen=True)
class MailOptions:
    message: str = ""
    form: str = one_of("table", "csv")
    wait: float = bounded(1.5, 0, 10)
    copies: int | None = bounded(None, 1, 9)
    quiet: bool = False
    box: str = folder_name()
    link: str = web_address()
    marks: str = some_of("new", "seen")


@dataclass(frozen=True)
class FileOptions:
    files: tuple[str, ...] = positional("FILE")
    message: str = ""


def test_words_take_the_type_of_their_option_and_what_is_not_given_keeps_its_default():
    assert parse([], MailOptions) == MailOptions()
    typed = parse(["message=a=b", "form=csv", "wait=2", "copies=3", "quiet=True"], MailOptions)
    assert typed == MailOptions("a=b", "csv", 2.0, 3, True) and isinstance(typed.wait, float)
    assert parse(["message=", "wait=", "copies=", "quiet="], MailOptions) == MailOptions()


def test_text_is_kept_as_it_is_typed():
    for text in ("${HOME}", "???", " 1e3 ", "null", "[1, 2]"):
        assert parse([f"message={text}"], MailOptions).message == text


def test_an_option_is_one_whatever_lies_on_disk_and_however_long_it_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("a=b.png", "message=x"):
        (tmp_path / name).touch()
    long = "long " * 2000
    assert parse(["a=b.png", "message=x", "c.png"], FileOptions) == FileOptions(("a=b.png", "c.png"), "x")
    assert parse([f"message={long}"], FileOptions).message == long
    with pytest.raises(UserError, match="did you mean 'message'"):
        parse([f"mesage={long}"], FileOptions)
    with pytest.raises(UserError, match="There is no setting 'files'"):
        parse(["files=a"], FileOptions)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["messge=x"], "There is no setting 'messge' (in the command line); did you mean 'message'?"),
        (["message=a", "message=b"], "'message' is given twice (a and b): keep one of them."),
        (["hello"], "'hello' is not a setting: write key=value, as in ./run.sh mail message=hello"),
        (["form=cvs"], "form=cvs is not one of table, csv."),
        (["form="], "form= is not one of table, csv."),
        (["box=../up"], "box=../up is not a folder's name (up to 100 letters"),
        (["box=x."], "box=x. is not a folder's name"),
        (["link=a.example/x"], "link=a.example/x is not a web address in full, as https://"),
        (["link=http://me:secret@a.example/"], "link=http://me:secret@a.example/ is not a web address"),
        (["marks=new,old"], "marks=new,old is not one of new, seen, or several with commas between."),
        (["wait=long"], "wait=long is not a number."),
        (["wait=nan"], "wait=nan is out of range: give a value from 0 to 10."),
        (["copies=1.5"], "copies=1.5 is not a whole number."),
        (["copies=0"], "copies=0 is out of range: give a value from 1 to 9."),
        (["quiet=yes"], "quiet=yes is not true or false."),
    ],
)
def test_a_wrong_word_is_one_sentence(words, said):
    with pytest.raises(UserError) as error:
        parse(words, MailOptions)
    assert str(error.value).startswith(said) and "\n" not in str(error.value)
