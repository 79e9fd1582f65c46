"""Runs the command line in processes forked from one that has imported it all already: as real, and seconds sooner."""

import contextlib
import ctypes
import json
import multiprocessing.util
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
IMPORTED = (
    "competition.commands.run",
    "competition.training.engines.local",
    "competition.report.write",
    "competition.inference.test_set",
    "competition.kaggle.sessions.engine",
    "competition.commands.submit",
    "competition.commands.ledger",
    "competition.commands.download",
    "competition.commands.bundle",
)


CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000


@dataclass(frozen=True)
class Line:
    """A command line that runs in a process of its own, which leads a session and a process group of this number."""

    words: tuple[str, ...]
    process: int
    files: tuple[Path, Path]  # what it prints, and its errors

    def end(self) -> None:
        """Kill what is left of it and of what it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process, signal.SIGKILL)


class Warm:
    """The process that forks. It ends with us. ``memory``: the most bytes that each forked one may map, 0 for any;
    ``env``: what packages are to read as they are imported."""

    def __init__(self, memory: int = 0, **env: str):
        env = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "NO_ALBUMENTATIONS_UPDATE": "1", **env}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.warm"],
            cwd=ROOT,
            env=env,
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        if memory:
            resource.prlimit(self._process.pid, resource.RLIMIT_AS, (memory, memory))

    def run(
        self, words: Sequence[str], env: Mapping[str, str], cwd: Path, timeout: float = 300, **more
    ) -> subprocess.CompletedProcess:
        """Run ``python -m competition WORDS`` as subprocess.run does, with text output. Processes that it started and
        left behind are ended. ``more``: as for ``start``."""
        with tempfile.TemporaryDirectory() as folder:
            line = self.start(words, env, cwd, Path(folder), **more)
            try:
                return self.wait(line, timeout)
            finally:
                line.end()

    def start(
        self,
        words: Sequence[str],
        env: Mapping[str, str],
        cwd: Path,
        folder: Path,
        code: str = "",
        beside: int = 0,
        anew: Sequence[str] = (),
    ) -> Line:
        """Start ``python -m competition WORDS``, or ``code`` with them in its sys.argv; its output goes to files in
        ``folder``. ``beside``: the process in whose user and network namespaces it is to run; ``anew``: packages that
        are to read the environment as they are imported."""
        files = folder / "out", folder / "err"
        for path in files:
            path.touch()
        request = {
            "words": list(words),
            "env": dict(env),
            "cwd": str(cwd),
            "files": [str(path) for path in files],
            "code": code,
            "beside": beside,
            "anew": list(anew),
        }
        return Line(tuple(words), self._ask({"start": request}), files)

    def wait(self, line: Line, timeout: float = 300) -> subprocess.CompletedProcess:
        """Wait until a line has ended; subprocess.TimeoutExpired where it has not after ``timeout`` seconds, and it is
        killed then. What it started lives on."""
        status = self._ask({"wait": line.process, "timeout": timeout})
        if timed_out := status is None:
            line.end()
            self._ask({"wait": line.process, "timeout": timeout})
        out, err = (path.read_text(encoding="utf-8", errors="surrogateescape") for path in line.files)
        if timed_out:
            raise subprocess.TimeoutExpired(list(line.words), timeout, out, err)
        return subprocess.CompletedProcess(list(line.words), status, out, err)

    def _ask(self, request: dict) -> int | None:
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


def _serve() -> None:
    """Read a request a line, and answer: to a start with the process's number, to a wait with its exit status, negative
    for a signal, null where time was up."""
    for name in IMPORTED:
        __import__(name)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for line in sys.stdin:
        request = json.loads(line)
        if "start" in request:
            if (child := os.fork()) == 0:
                _run(request["start"])
            while os.getsid(child) != child:  # from then on a signal to its group finds it
                time.sleep(0.001)
            answer: int | None = child
        else:
            answer = _status(request["wait"], time.monotonic() + request["timeout"])
        print(json.dumps(answer), flush=True)


def _status(child: int, deadline: float) -> int | None:
    """Wait for a child until the deadline and return its exit status."""
    while (ended := os.waitpid(child, os.WNOHANG))[0] == 0:
        if time.monotonic() > deadline:
            return None
        time.sleep(0.005)
    return os.waitstatus_to_exitcode(ended[1])


def _enter(process: int) -> None:
    """Move into the user and network namespaces of a process."""
    libc = ctypes.CDLL(None, use_errno=True)
    spaces = [
        (os.open(f"/proc/{process}/ns/{name}", os.O_RDONLY), kind)
        for name, kind in (("user", CLONE_NEWUSER), ("net", CLONE_NEWNET))
    ]
    for space, kind in spaces:
        if libc.setns(space, kind):
            raise OSError(ctypes.get_errno(), "setns")
        os.close(space)


def _run(request: dict) -> None:
    """The life of the forked process."""
    os.setsid()
    status = 1
    try:
        if request["beside"]:
            _enter(request["beside"])
        os.environ.clear()
        os.environ.update(request["env"])
        tempfile.tempdir = None  # it is another one's
        os.chdir(request["cwd"])
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        for target, opened in enumerate(
            [os.open(os.devnull, os.O_RDONLY), *(os.open(f, flags) for f in request["files"])]
        ):
            os.dup2(opened, target)
        for name in [name for name in sys.modules if name.partition(".")[0] in request["anew"]]:
            del sys.modules[name]
        sys.argv = ["competition", *request["words"]]
        if request["code"]:
            exec(request["code"], {"__name__": "warm"})
        else:
            from competition.__main__ import script

            status = script()
    except SystemExit as left:
        status = left.code if isinstance(left.code, int) else 0 if left.code is None else 1
    except BaseException:
        traceback.print_exc()
    finally:
        multiprocessing.util._exit_function()  # type: ignore[attr-defined]  # as a process of its own ends
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    _serve()
