"""Runs a notebook's code cells in order in one process, as far as that needs no Jupyter: the stand-in's sessions.

Run by its path: ``python tests/standin/notebook.py NOTEBOOK``. Lines ``!command``, ``%pip ...`` and ``%cd FOLDER`` are
understood; any other magic is an error.
"""

import json
import linecache
import re
import subprocess
import sys


def _shell(command: str) -> None:
    sys.stdout.flush()
    subprocess.run(command, shell=True)  # a failure goes on to the next line, as it does in Jupyter


def _plain(source: str) -> str:
    """Return a cell's code with the lines for the shell turned into calls."""

    def call(found: re.Match) -> str:
        indent, sign, words = found.groups()
        if sign == "!":
            return f"{indent}__shell__({words!r})"
        name, _, rest = words.partition(" ")
        if name == "pip":
            return f"{indent}__shell__({f'{sys.executable} -m pip {rest}'!r})"
        if name == "cd":
            return f"{indent}__import__('os').chdir({rest.strip()!r})"
        raise ValueError(f"the stand-in for Kaggle cannot run the magic %{words}")

    return re.sub(r"(?m)^([ \t]*)([!%])(.*)$", call, source)


def run(path: str) -> None:
    """Execute the notebook in this process's ``__main__``; a cell's exception ends it."""
    with open(path, encoding="utf-8") as file:
        cells = [cell for cell in json.load(file)["cells"] if cell["cell_type"] == "code"]
    space = sys.modules["__main__"].__dict__
    space.pop("__file__", None)
    space |= {"__shell__": _shell, "display": print}
    sys.path[0], sys.argv[:] = "", [""]
    for number, cell in enumerate(cells, 1):
        source = cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])
        name, code = f"<cell {number}>", _plain(source)
        linecache.cache[name] = (len(code), None, code.splitlines(True), name)
        exec(compile(code, name, "exec"), space)
        sys.stdout.flush()


if __name__ == "__main__":
    run(sys.argv[1])
