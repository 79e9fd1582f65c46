"""Executes a pushed kernel: in a process of its own, with Kaggle's folders and image and without a network."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

from kagglesdk.kernels.types.kernels_enums import KernelWorkerStatus as Status

from tests.running import ROOT
from tests.standin import image

HERE = Path(__file__).resolve().parent
ENDED = (Status.COMPLETE, Status.ERROR, Status.CANCEL_ACKNOWLEDGED)


@dataclass
class Session:
    """One version of a kernel and its run. ``inputs``: what it sees under /kaggle/input."""

    folder: Path
    code: str
    notebook: bool
    inputs: dict[str, Path]
    limit: float
    env: dict[str, str]
    without: tuple[str, ...]
    status: Status = Status.QUEUED
    failure: str = ""
    events: list[dict] = field(default_factory=list)
    process: subprocess.Popen | None = None
    cancelled: bool = False

    @property
    def output(self) -> Path:
        return self.folder / "working"

    @property
    def running(self) -> bool:
        return self.process is not None and self.status == Status.RUNNING

    def log(self) -> str:
        """Return what it printed, as Kaggle gives it: a JSON list of events."""
        return json.dumps(self.events)

    def text(self) -> str:
        """Return what it printed."""
        return "".join(event["data"] for event in self.events)

    def stop(self) -> None:
        """Kill it, or see to it that it does not start."""
        self.cancelled = True
        _kill(self.process)

    def run(self) -> None:
        """Run it to its end; the calling thread must live until then, for the process dies with it."""
        self.status = Status.RUNNING
        words = self._prepare()
        began = time.monotonic()
        self.process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        if self.cancelled:
            _kill(self.process)
        readers = [
            threading.Thread(target=self._read, args=(name, began), daemon=True) for name in ("stdout", "stderr")
        ]
        for reader in readers:
            reader.start()
        timed_out = False
        try:
            self.process.wait(self.limit)
        except subprocess.TimeoutExpired:
            timed_out = True
        _kill(self.process)
        for reader in readers:
            reader.join(5)  # what escaped the kill may still hold the pipe
        if timed_out:
            self.failure = f"Your notebook exceeded the maximum run time of {self.limit:g} seconds and was stopped."
        ended = Status.COMPLETE if self.process.returncode == 0 else Status.ERROR
        self.status = Status.CANCEL_ACKNOWLEDGED if timed_out else ended

    def _prepare(self) -> list[str]:
        """Lay out the folders and the image; return the words that start the session."""
        root, source = self.folder / "root", self.folder / "src"
        for path in (root, source, self.output):
            path.mkdir(parents=True)
        if self.notebook:
            (source / "__notebook__.ipynb").write_text(self.code)
            shutil.copyfile(HERE / "notebook.py", source / "__run__.py")
            words = ["/kaggle/src/__run__.py", "/kaggle/src/__notebook__.ipynb"]
        else:
            (source / "script.py").write_text(self.code)
            words = ["/kaggle/src/script.py"]
        inputs = {f"input/{place}": (str(folder), False) for place, folder in self.inputs.items()}
        spec = {
            "root": str(root),
            "hide": ["/tmp", "/var/tmp", "/root", str(Path.home()), str(ROOT / "competition"), str(ROOT / "tests")],
            "keep": sorted(image.places()),
            "image": str(_image(self.without)),
            "mounts": {"working": (str(self.output), True), "src": (str(source), False), **inputs},
            "words": ["/image/bin/python", *words],
            "env": {
                "PATH": "/image/bin:/usr/local/bin:/usr/bin:/bin",
                "HOME": "/root",
                "LANG": "C.UTF-8",
                "PYTHONUNBUFFERED": "1",
                "KAGGLE_KERNEL_RUN_TYPE": "Batch",
                **self.env,
            },
        }
        (self.folder / "spec.json").write_text(json.dumps(spec))
        launcher = [sys.executable, "-I", str(HERE / "sandbox.py"), str(self.folder / "spec.json")]
        return ["unshare", "-rmn", "--propagation", "private", *launcher]

    def _read(self, name: str, began: float) -> None:
        for line in getattr(self.process, name):
            event = {"stream_name": name, "time": round(time.monotonic() - began, 3), "data": line}
            self.events.append(event)


_IMAGES: dict[tuple[str, ...], Path] = {}
_BUILDING = threading.Lock()


def _image(without: tuple[str, ...]) -> Path:
    """Return the image without these distributions, built at its first need; each session gets a copy."""
    with _BUILDING:
        if without not in _IMAGES:
            _IMAGES[without] = image.build(Path(tempfile.mkdtemp(prefix="kaggle-image-")), without)
        return _IMAGES[without]


def remove_images() -> None:
    """Remove what the sessions' images took on the disk."""
    for folder in _IMAGES.values():
        shutil.rmtree(folder)


def _kill(process: subprocess.Popen | None) -> None:
    """Kill a session's processes, those that it started included."""
    if process is not None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
