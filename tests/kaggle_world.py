"""Kaggle on loopback, for tests: the real command-line tool talks to a stand-in for its API, and nothing can leave.

    with World() as world:                                                    # or the fixture `kaggle_world`
        world.add_competition("cats", files={"test.csv": b"..."}, solution={"a.jpg": 1, "b.jpg": 0})
        world.kaggle("competitions", "download", "cats", "-p", "data")        # the real CLI, as user alice
        world.telltale(home, "submit", "competition=cats")                    # python -m competition
        world.submissions("cats")[0].public

Every command runs in the network namespace of the server, which has no interface but loopback and no route; a World
that finds anything else refuses to start, and where namespaces are denied it skips the test with the reason. One server
a test process is started at first need; each World is fresh on it. What the server did not understand or failed at
fails the test as the World closes. tests/standin/records.py says what can be looked at.

`world.home` is the commands' HOME, with `.kaggle/kaggle.json` (mode 600) of user alice; `world.folder` holds all else,
and both are gone when the World closes. USER, KEY and TOKEN are alice's name, key and API token; `world.server` is the
number of the server's process.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.running import ROOT, warm
from tests.standin.process import Server, stop
from tests.standin.records import Kernel, Request, Submission
from tests.standin.scoring import F1, OF_LABELS

USER, KEY, TOKEN = "alice", "0123456789abcdef0123456789abcdef", "KGAT_00112233445566778899aabbccddeeff"
PUBLISHED = 1_735_689_600  # 2025-01-01: when the competitions' files were last changed, long before any test


class World:
    """A Kaggle of its own while the ``with`` block runs."""

    def __init__(self, **options):
        """``options``: those of ``set``."""
        self._server = Server.get()
        self.server = self._server.process.pid
        self.folder = Path(tempfile.mkdtemp(prefix="kaggle-"))  # a short path: sockets of workers live in its tmp/
        self.home = self.folder / "home"
        self._running: list[subprocess.Popen] = []
        for name in ("home/.kaggle", "tmp", "site"):
            (self.folder / name).mkdir(parents=True, mode=0o700)
        self.credentials()
        self._server.call("start", folder=str(self.folder / "site"), users={USER: [KEY, TOKEN]})
        if options:
            self.set(**options)

    def __enter__(self) -> "World":
        return self

    def __exit__(self, kind, error, trace) -> None:
        wrong = self._server.call("stop")
        for process in self._running:
            stop(process)
        shutil.rmtree(self.folder, ignore_errors=True)
        assert kind is not None or not wrong, "the stand-in could not answer:\n" + "\n".join(wrong)

    def credentials(self, user: str = USER, key: str = KEY, mode: int = 0o600) -> Path:
        """Write ``home/.kaggle/kaggle.json`` with these words and this mode; return its path (unlink it for none)."""
        path = self.home / ".kaggle/kaggle.json"
        path.write_text(json.dumps({"username": user, "key": key}))
        path.chmod(mode)
        return path

    # What Kaggle holds

    def add_competition(
        self,
        slug: str,
        files: Mapping[str, bytes | Path] | None = None,
        folder: Path | None = None,
        solution: Mapping[str, int] | None = None,
        archive: bytes | None = None,
        **options,
    ) -> Path:
        """Open a competition, or replace the one of this name; return the folder of its files.

        Its files are ``files`` (name, possibly with folders, to bytes or a file to copy) or those of ``folder``;
        ``archive`` is served as the download of everything in place of a zip of them. ``solution``: id to label.
        Options: title, entered=True (rules accepted), daily=5, total=None (lifetime), code_only=False,
        public_fraction=0.5, columns=("id", "label"), pending_lists=1 (how many times the list still shows PENDING),
        pending_seconds=0, show_private=True, deadline=None (ISO time, UTC), closed=False (submissions disabled),
        metric (one of tests/standin/scoring.py).
        """
        base = self.folder / "competitions" / slug
        shutil.rmtree(base, ignore_errors=True)
        data = base / "data"
        data.mkdir(parents=True)
        if folder is not None:
            shutil.copytree(folder, data, dirs_exist_ok=True)
        for name, content in (files or {}).items():
            (data / name).parent.mkdir(parents=True, exist_ok=True)
            (data / name).write_bytes(content if isinstance(content, bytes) else Path(content).read_bytes())
        for path in data.rglob("*"):
            os.utime(path, (PUBLISHED, PUBLISHED))
        zipped = base / "archive.zip"
        if archive is not None:
            zipped.write_bytes(archive)
        else:
            with zipfile.ZipFile(zipped, "w") as made:
                for path in sorted(path for path in data.rglob("*") if path.is_file()):
                    made.write(path, path.relative_to(data))
        os.utime(zipped, (PUBLISHED, PUBLISHED))
        self._server.call(
            "add_competition",
            slug=slug,
            data=str(data),
            archive=str(zipped),
            solution=dict(solution) if solution else None,
            **options,
        )
        return data

    def add_demo(self, slug: str, seed: int = 0, scenes: tuple[int, int] = (30, 12), origin: str = "same", **options):
        """Open a competition with the demo's data (`data.demo.draw`, ``origin`` is its world) in the layout of
        Kaggle's, with a sample submission; the test's labels are the solution. Return the folder of its files."""
        sampled = "0" if options.get("metric", F1) in OF_LABELS else "0.5"
        from competition.data.demo.draw import STAMP, DemoPlan, draw_demo

        drawn = self.folder / "drawn"
        draw_demo(drawn, DemoPlan(seed, scenes, origin))
        rows = [line.rsplit(",", 1) for line in (drawn / "test_labels.csv").read_text().split()[1:]]
        (drawn / "sample_submission.csv").write_text("id,label\n" + "".join(f"{name},{sampled}\n" for name, _ in rows))
        (drawn / "test_labels.csv").unlink()
        (drawn / STAMP).unlink()
        try:
            return self.add_competition(slug, folder=drawn, solution={n: int(label) for n, label in rows}, **options)
        finally:
            shutil.rmtree(drawn)

    def set_competition(self, slug: str, **options) -> None:
        """Change options of a competition (see ``add_competition``), e.g. ``entered=True``."""
        self._server.call("set_competition", slug=slug, **options)

    def set(self, **options) -> None:
        """Change how this Kaggle behaves: layout="new" ("old": data mounts at /kaggle/input/SLUG; "new": competitions
        at competitions/SLUG, datasets at datasets/OWNER/SLUG, kernels at notebooks/OWNER/SLUG under it),
        session_limit=43200 (seconds; a push may ask for less), keep_failed_output=False, queue_seconds=0,
        kernels_at_once=2 (further ones wait, QUEUED), kernel_env={} (further variables of kernels),
        image_without=() (further distributions that the kernels' image lacks, e.g. "timm"),
        dataset_pending=1 (how many status requests see a new dataset version still in the making; until then a kernel
        gets the version before, or is told that there is no such dataset), dataset_failures=0 (how many status
        requests are told of a failure before that)."""
        self._server.call("set", **options)

    def fault(self, match: str, do: str, times: int = 1, **more) -> None:
        """Let the next ``times`` requests whose 'METHOD path' contains ``match`` (case counts) go wrong.

        ``match``: an API method ("CreateSubmission"), "PUT /upload", "GET /download" (the files themselves), ... The
        first rule that matches is used. ``do``: "status" (code=503, message=...), "reset" (before handling; with
        bytes=N an upload's first N arrive), "reset_after" (handled in full, then no reply), "truncate" (bytes=N of the
        reply's body, then a reset), "stall" (seconds=S, then as usual). ``skip=N`` lets the first N pass.
        """
        self._server.call("fault", match=match, do=do, times=times, **more)

    def clear_faults(self) -> None:
        """Let everything go well again."""
        self._server.call("clear_faults")

    # What Kaggle has seen

    def requests(self, match: str = "") -> list[Request]:
        """Return the requests so far, oldest first, whose 'METHOD path' contains ``match``."""
        return [Request(**one) for one in self._server.call("requests", match=match)]

    def submissions(self, slug: str) -> list[Submission]:
        """Return the submissions to a competition, oldest first."""
        found = self._server.call("submissions", slug=slug)
        return [Submission(**{**one, "path": Path(one["path"]) if one["path"] else None}) for one in found]

    def kernel(self, ref: str) -> Kernel:
        """Return the latest version of kernel 'alice/slug'; KeyError where there is none."""
        found = self._server.call("kernel", ref=ref)
        if found is None:
            raise KeyError(ref)
        return Kernel(**{**found, "output": Path(found["output"])})

    def wait_kernel(self, ref: str, *statuses: str, timeout: float = 120) -> Kernel:
        """Return kernel ``ref`` once its status is one of ``statuses`` (by default: once it has ended)."""
        until = time.monotonic() + timeout
        wanted = statuses or ("COMPLETE", "ERROR", "CANCEL_ACKNOWLEDGED")
        while (kernel := self.kernel(ref)).status not in wanted:
            assert time.monotonic() < until, f"{ref} is {kernel.status} after {timeout} s:\n{kernel.log}"
            time.sleep(0.05)
        return kernel

    def stop_kernel(self, ref: str) -> None:
        """Kill the running kernel as a machine's failure does: it ends with ERROR."""
        self._server.call("stop_kernel", ref=ref)

    def dataset(self, ref: str, version: int | None = None) -> Path:
        """Return the folder of a dataset's files, as kernels see it; KeyError where there is none."""
        found = self._server.call("dataset", ref=ref, version=version)
        if found is None:
            raise KeyError(ref)
        return Path(found)

    # Commands

    def environment(self, env: Mapping[str, str | None] | None = None) -> dict[str, str]:
        """Return the environment of commands: the tests' own without words for Kaggle, proxies and Telltale, with
        HOME and TMPDIR of this world; then ``env``, where None removes."""
        dropped = ("KAGGLE_", "TELLTALE_", "XDG_")
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.startswith(dropped) and not key.lower().endswith("_proxy")
        }
        kept |= {
            "HOME": str(self.home),
            "TMPDIR": str(self.folder / "tmp"),
            "KAGGLE_API_ENVIRONMENT": "LOCALHOST",
            "PYTHONPATH": str(ROOT),
            "COLUMNS": "200",
            "OMP_NUM_THREADS": "1",
            "NO_ALBUMENTATIONS_UPDATE": "1",
        }
        return {key: value for key, value in {**kept, **(env or {})}.items() if value is not None}

    def popen(self, *words: str | Path, env: Mapping[str, str | None] | None = None, cwd: Path | None = None, **more):
        """Start a command in the namespace, in a session of its own, which ends with this world at the latest.

        ``more`` is for subprocess.Popen; output is text.
        """
        process = subprocess.Popen(
            [*self._server.enter, *map(str, words)],
            env=self.environment(env),
            cwd=cwd or self.home,
            text=True,
            start_new_session=True,
            **more,
        )
        self._running.append(process)
        return process

    def run(
        self,
        *words: str | Path,
        env: Mapping[str, str | None] | None = None,
        cwd: Path | None = None,
        timeout: float = 120,
        input: str | None = None,
    ) -> subprocess.CompletedProcess:
        """Run a command in the namespace to its end; subprocess.TimeoutExpired after ``timeout`` seconds."""
        pipe = subprocess.PIPE
        process = self.popen(
            *words, env=env, cwd=cwd, stdout=pipe, stderr=pipe, stdin=subprocess.DEVNULL if input is None else pipe
        )
        try:
            out, err = process.communicate(input, timeout)
        finally:
            stop(process)
            self._running.remove(process)
        return subprocess.CompletedProcess(words, process.returncode, out, err)

    def kaggle(self, *words: str | Path, **more) -> subprocess.CompletedProcess:
        """Run the real Kaggle CLI; ``more`` as for ``run``."""
        return self.run(sys.executable, "-m", "kaggle", *words, **more)

    def telltale(
        self, home: Path, *words: str, env: Mapping[str, str | None] | None = None, **more
    ) -> subprocess.CompletedProcess:
        """Run ``python -m competition`` with results in ``home``; ``more``: cwd, timeout."""
        variables = self.environment({"TELLTALE_HOME": str(home), **(env or {})})
        return warm().run(words, variables, **{"cwd": home, **more}, beside=self._server.process.pid)


@pytest.fixture
def kaggle_world() -> Iterator[World]:
    """A fresh World; skipped where namespaces are denied."""
    with World() as world:
        yield world
