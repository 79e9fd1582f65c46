"""Nodes of a Ray cluster on this machine, each with a folder of its own in which it sees nobody else's files."""

import os
import secrets
import shlex
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.running import environment

ray = pytest.importorskip("ray", reason="the extra 'cluster' is not installed")

START = 60  # seconds in which a node is up


def unshared() -> bool:
    """Whether this process may give another one a view of the disk of its own."""
    return subprocess.run(["unshare", "-m", "true"], capture_output=True).returncode == 0


class Nodes:
    """A cluster of so many ``nodes`` of one CPU each. ``home``: a folder for a driver, which no node sees."""

    def __init__(self, folder: Path, nodes: int):
        self.folder, self.home = folder, folder / "driver"
        self.homes = [folder / f"node{number}" for number in range(nodes)]
        for one in (self.home, *self.homes):
            one.mkdir(parents=True)
        # What every process of the cluster shows the others: theirs alone can use it.
        self.env = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        self.processes: list[subprocess.Popen] = []
        try:
            for number in range(nodes):  # one after another: they look for free ports
                self.processes.append(self.start(number))
                self.wait(number + 1)
        except BaseException:
            self.end()
            raise

    def start(self, number: int) -> subprocess.Popen:
        """Start a node; the first one is the cluster's head."""
        own = self.homes[number]
        port = self.address.partition(":")[2]
        place = (
            ["--head", f"--port={port}", "--include-dashboard=false"] if number == 0 else [f"--address={self.address}"]
        )
        ray_start = [str(Path(sys.executable).with_name("ray")), "start", "--block", "--num-cpus=1", "--num-gpus=0"]
        ray_start += ["--object-store-memory=100000000", "--disable-usage-stats", *place]
        hidden = [one for one in (self.home, *self.homes) if one != own]
        script = " && ".join(
            ["mount --make-rprivate /", *(f"mount -t tmpfs none {shlex.quote(str(one))}" for one in hidden)]
        )
        script += f" && exec {shlex.join(ray_start)}"
        env = {**os.environ, **self.env, "TELLTALE_HOME": str(own), "TMPDIR": str(own), "RAY_TMPDIR": "/tmp"}
        return subprocess.Popen(
            ["unshare", "-m", "sh", "-c", script],
            env=env,
            cwd=own,
            stdout=open(own / "ray.log", "wb"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def wait(self, nodes: int) -> None:
        """Wait until so many nodes are alive."""
        deadline = time.monotonic() + START
        while self.alive() != nodes:
            assert time.monotonic() < deadline, (self.homes[0] / "ray.log").read_text()
            time.sleep(0.5)

    def alive(self) -> int:
        """Return how many nodes are alive."""
        asked = [str(Path(sys.executable).with_name("ray")), "status", f"--address={self.address}"]
        said = subprocess.run(asked, capture_output=True, text=True, env={**os.environ, **self.env}).stdout
        return said.count("\n 1 node_")

    def kill(self, number: int) -> None:
        """Kill a node, with all that runs on it."""
        os.killpg(self.processes[number].pid, signal.SIGKILL)
        self.processes[number].wait()

    def line(self, *words: str) -> subprocess.Popen:
        """Start a line of the program as the cluster's driver."""
        return subprocess.Popen(
            [sys.executable, "-m", "competition", *words, "engine=ray", f"ray.address={self.address}"],
            env={**environment(self.home), **self.env},
            cwd=self.home,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def end(self) -> None:
        """Kill all nodes."""
        for number, process in enumerate(self.processes):
            if process.poll() is None:
                self.kill(number)
