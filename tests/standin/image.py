"""An environment that holds what Kaggle's image holds: the running one's packages without those that Kaggle lacks."""

import functools
import importlib.metadata
import os
import re
import sys
import venv
from collections.abc import Iterable, Mapping
from pathlib import Path

from packaging.requirements import Requirement

# What runs the tests and what Telltale needs and Kaggle's image has not, or cannot be trusted to have.
LACKING = (
    "telltale",
    "omegaconf",
    "antlr4-python3-runtime",
    "kaggle",
    "kagglesdk",
    "captum",
    "gradio",
    "gradio_client",
    "hf-gradio",
    "groovy",
    "safehttpx",
    "onnx",
    "onnx-ir",
    "onnxscript",
    "onnxruntime",
    "ray",
    "pytest",
    "pytest-xdist",
    "execnet",
    "iniconfig",
    "pluggy",
    "hypothesis",
    "playwright",
    "ruff",
)


def build(folder: Path, without: tuple[str, ...] = ()) -> Path:
    """Make the environment in ``folder``, in a quarter of a second, and return it; its interpreter is bin/python.

    Its packages are links to the running environment's; ``without`` names further distributions that it lacks. A copy
    of it elsewhere works as well. It has a working pip, which puts packages into the environment itself.
    """
    packages = contents(tuple(sorted(without)))
    link_packages(folder, packages, with_pip="pip" not in packages)
    pip = folder / "bin" / "pip"
    pip.unlink(missing_ok=True)
    pip.write_text('#!/bin/sh\nexec "$(dirname "$0")/python" -m pip "$@"\n')
    pip.chmod(0o755)
    return folder


def link_packages(folder: Path, packages: Mapping[str, Path], with_pip: bool = False) -> Path:
    """Make an environment of these packages (see :func:`contents`) in ``folder`` and return its interpreter."""
    venv.EnvBuilder(symlinks=True, with_pip=with_pip).create(folder)
    site = next((folder / "lib").glob("python*")) / "site-packages"
    for name, path in packages.items():
        if not (site / name).exists():
            (site / name).symlink_to(path)
    return folder / "bin" / "python"


@functools.cache
def contents(without: tuple[str, ...] = ()) -> dict[str, Path]:
    """Return the name of everything that lies in the image's site-packages, with its true place.

    A folder that several distributions share is there if one of them is.
    """
    lacking = {_canonical(name) for name in (*LACKING, *without)}
    return _tops(one for one in importlib.metadata.distributions() if _canonical(one.name) not in lacking)


def required(lines: Iterable[str]) -> dict[str, Path]:
    """Return the same of an environment that holds what a requirements.txt asks for, and what that requires in turn."""
    installed = {_canonical(one.name): one for one in importlib.metadata.distributions()}
    found: dict[str, importlib.metadata.Distribution] = {}
    waiting = [Requirement(line) for line in lines]
    while waiting:
        asked = waiting.pop()
        name = _canonical(asked.name)
        if name in found or (asked.marker and not asked.marker.evaluate({"extra": ""})):
            continue
        found[name] = installed[name]
        assert asked.specifier.contains(found[name].version, prereleases=True), asked
        waiting += [Requirement(line) for line in found[name].requires or []]
    return _tops(found.values())


def _tops(distributions: Iterable[importlib.metadata.Distribution]) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for one in distributions:
        base = Path(str(one.locate_file("")))
        tops = {
            line.split(",", 1)[0].split("/", 1)[0].strip('"') for line in (one.read_text("RECORD") or "").splitlines()
        }
        for name in tops - {"..", "__pycache__", ""}:
            if (base / name).exists():
                found.setdefault(name, base / name)
    return found


def places() -> set[str]:
    """Return the folders without which the image does not work."""
    needed = {sys.prefix, sys.base_prefix, *(str(path.parent) for path in contents().values())}
    return needed | {os.path.realpath(path) for path in needed}


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
