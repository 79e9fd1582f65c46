"""What the import of a module takes, read from the source: which files of this package, and which other packages."""

import ast
import importlib.metadata
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import competition

ROOT = Path(competition.__file__).parents[1]
OWN = competition.__name__


def needed(modules: Sequence[str]) -> tuple[list[Path], list[str]]:
    """Return the files of this package, relative to ``ROOT``, and the other packages (by the names they are imported
    by) that the import of ``modules`` takes.

    What functions import counts where it is this package's own, for it is called for; other packages that they import
    are optional, and are not counted.
    """
    files: dict[Path, None] = {}
    others: set[str] = set()
    waiting = list(modules)
    while waiting:
        path = _file(waiting.pop())
        if path in files:
            continue
        files[path] = None
        for name, lazy in _imports(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
            first = name.partition(".")[0]
            if first == OWN:
                waiting.append(name)
            elif not lazy and first not in sys.stdlib_module_names:
                others.add(first)
        waiting += [".".join(parent.parts) for parent in path.parents if parent.parts]
    return sorted(files), sorted(others)


def requirements(packages: Sequence[str]) -> list[str]:
    """Return ``distribution==version`` of what is installed here as each of these packages, sorted."""
    known = importlib.metadata.packages_distributions()  # reads thousands of names: once
    found = []
    for package in packages:
        names = sorted(known[package])
        name = next((one for one in names if one.endswith("-headless")), names[0])  # OpenCV without windows
        found.append(f"{name}=={importlib.metadata.version(name).partition('+')[0]}")
    return sorted(found, key=str.lower)


def _file(module: str) -> Path:
    """Return the file of one of this package's modules; of a name in a module, that module's."""
    path = Path(*module.split("."))
    for place in (path / "__init__.py", path.with_suffix(".py")):
        if (ROOT / place).is_file():
            return place
    return _file(module.rpartition(".")[0])


def _imports(node: ast.AST, lazy: bool = False) -> Iterator[tuple[str, bool]]:
    """Yield each name that a module imports, and whether a function does; what type checkers alone see is left out."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            yield from ((alias.name, lazy) for alias in child.names)
        elif isinstance(child, ast.ImportFrom) and child.module:
            yield from ((f"{child.module}.{alias.name}", lazy) for alias in child.names)
        elif not (isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"):
            yield from _imports(child, lazy or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef))
