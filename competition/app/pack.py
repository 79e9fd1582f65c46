"""A run's page as a folder that runs elsewhere: a Hugging Face Space with a Dockerfile beside it, without torch.

A pack is there whole or not at all, holds nothing of this machine, and is left alone where nothing changed.
"""

import os
import shutil
import sys
from pathlib import Path

from competition import __version__
from competition.app.imports import ROOT, needed, requirements
from competition.app.limits import Limits
from competition.app.packed import MODEL, TRUST
from competition.app.serve import PASSWORD, PORT
from competition.core.errors import UserError
from competition.core.files import draft_folder, file_digest, write_text
from competition.core.intact import read_record_file, write_record_file
from competition.core.paths import nearest_existing
from competition.data.images.credentials import library
from competition.inference.onnx.session import MANIFEST, Manifest

PACKED = "telltale-pack.json"  # what the pack consists of
ENTRY = "competition.app.packed"
BY_NAME = ("onnxruntime", "uvicorn")  # packages that functions import, and that a page cannot do without

APP = '''\
"""The page of the run {name!r}, made by Telltale {version}: python app.py serves it at port {port}."""

from pathlib import Path

try:
    from competition.app.packed import main
except ImportError as error:
    raise SystemExit(f"Error: {{error}}: run pip install -r requirements.txt, and then the same line again.")

if __name__ == "__main__":
    main(Path(__file__).resolve().parent, {name!r}, max_mb={max_mb:g}, per_minute={per_minute})
'''
README = """\
---
title: AI-made or human-made
emoji: 🔎
colorFrom: blue
colorTo: red
sdk: gradio
sdk_version: {gradio}
python_version: "{python}"
app_file: app.py
pinned: false
short_description: Was this image made by AI or by a person?
---

# AI-made or human-made?

The page of the run “{name}”, packed by Telltale {version}: it shows what a trained ensemble makes of an image. A
verdict is a score, not proof.

- **As a Hugging Face Space**: upload this folder to a new Space, for example with
  `hf upload USER/SPACE . --repo-type space`.
- **By Docker**: `docker build -t telltale-page . && docker run --rm -p {port}:{port} telltale-page`
- **With Python {python}**: `pip install -r requirements.txt && python app.py`

It listens at port {port} of all addresses (`GRADIO_SERVER_NAME` and `GRADIO_SERVER_PORT` say otherwise), and asks for a
password where the environment variable `{password}` (in a Space: a secret) holds one. One visitor may send {minute}
images a minute, each of at most {max_mb:g} MB: see `app.py`. Visitors are told apart by their addresses; behind a
proxy of your own, name its address in `FORWARDED_ALLOW_IPS`, or all of its visitors count as one.
"""
DOCKERFILE = """\
FROM python:{python}-slim
RUN useradd --create-home --uid 1000 user
USER user
ENV PATH=/home/user/.local/bin:$PATH PYTHONUNBUFFERED=1
WORKDIR /home/user/app
COPY --chown=user requirements.txt .
RUN pip install --user --no-cache-dir --requirement requirements.txt
COPY --chown=user . .
EXPOSE {port}
CMD ["python", "app.py"]
"""
ATTRIBUTES = "*.onnx filter=lfs diff=lfs merge=lfs -text\n*.onnx.data filter=lfs diff=lfs merge=lfs -text\n"


def check_place(folder: Path) -> None:
    """Raise UserError for a folder that holds anything but an older pack, is none, or cannot be replaced as a whole."""
    there = nearest_existing(folder)
    if not there.is_dir():
        raise UserError(f"pack={folder}: {there} is a file where a folder is to be: name another folder.")
    if os.path.ismount(folder) or Path.cwd().is_relative_to(folder.resolve()):
        raise UserError(f"pack={folder} is in use as a whole, by the system or by you: name a folder inside it.")
    if not folder.exists() or not any(folder.iterdir()):
        return
    known = (read_record_file(folder / PACKED) or {}).get("files", {})
    if not known:
        raise UserError(f"pack={folder} holds something else than a packed page: name a new or an empty folder.")
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder).as_posix()
        if not path.is_dir() and place not in known and place != PACKED and "__pycache__" not in path.parts:
            raise UserError(f"pack={folder}: {place} is not of the packed page there: move it away, or pack elsewhere.")


def make_pack(
    exported: Path, manifest: Manifest, folder: Path, limits: Limits, trust: str = ""
) -> tuple[list[str], bool]:
    """Write the page of the run that ``exported`` holds as ONNX into ``folder``, whole or not at all.

    ``trust``: certificates of trusted signers, as in :func:`competition.data.images.credentials.read_credentials`.
    Returns the packages that it requires, and whether anything changed. Raises UserError as :func:`check_place` does.
    """
    files, packages = needed([ENTRY])
    verifier = ["c2pa"] if library() else []  # of Content Credentials, where it is installed here
    required = requirements([*packages, *BY_NAME, *verifier])
    with draft_folder(folder) as site:
        check_place(folder)
        for path in files:
            _copy(ROOT / path, site / path)
        for name in (MANIFEST, *(name for member in manifest.members.values() for name in member.digests)):
            _copy(exported / name, site / MODEL / name)
        texts = _texts(manifest, limits, required) | ({TRUST: trust} if trust else {})
        for name, text in texts.items():
            write_text(site / name, text)
        digests = {
            path.relative_to(site).as_posix(): file_digest(path) for path in sorted(site.rglob("*")) if path.is_file()
        }
        write_record_file(site / PACKED, {"run": manifest.record.name, "files": digests})
        if _stands(folder, digests):
            return required, False
        _swap(site, folder)
    return required, True


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def _texts(manifest: Manifest, limits: Limits, required: list[str]) -> dict[str, str]:
    versions = dict(line.split("==") for line in required)
    words = {
        "name": manifest.record.name,
        "version": __version__,
        "port": PORT,
        "python": f"{sys.version_info.major}.{sys.version_info.minor}",
        "gradio": versions["gradio"],
        "password": PASSWORD,
        "max_mb": limits.max_mb,
        "per_minute": limits.per_minute,
        "minute": limits.per_minute or "any number of",
    }
    return {
        "app.py": APP.format(**words),
        "README.md": README.format(**words),
        "Dockerfile": DOCKERFILE.format(**words),
        "requirements.txt": "".join(f"{line}\n" for line in required),
        ".gitattributes": ATTRIBUTES,
    }


def _stands(folder: Path, digests: dict[str, str]) -> bool:
    """Whether the pack in ``folder`` consists of files with these digests, and no others."""
    known = (read_record_file(folder / PACKED) or {}).get("files")
    return known == digests and all(
        (folder / name).is_file() and file_digest(folder / name) == digest for name, digest in digests.items()
    )


def _swap(site: Path, folder: Path) -> None:
    """Put what was built into ``folder``'s place; the older pack goes."""
    if not folder.exists():
        os.rename(site, folder)
        return
    with draft_folder(folder.with_name(f"{folder.name}-old")) as old:
        os.rename(folder, old / folder.name)
        os.rename(site, folder)
