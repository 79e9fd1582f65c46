"""Help says of every option what the program itself goes by: its default, what it may hold, and its comment."""

import dataclasses
import importlib
import re
import subprocess
import sys

import pytest

from competition.__main__ import COMMANDS, OWN, main
from competition.core.help import PACKAGE, command_help, overview
from competition.core.settings import GROUPS, Config

OWN_OPTIONS = [command for command, takes in COMMANDS.items() if takes == OWN]


def options_of(command):
    module = importlib.import_module(f"competition.commands.{command}")
    found = {value for name, value in vars(module).items() if name.endswith("Options") and isinstance(value, type)}
    (kind,) = found
    return dataclasses.fields(kind)


@pytest.mark.parametrize("command", OWN_OPTIONS)
def test_a_commands_help_shows_each_option_with_its_default_its_values_and_a_meaning(command):
    lines = command_help(command).splitlines()
    for item in options_of(command):
        named = item.metadata.get("positional")
        default = "" if item.default is None else item.default
        default = str(default).lower() if isinstance(default, bool) else default
        start = f"  {named} ..." if named else f"  {item.name}={default:g}" if type(default) is float else None
        start = start or f"  {item.name}={default}"
        (at,) = [index for index, line in enumerate(lines) if re.fullmatch(rf"{re.escape(start)}(  .*)?", line)]
        row = lines[at].removeprefix(start).strip() or lines[at + 1].strip()
        assert len(row) > 3, f"{command}: {item.name} has no comment"
        for choice in item.metadata.get("choices", ()):
            assert choice in " ".join(lines[at : at + 3])


def test_the_main_jobs_help_shows_every_setting_with_a_comment():
    text = command_help("run")
    for item in dataclasses.fields(Config):
        if item.name in GROUPS:
            for own in dataclasses.fields(item.default_factory):
                assert re.search(rf"^  {item.name}\.{own.name}=\S*\s+[^\s(]", text, re.MULTILINE), own.name
        else:
            assert re.search(rf"^  {item.name}=\S*\s+[^\s(]", text, re.MULTILINE), item.name
    assert "  lr=0.0005" in text and "  tta=flip" in text and "(flip, none, d4, crops)" in text
    assert text.partition("\nThe run:")[2] == command_help("audit").partition("\nThe run:")[2]


def test_every_command_has_a_line_in_the_overview_but_the_one_for_kaggles_sessions():
    text = overview(COMMANDS)
    shown = {command for command in COMMANDS if re.search(rf"^  \./run\.sh {command}\b", text, re.MULTILINE)}
    assert set(COMMANDS) - shown == {"run", "session"} and "  ./run.sh fold=0..4  " in text
    assert "cifake-resnet50" in text


@pytest.mark.parametrize("words", [["help"], ["-h"], ["--help"], ["data=x", "--help"]])
def test_help_alone_is_the_overview(words, capsys):
    assert main(words) == 0
    assert capsys.readouterr().out == overview(COMMANDS) + "\n"


@pytest.mark.parametrize("words", [["submit", "help"], ["submit", "file=x", "-h"], ["submit", "--help", "yes=1"]])
def test_help_behind_a_command_anywhere_is_the_commands(words, capsys):
    assert main(words) == 0
    assert capsys.readouterr().out == command_help("submit") + "\n"


def test_help_for_a_command_that_there_is_not_is_one_sentence(capsys):
    assert main(["sumbit", "help"]) == 2
    assert "did you mean 'submit'" in capsys.readouterr().err


def test_a_new_commands_help_needs_its_file_alone(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("competition.core.help.PACKAGE", tmp_path)
    (tmp_path / "commands").mkdir()
    (tmp_path / "commands" / "greet.py").write_text(
        '"""Greet someone.\n\n./run.sh greet who=NAME    says hello\n"""\nimport no_such_module\n'
        'from dataclasses import dataclass\n\n@dataclass(frozen=True)\nclass GreetOptions:\n    """Whom."""\n\n'
        "    who: str = one_of('you', 'all')  # the one\n    # or the many\n    n: int | None = bounded(None, 1, 9)\n"
    )
    monkeypatch.setitem(COMMANDS, "greet", OWN)
    assert main(["greet", "help"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "Greet someone.",
        "",
        "  ./run.sh greet who=NAME    says hello",
        "",
        "Whom.",
        "  who=you                the one or the many (you, all)",
        "  n=                     a whole number from 1 to 9",
    ]


def test_help_imports_the_standard_library_alone():
    code = (
        "import sys; from competition.__main__ import main; main(['help']); main(['run', 'help']); main(['app', '-h']);"
        " own = {name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names); "
        "assert not [name for name in own if name in ('yaml', 'omegaconf', 'numpy', 'torch', 'rich', 'tqdm')], own"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PACKAGE.parent)
    assert run.returncode == 0, run.stderr
