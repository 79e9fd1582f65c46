"""What travels to Kaggle as wheels: Telltale itself, and those pure-Python packages that Kaggle's image may lack.

Wheels are written straight from the folders that run here, without a build tool or a network; the same files give the
same bytes. ``pip install --no-deps --no-index`` takes them.
"""

import base64
import csv
import hashlib
import importlib.metadata
import io
import re
import tomllib
import zipfile
from collections.abc import Mapping
from pathlib import Path, PurePosixPath

from competition import __version__
from competition.core.errors import UserError
from competition.core.files import atomic_write

PREDICTION = ("timm", "omegaconf")  # what prediction imports of the pure-Python packages that an image may lack
PURE = (*PREDICTION, "albumentations", "albucore")  # and what training imports too
PACKAGE = Path(__file__).resolve().parents[1]
NAME = "telltale"
FOR_READERS = (".md", ".png")  # what lies beside the code for people: a training kernel has room for 1 MB in all
EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest date that a zip file can hold
NOT_CARRIED = ("INSTALLER", "REQUESTED", "RECORD", "direct_url.json")  # what an installer says of one machine


def telltale_wheel(folder: Path) -> Path:
    """Write this very package, with the files that its code reads, as a wheel into ``folder`` and return its path.

    Its metadata come from the pyproject.toml beside the package, or from the installed distribution. Raises UserError
    where there is neither.
    """
    contents = {
        path.relative_to(PACKAGE.parent).as_posix(): path.read_bytes()
        for path in PACKAGE.rglob("*")
        if path.is_file() and path.suffix not in FOR_READERS and _is_source(path.relative_to(PACKAGE))
    }
    info = f"{NAME}-{__version__}.dist-info"
    contents[f"{info}/METADATA"] = _own_metadata().encode()
    contents[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: telltale\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    licence = PACKAGE.parent / "LICENSE"
    if licence.is_file():
        contents[f"{info}/licenses/LICENSE"] = licence.read_bytes()
    return _write_wheel(folder, NAME, __version__, info, contents)


def installed_wheel(name: str, folder: Path) -> Path:
    """Write the installed pure-Python distribution ``name``, same version, as a wheel into ``folder``; return its path.

    Raises UserError where it is not installed, holds compiled code, or does not say which files are its own.
    """
    try:
        found = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError:
        raise UserError(f"{name} is not installed here: install it, then repeat the same line.") from None
    if not re.search(r"^Tag: py[\d.py]*3[\d.py]*-none-any\s*$", found.read_text("WHEEL") or "", re.MULTILINE):
        raise UserError(
            f"{name} {found.version} is not pure Python here, and cannot be carried to Kaggle: install a "
            "version that is."
        )
    files = [PurePosixPath(str(file)) for file in found.files or ()]
    own = [file for file in files if ".." not in file.parts and _is_source(file) and file.name not in NOT_CARRIED]
    if not own or any(file.suffix == ".pth" for file in own):
        raise UserError(
            f"{name} {found.version} is installed here as a link to its sources or without a list of its "
            f"files: install it with 'pip install {name}'."
        )
    try:
        contents = {str(file): Path(str(found.locate_file(str(file)))).read_bytes() for file in own}
    except FileNotFoundError as error:
        raise UserError(f"{name} {found.version} is damaged, {error.filename} is missing: install it again.") from error
    info = next(file.parts[0] for file in own if file.parts[0].endswith(".dist-info"))
    return _write_wheel(folder, name, found.version, info, contents)


def _is_source(path: Path | PurePosixPath) -> bool:
    """Whether a file of a package is more than what Python or an editor left behind."""
    hidden = any(part.startswith(".") or part == "__pycache__" for part in path.parts)
    return not hidden and path.suffix not in (".pyc", ".pyo")


def _own_metadata() -> str:
    """Return the METADATA of this package: pyproject.toml's, else those it was installed with."""
    path = PACKAGE.parent / "pyproject.toml"
    project = tomllib.loads(path.read_text(encoding="utf-8")).get("project", {}) if path.is_file() else {}
    if project.get("name") == NAME:
        lines = [
            "Metadata-Version: 2.1",
            f"Name: {NAME}",
            f"Version: {__version__}",
            f"Summary: {project['description']}",
            f"License: {project['license']}",
            f"Requires-Python: {project['requires-python']}",
        ]
        return "\n".join([*lines, *(f"Requires-Dist: {need}" for need in project["dependencies"])]) + "\n"
    try:
        return importlib.metadata.distribution(NAME).read_text("METADATA") or ""
    except importlib.metadata.PackageNotFoundError:
        raise UserError(
            f"There is neither a pyproject.toml beside {PACKAGE} nor an installed {NAME}: run Telltale "
            "from its checkout."
        ) from None


def _write_wheel(folder: Path, name: str, version: str, info: str, contents: Mapping[str, bytes]) -> Path:
    """Write ``contents`` (path in the wheel: bytes) with a RECORD of them, sorted and undated."""
    record = io.StringIO()
    rows = csv.writer(record, lineterminator="\n")
    for path, content in sorted(contents.items()):
        digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
        rows.writerow([path, f"sha256={digest}", len(content)])
    rows.writerow([f"{info}/RECORD", "", ""])
    wheel = folder / f"{re.sub(r'[-_.]+', '_', name).lower()}-{version}-py3-none-any.whl"
    with atomic_write(wheel, "wb") as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in [*sorted(contents.items()), (f"{info}/RECORD", record.getvalue().encode())]:
            entry = zipfile.ZipInfo(path, EPOCH)
            entry.external_attr = 0o100644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, content)
    return wheel
