"""The stand-in's process: started once a test process in a network namespace without a way out, ended with it."""

import atexit
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.warm import ROOT


class Server:
    """The running server; ``enter`` are the words that run a command in its namespace."""

    _one: "Server | None" = None

    @classmethod
    def get(cls) -> "Server":
        """Return this test process's server, started if need be; skip the test where namespaces are denied."""
        if cls._one is None or cls._one.process.poll() is not None:
            cls._one = cls()
        cls._one.check()
        return cls._one

    def __init__(self):
        for tool in ("unshare", "nsenter"):
            if shutil.which(tool) is None:
                pytest.skip(f"no namespace for the Kaggle stand-in: {tool} is not installed")
        tried = subprocess.run(["unshare", "-rn", "unshare", "-rmn", "true"], capture_output=True, text=True)
        if tried.returncode:
            pytest.skip(f"no namespace for the Kaggle stand-in: {tried.stderr.strip()}")
        env = {key: value for key, value in os.environ.items() if not key.startswith("KAGGLE_")}
        self.process = subprocess.Popen(
            ["unshare", "-rn", sys.executable, "-m", "tests.kaggle_server"],
            env={**env, "PYTHONPATH": str(ROOT)},
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a Ctrl-C is for the tests, whose end is the server's
        )
        self._lock = threading.Lock()
        self.enter = ["nsenter", "-t", str(self.process.pid), "-U", "-n", "--preserve-credentials", "--"]
        self.call("ready")
        entered = subprocess.run([*self.enter, "true"], capture_output=True, text=True)
        if entered.returncode:
            self.stop()
            pytest.skip(f"the Kaggle stand-in's namespace cannot be entered: {entered.stderr.strip()}")
        atexit.register(self.stop)

    def check(self) -> None:
        """Raise RuntimeError unless the namespace has no interface but loopback, and no route."""
        if found := ways_out(f"/proc/{self.process.pid}/net"):
            raise RuntimeError(f"the Kaggle stand-in's namespace has a way out: {found}")

    def call(self, what: str, **values):
        """Have the server do ``what`` and return its answer; RuntimeError where it cannot."""
        with self._lock:
            self.process.stdin.write(json.dumps([what, values]) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"the Kaggle stand-in ended with status {self.process.wait()} at '{what}'")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["result"]

    def stop(self) -> None:
        """End the server: it does so when nobody holds its input any more."""
        self.process.stdin.close()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()


def ways_out(net: str) -> list[str]:
    """Return what leads out of the network namespace whose ``/proc/.../net`` is given: interfaces and routes."""

    def lines(name: str, skip: int) -> list[list[str]]:
        return [line.split() for line in (Path(net) / name).read_text().splitlines()[skip:]]

    interfaces = [words[0].partition(":")[0] for words in lines("dev", 2)]
    routes = [words[0] for words in lines("route", 1)]
    if (Path(net) / "ipv6_route").exists():
        routes += [words[-1] for words in lines("ipv6_route", 0)]
    return [name for name in interfaces + routes if name != "lo"]


def stop(process: subprocess.Popen) -> None:
    """Kill what is left of a process started in a session of its own, and its children in that session."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    process.wait()
