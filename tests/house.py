"""The measures of the house, read from the source: rooms, floors, circles, sizes, names and docstrings.

``python -m tests.house`` prints the floors and every offence; tests/test_house.py asserts that there is none.
"""

import ast
import builtins
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "competition"
STOREYS = (  # bottom up; a room imports from storeys below its own
    {"core", "presets"},
    {"data", "scoring", "models"},
    {"audit", "inference"},
    {"report", "training"},
    {"app", "collect", "kaggle", "ensemble"},
    {"commands"},
    {"__main__"},
)
MAX_ROOMS = 15
MAX_FLOORS = 8
MAX_FILE_LINES = 250
MAX_FUNCTION_LINES = 40
MANY_PARAMETERS = 7


@dataclass(frozen=True)
class Source:
    """One file of the package."""

    path: Path  # relative to the package
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.text)

    @property
    def room(self) -> str:
        return self.path.parts[0].removesuffix(".py")

    def at(self, node: ast.stmt | ast.expr) -> str:
        return f"{self.path}:{node.lineno}"


Function = ast.FunctionDef | ast.AsyncFunctionDef


def sources(package: Path = PACKAGE) -> list[Source]:
    """Return every Python file of the package, in the order of their paths."""
    return [
        Source(path.relative_to(package), path.read_text(encoding="utf-8")) for path in sorted(package.rglob("*.py"))
    ]


def rooms(package: Path = PACKAGE) -> list[str]:
    """Return what stands at the package's top: files (``__init__`` aside) and folders of Python or presets."""
    return sorted(
        path.name.removesuffix(".py")
        for path in package.iterdir()
        if (path.suffix == ".py" and path.name != "__init__.py")
        or (path.is_dir() and any(file.suffix in (".py", ".yaml") for file in path.rglob("*")))
    )


def imported(source: Source, known: list[str]) -> Iterator[tuple[str, str]]:
    """Yield each room that a file imports and where, imports inside functions and for type checkers included."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            for name in _modules(source, node):
                first, room = [*name.split("."), ""][:2]
                if first == "competition" and room in known and room != source.room:
                    yield room, source.at(node)


def _modules(source: Source, node: ast.Import | ast.ImportFrom) -> list[str]:
    """Return the full names that a statement imports: of modules, or of what is in them."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    folder = ["competition", *source.path.parent.parts]
    start = folder[: len(folder) - node.level + 1] if node.level else []
    return [".".join([*start, *filter(None, [node.module]), alias.name]) for alias in node.names]


def arrows(files: list[Source], known: list[str]) -> dict[tuple[str, str], list[str]]:
    """Return the imports between rooms: (importing, imported) and the lines where that happens."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for source in files:
        for room, where in imported(source, known):
            found[source.room, room].append(where)
    return dict(found)


def floors(known: list[str], between: dict[tuple[str, str], list[str]]) -> dict[str, int]:
    """Return each room's floor: one above the highest of the rooms it imports. ValueError names a circle."""
    below = {room: sorted(b for a, b in between if a == room) for room in known}
    found: dict[str, int] = {}

    def floor(room: str, path: tuple[str, ...]) -> int:
        if room in path:
            raise ValueError(f"a circle of rooms: {' -> '.join([*path[path.index(room) :], room])}")
        if room not in found:
            found[room] = 1 + max((floor(other, (*path, room)) for other in below[room]), default=-1)
        return found[room]

    for room in known:
        floor(room, ())
    return found


def upward(between: dict[tuple[str, str], list[str]]) -> list[str]:
    """Return the imports from a storey that is not below the importing room's."""
    storey = {room: number for number, names in enumerate(STOREYS) for room in names}
    return [
        f"{a} (storey {storey.get(a)}) imports {b} (storey {storey.get(b)}): {', '.join(where[:3])}"
        for (a, b), where in sorted(between.items())
        if a not in storey or b not in storey or storey[a] <= storey[b]
    ]


def functions(source: Source) -> Iterator[Function]:
    """Yield the functions and methods of a file, nested ones included."""
    yield from (node for node in ast.walk(source.tree) if isinstance(node, Function))


def parameters(function: Function) -> list[str]:
    """Return the names of a function's parameters, ``self`` and ``cls`` aside."""
    given = function.args
    starred = [name for name in (given.vararg, given.kwarg) if name]
    names = [name.arg for name in (*given.posonlyargs, *given.args, *given.kwonlyargs, *starred)]
    return names[1:] if names[:1] in (["self"], ["cls"]) else names


def long_parameter_lists(files: list[Source]) -> list[str]:
    """Return the functions of seven parameters or more."""
    return [
        f"{source.at(function)} {function.name}({', '.join(names)})"
        for source in files
        for function in functions(source)
        if len(names := parameters(function)) >= MANY_PARAMETERS
    ]


def long_functions(files: list[Source]) -> list[str]:
    """Return the functions longer than 40 lines."""
    return [
        f"{source.at(function)} {function.name}: {lines} lines"
        for source in files
        for function in functions(source)
        if (lines := (function.end_lineno or 0) - function.lineno + 1) > MAX_FUNCTION_LINES
    ]


def long_files(files: list[Source]) -> list[str]:
    """Return the files longer than 250 lines."""
    return [f"{source.path}: {lines} lines" for source in files if (lines := source.text.count("\n")) > MAX_FILE_LINES]


def class_names_twice(files: list[Source]) -> list[str]:
    """Return the class names that more than one class bears, and where."""
    places: dict[str, list[str]] = defaultdict(list)
    for source in files:
        for node in ast.walk(source.tree):
            if isinstance(node, ast.ClassDef):
                places[node.name].append(source.at(node))
    return [f"{name}: {', '.join(where)}" for name, where in sorted(places.items()) if len(where) > 1]


def without_docstring(files: list[Source]) -> list[str]:
    """Return the public functions at the top of a file, and the files, that have no docstring."""
    bare = [f"{source.path}" for source in files if source.text.strip() and not ast.get_docstring(source.tree)]
    return bare + [
        f"{source.at(node)} {node.name}"
        for source in files
        for node in source.tree.body
        if isinstance(node, Function | ast.ClassDef) and node.name[0] != "_" and not ast.get_docstring(node)
    ]


def format_skips(files: list[Source]) -> list[str]:
    """Return the lines that are kept from the formatter."""
    return [
        f"{source.path}:{number}"
        for source in files
        for number, line in enumerate(source.text.splitlines(), 1)
        if "fmt: skip" in line or "fmt: off" in line
    ]


def exceptions(files: list[Source]) -> list[str]:
    """Return the package's own exceptions as ``place name <- base``, those of any built-in one as ``<- Exception``."""
    classes = [
        (source, node, [ast.unparse(base) for base in node.bases])
        for source in files
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ClassDef)
    ]
    own: set[str] = set()
    for _ in classes:  # as often as a chain of bases may be long
        own |= {node.name for _, node, bases in classes if any(_is_exception(base, own) for base in bases)}
    return sorted(
        f"{'.'.join(source.path.with_suffix('').parts)} {node.name} <- {base if base in own else 'Exception'}"
        for source, node, bases in classes
        for base in bases
        if _is_exception(base, own)
    )


def _is_exception(name: str, own: set[str]) -> bool:
    kind = getattr(builtins, name, None)
    return name in own or (isinstance(kind, type) and issubclass(kind, BaseException))


def drawn_exceptions(files: list[Source]) -> list[str]:
    """Return the tree of exceptions drawn at the top of core/errors.py, in the same words."""
    (errors,) = (source for source in files if source.path == Path("core/errors.py"))
    found, above = [], {0: "Exception"}
    for line in (ast.get_docstring(errors.tree) or "").splitlines():
        if match := re.match(r"( {4,})(\w+) +([\w.]+\.\w+): ", line):
            depth = len(match[1]) // 4
            above[depth] = match[2]
            found.append(f"{match[3]} {match[2]} <- {above[depth - 1]}")
    return sorted(found)


def main() -> None:
    """Print the rooms by floor, and every offence under its measure."""
    files, known = sources(), rooms()
    between = arrows(files, known)
    standing = floors(known, between)
    for room in sorted(known, key=lambda name: (standing[name], name)):
        print(standing[room], room, "<-", ", ".join(sorted(b for a, b in between if a == room)))
    lines = sum(source.text.count("\n") for source in files)
    print(f"{len(known)} rooms, {1 + max(standing.values())} floors, {len(between)} arrows, {lines:,} lines")
    measures = {
        "upward": upward(between),
        "seven parameters or more": long_parameter_lists(files),
        "functions over 40 lines": long_functions(files),
        "files over 250 lines": long_files(files),
        "class names twice": class_names_twice(files),
        "no docstring": without_docstring(files),
        "kept from the formatter": format_skips(files),
    }
    for name, found in measures.items():
        print(f"\n{name}: {len(found)}", *found, sep="\n  ")


if __name__ == "__main__":
    main()
