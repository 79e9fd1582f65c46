"""Runs the command line as a user does, in a process of its own or in this one; where asked, kills it at a step."""

import contextlib
import functools
import io
import json
import os
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from filelock import FileLock

from competition.__main__ import main
from competition.core.files import write_json
from competition.core.intact import SEAL, content_mark, write_record_file
from competition.inference.job_files import DONE_FILE
from tests.warm import ROOT, Warm

HUGE = 10**9  # bytes: more than any result of a test
SHARED = ROOT.parent / "shared" / "data"

TINY = [
    "preset=demo",
    "demo.train_scenes=30",
    "demo.test_scenes=12",
    "epochs=2",
    "batch_size=8",
    "jobs=1",
    "folds=3",
    "checkpoint_seconds=0",
    "report=false",
    "image_size=32",
    "view=residual",
    "augment=flips",
    "threshold_on=clean",
    "members.swin.precision=bf16",
    "members.convnext.backbone_args={patch_size: 2, depths: [1, 1, 1, 1], dims: [8, 16, 24, 32]}",
    "members.swin.backbone_args={patch_size: 2, embed_dim: 16, depths: [1, 1], num_heads: [2, 4], window_size: 4}",
]

# Wraps a function of the program so that its n-th call is the process's last: before it does anything ("before"), or,
# for a writer of a file, with half of the bytes written ("half").
KILLED = """
import importlib, io, os, signal, sys
module, name, count, when = sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]
owner = importlib.import_module(module)
*path, name = name.split(".")
for part in path:
    owner = getattr(owner, part)
original, calls = getattr(owner, name), []
def wrapped(*args, **kwargs):
    calls.append(1)
    if len(calls) == count:
        if when == "half":
            whole = io.BytesIO()
            original(args[0], whole)
            args[1].write(whole.getvalue()[: whole.tell() // 2])
            args[1].flush()
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*args, **kwargs)
setattr(owner, name, wrapped)
from competition.__main__ import main
from competition.core.files import write_json
from competition.core.intact import SEAL, content_mark, write_record_file
from competition.inference.job_files import DONE_FILE
sys.exit(main(sys.argv[5:]))
"""


def environment(home: Path) -> dict[str, str]:
    return {**os.environ, "TELLTALE_HOME": str(home), "PYTHONPATH": str(ROOT), "COLUMNS": "200", "OMP_NUM_THREADS": "1"}


@functools.cache
def warm() -> Warm:
    """Return the process that this test process's command lines are forked from."""
    return Warm()


def telltale(home: Path, *words: str, cwd: Path | None = None, afresh: bool = False) -> subprocess.CompletedProcess:
    """Run `python -m competition` with results in ``home``; ``afresh`` where the hub's client has to read the
    environment, which it does as it is imported."""
    anew = ("competition", "timm", "huggingface_hub") if afresh else ()
    return warm().run(words, environment(home), cwd or home, anew=anew)


def inside(home: Path, *words: str, cwd: Path | None = None) -> subprocess.CompletedProcess:
    """Run the command line in this process, seconds sooner: for what does not need a process of its own."""
    out, err = io.StringIO(), io.StringIO()
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        patch.setenv("TELLTALE_HOME", str(home))
        patch.setenv("COLUMNS", "200")
        patch.chdir(cwd or home)
        status = main(words)
    return subprocess.CompletedProcess(words, status, out.getvalue(), err.getvalue())


def done_inside(home: Path, *words: str) -> str:
    """Run the command line in this process, assert that it succeeded, and return what it printed."""
    result = inside(home, *words)
    assert result.returncode == 0, result.stderr
    return result.stdout


def done(home: Path, *words: str, afresh: bool = False) -> str:
    """Run the command line, assert that it succeeded, and return what it printed."""
    result = telltale(home, *words, afresh=afresh)
    assert result.returncode == 0, result.stderr
    return result.stdout


def once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], str]) -> tuple[Path, str]:
    """Return a folder that ``make`` filled and what it returned, once for all processes of this run of the tests."""
    base = factory.getbasetemp()
    base = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder, made = base / name, base / f"{name}.made"
    with FileLock(base / f"{name}.lock"):
        if not made.exists():
            folder.mkdir()
            made.write_text(make(folder))
    return folder, made.read_text()


def killed(home: Path, at: tuple[str, str, int, str], *words: str) -> None:
    """Run the command line until the call that ``at`` names (module, function, count, before or half): SIGKILL."""
    result = warm().run([*map(str, at), *words], environment(home), home, code=KILLED)
    assert result.returncode == -signal.SIGKILL, f"not killed: {result.stdout}{result.stderr}"


def outcome(home: Path, whole: bool = True) -> dict[str, bytes]:
    """Return the bytes of everything a run promises to repeat; with ``whole=False`` a submission may be missing."""
    files = [path for name in ("oof.csv", "test.csv", "evidence.npz") for path in home.glob(f"folds/*/*/*/{name}")]
    submission = home / "submissions/submission.csv"
    files += [submission] if whole or submission.exists() else []
    read = [path for path in files if path.is_file() and path.stat().st_size < HUGE]
    return {str(path.relative_to(home)): path.read_bytes() for path in read}


def everything(home: Path) -> dict[str, tuple[int, int]]:
    """Return each file with its size and time of change."""
    return {
        str(p.relative_to(home)): (p.stat().st_size, p.stat().st_mtime_ns)
        for p in sorted(home.rglob("*"))
        if p.is_file() and p.name not in (".lock", "lock")
    }


def sign(path: Path) -> None:
    """Make a job's file, or a record, that a test has changed count as written by the program."""
    if path.suffix == ".json":
        write_record_file(path, {key: value for key, value in json.loads(path.read_text()).items() if key != SEAL})
        return
    done = json.loads((path.parent / DONE_FILE).read_text())
    write_json(path.parent / DONE_FILE, done | {"files": done["files"] | {path.name: content_mark(path)}})
    sign(path.parent / DONE_FILE)
