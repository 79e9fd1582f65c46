"""A training kernel: one Python file that holds Telltale, a request, and what a session needs of the run so far."""

import base64
import io
import shutil
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from competition.core.files import temporary_folder, write_text
from competition.kaggle.kernels import write_metadata
from competition.kaggle.sessions.kernel import REQUEST
from competition.kaggle.sessions.request import Request, write_request
from competition.kaggle.wheels import installed_wheel, telltale_wheel

CODE = "train.py"
CARRIED = ("omegaconf",)  # Kaggle's image has none, or an older one; the others a session can fetch
SCRIPT = '''\
"""Trains {name} with Telltale; pushed by ./run.sh engine=kaggle, which fetches what this session leaves behind."""

import base64
import io
import sys
import tarfile
import tempfile
from pathlib import Path

FOLDER = Path(tempfile.mkdtemp(prefix="telltale-"))
PAYLOAD = (
{payload}
)

with tarfile.open(fileobj=io.BytesIO(base64.b85decode(PAYLOAD)), mode="r:xz") as archive:
    archive.extractall(FOLDER, filter="data")
sys.path.insert(0, str(next(FOLDER.glob("wheels/telltale-*.whl"))))

from competition.kaggle.sessions.kernel import main

main(FOLDER)
'''
LINE = 110  # characters of payload in a line of the script


def write_kernel(
    folder: Path, ref: str, request: Request, settings: str, settled: Mapping[str, Path], metadata: Mapping[str, Any]
) -> None:
    """Write the kernel OWNER/SLUG into ``folder``, which it replaces, for the command line to push.

    ``settings``: the run's config.yaml as the session is to read it. ``settled``: files to put into the run's folder
    there, by their place in it. ``metadata``: what kernel-metadata.json holds besides the usual.
    """
    with temporary_folder() as inside:
        _uncompressed(telltale_wheel(inside / "wheels"))
        for name in CARRIED:
            _uncompressed(installed_wheel(name, inside / "wheels"))
        write_request(inside / REQUEST, request)
        write_text(inside / "config.yaml", settings)
        for place, source in settled.items():
            target = inside / "home" / "folds" / request.name / place
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)
        payload = base64.b85encode(_archive(inside)).decode()
    lines = (f'    "{payload[at : at + LINE]}"' for at in range(0, len(payload), LINE))
    shutil.rmtree(folder, ignore_errors=True)
    write_text(folder / CODE, SCRIPT.format(name=request.name, payload="\n".join(lines)))
    gpu = "false" if request.accelerator == "none" else "true"
    write_metadata(folder, ref, CODE, **metadata, enable_internet="true", enable_gpu=gpu)


def _archive(folder: Path) -> bytes:
    """Return a .tar.xz of ``folder``: what compresses best, for Kaggle takes 1 MB of source and no more."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w:xz", preset=9) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.add(path, path.relative_to(folder).as_posix(), filter=_without_owner)
    return written.getvalue()


def _without_owner(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Leave out the owner and the date that a file has on this machine."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    entry.mtime = 0
    return entry


def _uncompressed(wheel: Path) -> None:
    """Store a wheel's files as they are: they are compressed together with all the others."""
    with zipfile.ZipFile(wheel) as archive:
        files = [(info, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(wheel, "w", zipfile.ZIP_STORED) as archive:
        for info, content in files:
            info.compress_type = zipfile.ZIP_STORED
            archive.writestr(info, content)
