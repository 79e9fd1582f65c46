"""What runs inside a Kaggle session before Telltale is there: finds what is mounted, installs wheels, opens a bundle.

Its source text stands at the top of what is pushed, so it needs Python's standard library alone and nothing of this
package. What cannot be is a RuntimeError of one sentence, which ends the session as failed.
"""

import contextlib
import hashlib
import importlib
import importlib.metadata
import importlib.util
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

INPUT = Path("/kaggle/input")  # data sets and competitions are mounted below it, at a depth that has changed
PACKAGES, HOME, UNPACKED = (Path(tempfile.gettempdir()) / f"telltale-{name}" for name in ("packages", "home", "data"))
MANIFEST = "telltale.json"  # in a bundle: which run it is of, and its files
IMAGES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".jfif")
# By the name it is imported by: opencv, say, comes as any of four distributions.
NEEDED = "torch torchvision numpy pandas scipy sklearn cv2 PIL yaml tqdm safetensors huggingface_hub rich".split()
DISTRIBUTIONS = {"sklearn": "scikit-learn", "cv2": "opencv-python-headless", "PIL": "pillow", "yaml": "pyyaml"}
OPENCV = ("opencv-python-headless", "opencv-python", "opencv-contrib-python", "opencv-contrib-python-headless")
# Versions that prediction and training run with, by trial; the rest of Telltale, or its tests, needs newer ones.
OLDEST = {"numpy": [">=1.26"], "pandas": [">=2.1"], "scikit-learn": [">=1.2"]}
SCORING = "KAGGLE_IS_COMPETITION_RERUN"  # set where a code competition's notebook is run again on the hidden test set


def find(*patterns: str, root: Path = INPUT) -> list[Path]:
    """Return the files and folders below ``root`` whose names match one of the patterns, the shallowest first.

    Image files are not looked at: listing 80,000 takes a moment, asking the mount about each takes minutes.
    """
    return [path for path in _entries(root) if any(fnmatch(path.name, pattern) for pattern in patterns)]


def _entries(root: Path) -> list[Path]:
    found = _walk(str(root)) if root.is_dir() else ()
    return sorted(found, key=lambda path: (len(path.parts), str(path)))


def _walk(folder: str) -> Iterator[Path]:
    with os.scandir(folder) as entries:
        seen = [entry for entry in entries if not entry.name.lower().endswith(IMAGES)]
    for entry in seen:
        yield Path(entry.path)
        if entry.is_dir():
            yield from _walk(entry.path)


def competition_folder(slug: str, names: Sequence[str], root: Path = INPUT) -> Path:
    """Return the folder of the mounted competition: the one that holds most of ``names`` (files or folders, zipped or
    not), one below a folder called ``slug`` before others, then the shallowest. RuntimeError where none holds any."""
    held: dict[Path, set[str]] = {}
    for path in find(*names, *(f"{name}.zip" for name in names), root=root):
        held.setdefault(path.parent, set()).add(path.name.removesuffix(".zip"))
    if not held:
        mounted = ", ".join(path.relative_to(root).as_posix() for path in _entries(root)[:8]) or "nothing"
        raise RuntimeError(
            f"No folder below {root} holds {' or '.join(names)} (there is {mounted}): add "
            f"{slug or 'the competition'} to this notebook's input."
        )

    def order(folder: Path) -> tuple[bool, int, int, str]:
        return slug not in folder.relative_to(root).parts, -len(held[folder]), len(folder.parts), str(folder)

    return min(held, key=order)


def readable(folder: Path, target: Path = UNPACKED) -> Path:
    """Return ``folder``, or where it holds X.zip and no X, as older competitions do, ``target``: links to all that lies
    in it, with each such X unpacked. RuntimeError where that cannot be done."""
    packed = [path for path in sorted(folder.glob("*.zip")) if not path.with_suffix("").exists()]
    if not packed:
        return folder
    shutil.rmtree(target, ignore_errors=True)  # of an earlier run of the same cell
    target.mkdir(parents=True)
    for path in folder.iterdir():
        if path not in packed:
            (target / path.name).symlink_to(path)
    for path in packed:
        print(f"Unpacking {path} ...", flush=True)
        inside = target / f".{path.name}.part"
        try:
            with zipfile.ZipFile(path) as archive:
                archive.extractall(inside)  # which lets no name lead out of the folder
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
            raise RuntimeError(f"{path} cannot be unpacked into {target} ({error}): use another copy of it.") from error
        if [one.name for one in inside.iterdir()] == [path.stem]:  # train.zip may hold train/0.jpg, or 0.jpg
            (inside / path.stem).rename(target / path.stem)
            inside.rmdir()
        else:
            inside.rename(target / path.stem)
    return target


def install(wheels: Path, target: Path = PACKAGES) -> list[str]:
    """Install those of the wheels in ``wheels`` that are wanted into ``target`` and put it before the image's packages,
    here and in the processes started from here; return what was installed.

    Telltale always is; another where the image lacks it, or has a version that one of the wheels does not accept. What
    is compiled cannot be carried: RuntimeError where the image lacks some of it, or has it too old for Telltale.
    """
    shutil.rmtree(target, ignore_errors=True)  # of an earlier run of the same cell
    sys.path[:] = [path for path in sys.path if path != str(target)]
    importlib.invalidate_caches()
    files = {_canonical(path.name.split("-")[0]): path for path in sorted(wheels.glob("*.whl"))}
    needs = {name: _requirements(path) for name, path in files.items()}
    accepted: dict[str, list[str]] = {}
    for name, clauses in itertools.chain.from_iterable(needs.values()):
        accepted.setdefault(name, []).extend(clauses)
    chosen = [name for name in files if name == "telltale" or not _accepted(name, accepted.get(name, []))]
    if missing := _missing(chosen, needs):
        raise RuntimeError(
            f"This image lacks {', '.join(dict.fromkeys(missing))}, which wheels for any machine cannot "
            "bring: choose the latest environment in the notebook's settings."
        )
    options = "--quiet --no-deps --no-index --no-warn-script-location --disable-pip-version-check".split()
    paths = [str(files[name]) for name in chosen]
    subprocess.run([sys.executable, "-m", "pip", "install", *options, "--target", str(target), *paths], check=True)
    sys.path.insert(0, str(target))
    importlib.invalidate_caches()
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(target), os.environ.get("PYTHONPATH")]))
    return [files[name].name for name in chosen]


def _missing(chosen: Sequence[str], needs: dict[str, list[tuple[str, list[str]]]]) -> list[str]:
    """Return what the image lacks, or has too old for Telltale, and no wheel brings; ``needs``: what each wheel
    requires, of which those in ``chosen`` are to be installed."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    for name in chosen:
        if name != "telltale":
            missing += [need for need, _ in needs[name] if need not in needs and _version(need) is None]
    known = {_canonical(DISTRIBUTIONS.get(name, name)) for name in NEEDED}
    for name, clauses in needs["telltale"]:
        clauses = OLDEST.get(name, clauses)
        if name in known and (version := _version(name)) and not _accepted(name, clauses):
            missing.append(f"{name}{','.join(clauses)} (it has {version})")
    return missing


def _requirements(wheel: Path) -> list[tuple[str, list[str]]]:
    """Return what a wheel needs whatever the machine: names, each with its version clauses (``>=1.0``)."""
    with zipfile.ZipFile(wheel) as archive:
        path = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        lines = archive.read(path).decode().partition("\n\n")[0].splitlines()
    needs = []
    for line in lines:
        match = re.fullmatch(r"Requires-Dist: *([\w.-]+)(?:\[.*?\])?([^;]*)", line)  # with a marker: not on Kaggle's
        if match:
            needs.append((_canonical(match[1]), re.findall(r"[<>=!~]=?\s*[\w.*]+", match[2])))
    return needs


def _accepted(name: str, clauses: Sequence[str]) -> bool:
    """Whether the image has ``name`` in a version that is no older than a ``>=`` and equal to an ``==`` clause."""
    version = _version(name) or ""
    for kind, number in (re.findall(r"([<>=!~]=?)\s*(.*)", clause)[0] for clause in clauses):
        if (kind == ">=" and _numbers(version) < _numbers(number)) or (kind == "==" and version != number):
            return False
    return bool(version)


def _version(name: str) -> str | None:
    """Return the version of a distribution that the image has; any opencv is as good as another."""
    for one in OPENCV if name.startswith("opencv") else (name,):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            return importlib.metadata.version(one)
    return None


def _canonical(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version.partition("+")[0])]


def find_bundle(name: str, key: str, root: Path = INPUT) -> Path:
    """Return the folder of the bundle of run ``name`` with content ``key``; RuntimeError where it is not mounted."""
    others = []
    for path in find(MANIFEST, root=root):
        manifest = json.loads(path.read_text(encoding="utf-8"))
        if manifest.get("name") == name and manifest.get("key") == key:
            return path.parent
        others.append(f"{path} of '{manifest.get('name')}'")
    raise RuntimeError(
        f"No data set below {root} is this notebook's bundle of '{name}' (found: "
        f"{', '.join(others) or 'none'}): add its newest version to the notebook's input."
    )


def lay_out(bundle: Path, home: Path = HOME) -> None:
    """Link the bundle's files, each found to be what was packed, into the places that Telltale looks for them in, and
    name the folder to the processes started from here. RuntimeError for a file that is missing or another."""
    shutil.rmtree(home, ignore_errors=True)
    manifest = json.loads((bundle / MANIFEST).read_text(encoding="utf-8"))
    for file, packed in manifest["files"].items():
        if not (bundle / file).is_file() or sha256(bundle / file) != packed["sha256"]:
            raise RuntimeError(f"{bundle / file} is missing or not what was packed: upload the bundle again.")
        if place := packed.get("place"):
            (home / place).parent.mkdir(parents=True, exist_ok=True)
            (home / place).symlink_to(bundle / file)
    os.environ["TELLTALE_HOME"] = str(home)


def predict(name: str, test: Path, out: Path) -> None:
    """Predict the test set in ``test`` with run ``name`` and write the submission ``out``; its output is printed
    as it comes. RuntimeError where there is no submission; one with unreadable images is one.

    Where nothing of the test set is to be seen before Kaggle scores the notebook, a placeholder is written until then.
    """
    out.unlink(missing_ok=True)
    status, last = _run("competition", "predict", f"name={name}", f"test={test}", f"out={out}")
    if not out.is_file() and not os.environ.get(SCORING):
        _run("competition.kaggle.notebook.placeholder", name, str(test), str(out))
    if not out.is_file():
        raise RuntimeError(f"The prediction wrote no submission (status {status}): {last}")


def _run(module: str, *words: str) -> tuple[int, str]:
    """Run a module, printing its output as it comes; return its exit status and its last line."""
    last = ""
    with subprocess.Popen(
        [sys.executable, "-m", module, *words], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            last = line.strip() or last
    return process.returncode, last


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
