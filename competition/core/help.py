"""What `./run.sh help` and `./run.sh COMMAND help` print, read from the source of the commands.

No command is imported for it: help comes at once, and before any set-up. A command's purpose and its example lines are
the docstring of its file in commands/; its options are the fields of the ...Options class that the file defines or
imports, else the main job's settings; what each means is the comment behind it.
"""

import ast
import itertools
import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import MISSING, Field
from pathlib import Path
from typing import Any

from competition.core import options, settings
from competition.core.options import kind_words
from competition.core.paths import preset_names

PACKAGE = Path(__file__).parents[1]
WORDS = {"help", "-h", "--help"}
FIRST, WIDTH = 25, 118  # columns of an option with its default, and of a line
HEAD = "./run.sh [command] [key=value ...]     no command: train what is missing and write submissions/submission.csv"
TAIL = """\
  ./run.sh test [all]                      run the tests, or also the slow ones
  ./run.sh check                           run the linter, the formatter and the type checker

./run.sh COMMAND help prints the options of a command, ./run.sh run help every setting of the main job."""


def overview(commands: Iterable[str]) -> str:
    """Return the lines that there are, with what each does."""
    lines = [line for command in commands for line in _purpose(command).splitlines() if line.startswith("  ./")]
    return "\n".join([HEAD, "", *lines, TAIL])


def command_help(command: str) -> str:
    """Return a command's purpose, its example lines and its options with their defaults and meanings."""
    path, name = _options_class(_source(command))
    return "\n".join([_purpose(command), *_blocks(path, name, "")])


def _source(command: str) -> Path:
    return PACKAGE / "commands" / f"{command}.py"


def _purpose(command: str) -> str:
    text = ast.get_docstring(ast.parse(_source(command).read_text(encoding="utf-8"))) or ""
    return re.sub("^(?=./run.sh)", "  ", text, flags=re.MULTILINE).replace("{presets}", ", ".join(preset_names()))


def _options_class(path: Path) -> tuple[Path, str]:
    """Return where the options of a command's file are defined, and the name of their class."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name.endswith("Options"):
            return path, node.name
        if isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                if alias.name.endswith("Options"):
                    return PACKAGE.parent.joinpath(*node.module.split(".")).with_suffix(".py"), alias.name
    return PACKAGE / "core" / "settings.py", "Config"


def _blocks(path: Path, name: str, prefix: str) -> Iterator[str]:
    """Yield a class's fields as lines, then those of the classes that it holds, then those that it inherits."""
    source = path.read_text(encoding="utf-8")
    classes = {node.name: node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)}
    node, later = classes[name], []
    yield from ["", *textwrap.wrap(ast.get_docstring(node) or "", WIDTH)]
    for item in node.body:
        if not isinstance(item, ast.AnnAssign) or item.value is None:
            continue
        key, kind = ast.unparse(item.target), ast.unparse(item.annotation)
        if kind in classes:
            later.append((kind, f"{prefix}{key}."))
        else:
            yield _row(f"{prefix}{key}", kind, item.value, _comment(item, source.splitlines()))
    for kind, prefix in [*later, *((ast.unparse(base), prefix) for base in node.bases)]:
        yield from _blocks(path, kind, prefix)


def _comment(item: ast.stmt, lines: Sequence[str]) -> str:
    """Return the comment behind a field, with the lines of comment right below it."""
    last = item.end_lineno or 0
    below = itertools.takewhile(lambda line: line.strip().startswith("#"), lines[last:])
    return " ".join(part.strip().lstrip("# ") for part in [lines[last - 1][item.end_col_offset :], *below])


def _row(key: str, kind: str, default: ast.expr, meaning: str) -> str:
    """Return a field as lines: ``key=default``, and beside it what it means and what it may hold."""
    value = eval(ast.unparse(default), {**vars(options), **vars(settings)})  # names of these are all that it may hold
    metadata: Any = {}
    if isinstance(value, Field):
        metadata = value.metadata
        value = value.default if value.default_factory is MISSING else value.default_factory()
    holds = metadata.get("holds") or ", ".join(filter(None, metadata.get("choices", [kind_words(kind)])))
    if "auto_or" in metadata:
        holds = "auto, or a whole number from {} to {}".format(*metadata["auto_or"])
    if "bounds" in metadata:
        holds += " from {:.12g} to {:.12g}".format(*metadata["bounds"])
    left, right = f"{key}={_typed(value)}", f"{meaning} ({holds})" if meaning else holds
    if "positional" in metadata:
        left, right = f"{metadata['positional']} ...", meaning
    lines = textwrap.wrap(right, WIDTH - FIRST, break_on_hyphens=False)
    if len(left) > FIRST - 3:
        lines.insert(0, "")
    lines[0] = f"  {left:<{FIRST - 2}}{lines[0]}".rstrip()
    return f"\n{'':{FIRST}}".join(lines)


def _typed(value: Any) -> str:
    """Return a value as it is typed on the command line."""
    if isinstance(value, float):
        return format(value, "g")
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
