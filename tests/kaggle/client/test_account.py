"""Credentials are found where the Kaggle command line finds them, and whatever is wrong with them is said."""

import json
import sys

import pytest

from competition.core.errors import UserError
from competition.kaggle.client.account import find_account
from tests.kaggle_world import KEY, TOKEN, USER, World

ASK = """
from competition.core.errors import UserError
from competition.kaggle.client.account import find_account
from competition.kaggle.client.api import Kaggle
try:
    print(Kaggle(find_account(), patience=5).competition("cats").user_has_entered)
except UserError as error:
    print(error)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """``.kaggle`` of a home without credentials."""
    for name in ("USERNAME", "KEY", "API_TOKEN", "CONFIG_DIR", "API_ENVIRONMENT"):
        monkeypatch.delenv(f"KAGGLE_{name}", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".kaggle").mkdir()
    return tmp_path / ".kaggle"


def put(path, content, mode=0o600):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    path.chmod(mode)
    return path


def test_no_credentials_is_one_sentence_with_the_remedy(folder):
    with pytest.raises(UserError, match="no Kaggle credentials on this machine: make an API token") as error:
        find_account()
    assert error.value.status == 2


def test_a_token_goes_before_a_key_and_the_environment_before_files(folder, monkeypatch):
    put(folder / "credentials.json", {"username": "login", "refresh_token": "r"})
    assert find_account().username == "login" and not find_account().warnings
    put(folder / "kaggle.json", {"username": "filed", "key": "k1"})
    found = find_account()
    assert (found.username, found.key, found.token) == ("filed", "k1", "")
    monkeypatch.setenv("KAGGLE_KEY", "k2")
    assert (find_account().username, find_account().key) == ("filed", "k2")
    monkeypatch.setenv("KAGGLE_USERNAME", "named")
    found = find_account()
    assert (found.username, found.key, found.where) == ("named", "k2", "KAGGLE_USERNAME and KAGGLE_KEY")
    put(folder / "access_token.txt", "t1\n")
    assert find_account().token == "t1"
    put(folder / "access_token", " t2 \n")
    assert find_account().token == "t2"
    monkeypatch.setenv("KAGGLE_API_TOKEN", str(put(folder / "elsewhere", "t3")))
    assert (find_account().token, find_account().where) == ("t3", str(folder / "elsewhere"))
    monkeypatch.setenv("KAGGLE_API_TOKEN", "t4")
    found = find_account()
    assert (found.token, found.key, found.where) == ("t4", "", "KAGGLE_API_TOKEN")


def test_kaggle_json_is_looked_for_where_the_command_line_looks(folder, monkeypatch, tmp_path):
    folder.rmdir()
    put(tmp_path / ".config" / "kaggle" / "kaggle.json", {"username": "plain", "key": "k"})
    assert find_account().username == "plain"
    put(tmp_path / "xdg" / "kaggle" / "kaggle.json", {"username": "xdg", "key": "k"})
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    assert find_account().username == "xdg"
    put(tmp_path / "named" / "kaggle.json", {"username": "dir", "key": "k"})
    monkeypatch.setenv("KAGGLE_CONFIG_DIR", str(tmp_path / "named"))
    assert find_account().username == "dir"


@pytest.mark.parametrize("name", ["kaggle.json", "access_token", "credentials.json"])
def test_a_file_that_others_can_read_is_warned_about_and_used(folder, name):
    put(folder / name, {"username": "u", "key": "k", "refresh_token": "r"}, mode=0o644)
    (warning,) = find_account().warnings
    assert warning == f"other users of this machine can read {folder / name}: chmod 600 {folder / name}"


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("kaggle.json", "{", "is not JSON"),
        ("kaggle.json", '["u", "k"]', "holds no username and key"),
        ("kaggle.json", '{"username": "u"}', "lack the key"),
        ("kaggle.json", '{"key": "k"}', "lack the username"),
        ("credentials.json", "[]", "log in again"),
        ("credentials.json", '{"username": "u", "access_token": "t"}', "holds no refresh_token: log in again"),
    ],
)
def test_a_spoilt_file_is_named_in_a_sentence(folder, name, content, said):
    put(folder / name, content)
    with pytest.raises(UserError, match=said) as error:
        find_account()
    assert str(folder / name) in str(error.value)


def test_what_is_no_text_cannot_be_read(folder):
    (folder / "kaggle.json").write_bytes(b"\xff\xfe{")
    with pytest.raises(UserError, match="cannot be read"):
        find_account()


def test_a_site_that_the_command_line_would_not_talk_to_is_refused(folder, monkeypatch):
    put(folder / "kaggle.json", {"username": "u", "key": "k"})
    monkeypatch.setenv("KAGGLE_API_ENVIRONMENT", "TEST")
    with pytest.raises(UserError, match="KAGGLE_API_ENVIRONMENT=TEST is not understood alike"):
        find_account()


def test_neither_key_nor_token_is_shown(folder):
    put(folder / "kaggle.json", {"username": "u", "key": "hush-hush"})
    assert "hush" not in repr(find_account())
    put(folder / "access_token", "hush-hush")
    assert find_account().token == "hush-hush" and "hush" not in repr(find_account())


@pytest.mark.parametrize("given", [{"KAGGLE_API_TOKEN": TOKEN}, {"KAGGLE_USERNAME": USER, "KAGGLE_KEY": KEY}])
def test_the_command_line_uses_the_credentials_that_were_found(folder, monkeypatch, given):
    with World() as world:
        world.credentials("mallory", "0" * 32)
        monkeypatch.setenv("HOME", str(world.home))
        for name, value in given.items():
            monkeypatch.setenv(name, value)
        assert find_account().where == " and ".join(given)
        world.kaggle("competitions", "list", env=given)
        assert [(one.user, one.status) for one in world.requests("ListCompetitions")] == [(USER, 200)]


def test_a_login_whose_token_has_run_out_gets_a_new_one_and_is_told_of_where_it_cannot():
    with World() as world:
        world.add_competition("cats", files={"test.csv": b"id"})
        world.credentials().unlink()
        ends = {"access_token": "stale", "access_token_expiration": "2999-01-01T00:00:00+00:00"}
        path = put(world.home / ".kaggle/credentials.json", {"username": USER, "refresh_token": KEY, **ends})
        assert world.run(sys.executable, "-c", ASK).stdout == "True\n"
        assert [one.status for one in world.requests("GetCompetition")] == [401, 200]
        assert json.loads(path.read_text())["access_token"] == TOKEN
        put(path, {"username": USER, "refresh_token": "gone", **ends})
        said = world.run(sys.executable, "-c", ASK).stdout
        assert said == f"Kaggle refuses the credentials in {path} (401): log in again with 'kaggle auth login'.\n"
