"""What the page bears: eight visitors at once, 2,000 images, and one who wants more than a visitor may have.

The page of a finished run (``name=``) is served by both engines. Eight programs post photographs of 640 x 480 pixels to
it as fast as they are answered, 2,000 in all; then eight visitors drop them on the page, which also makes pictures:
2,000 by onnxruntime, 200 by torch, whose heat maps take their time. Printed are images a second, the longest wait for
an answer, and the memory of the server (RssAnon: without the page cache) after a quarter, half and all of the images.
Then, within a minute, one of eight visitors sends as much as it can and seven send an image every four seconds, under
the default limit. `./run.sh bench page name=NAME` takes about 25 minutes on two cores and reads /proc (Linux).
"""

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import urllib3
from PIL import Image

from competition.app.limits import MINUTE, PER_MINUTE
from competition.core.errors import UserError
from competition.core.paths import home, run_folder
from competition.inference.run_record import FILE
from tests.app.hostile import encoded
from tests.benchmarks.faults.endurance import MEMORY, Drops, held
from tests.running import ROOT

CLIENTS, SIZE = 8, (640, 480)
POSTED, DROPPED = 2000, {"onnx": 2000, "torch": 200}  # images
SETTLED = 0.5  # of the images: what libraries and caches take at first is not growth
POLITE_SECONDS = 4.0  # between two images of a visitor who does not want all; a connection idle for 5 is closed


def main(name: str = "demo") -> bool:
    """Print the tables and return whether every limit held and no memory grew."""
    if not (run_folder(name) / FILE).exists():
        raise UserError(f"There is no finished run '{name}' whose page could be served: train it, or name another.")
    images, kept = _photographs(), True
    print(f"{'engine':<8}{'sent by':<10}{'images':>7}{'images/s':>10}{'median wait':>13}{'worst wait':>12}{'MiB':>16}")
    for engine in ("onnx", "torch"):
        with _served(name, engine) as (process, address, folder):
            for way, count, ask in (
                ("programs", POSTED, _post(address)),
                ("visitors", DROPPED[engine], _drop(address)),
            ):
                waits, memory, seconds = _under_load(ask, images, count, lambda: held(process, folder).memory)
                kept &= memory[-1] - memory[int(len(memory) * SETTLED)] < MEMORY
                told = "".join(f"{memory[int(part * (len(memory) - 1))] / 2**20:>6.0f}" for part in (0.25, 0.5, 1))
                print(
                    f"{engine:<8}{way:<10}{count:>7}{count / seconds:>10.2f}{np.median(waits):>11.2f} s"
                    f"{max(waits):>10.2f} s{told}",
                    flush=True,
                )
            kept &= held(process, folder).files == 0
    return _held_back(name, images) and kept


def _photographs() -> list[bytes]:
    """Return JPEG files of soft shapes with noise, each another."""
    rng = np.random.default_rng(0)
    coarse = [Image.fromarray(rng.integers(0, 256, (12, 16, 3), np.uint8)).resize(SIZE) for _ in range(20)]
    noisy = [np.asarray(one) + rng.normal(0, 6, (SIZE[1], SIZE[0], 3)) for one in coarse]
    return [encoded(Image.fromarray(one.clip(0, 255).astype(np.uint8)), "JPEG", quality=90) for one in noisy]


@contextlib.contextmanager
def _served(name: str, engine: str, *words: str) -> Iterator[tuple[int, str, Path]]:
    """Serve the page; yields its process, its address, and the folder of its temporary files."""
    asked = [f"name={name}", f"engine={engine}", "open=false", "device=cpu", *words]
    with tempfile.TemporaryDirectory() as folder:
        server = subprocess.Popen(
            [sys.executable, "-u", "-m", "competition", "app", *asked],
            env={**os.environ, "TELLTALE_HOME": str(home().resolve()), "PYTHONPATH": str(ROOT), "TMPDIR": folder},
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        try:
            said = ""
            while not (found := re.search(r"http://\S+", said)):
                line = server.stdout.readline()
                if not line:
                    raise UserError(f"The page could not be served: {said.strip()}")
                said += line
            yield server.pid, found[0].rstrip("/"), Path(folder)
        finally:
            server.terminate()
            server.communicate(timeout=30)


def _post(address: str) -> Callable[[bytes], int]:
    """Return what posts an image as a program does, and gives the status."""
    http = urllib3.PoolManager(maxsize=CLIENTS, timeout=300.0, retries=False)
    return lambda raw: http.request("POST", f"{address}/judge", body=raw).status


def _drop(address: str) -> Callable[[bytes], int]:
    """Return what drops an image as a browser does, and gives the status."""
    drops = Drops(address)

    def drop(raw: bytes) -> int:
        return 200 if drops.answered([("photograph.jpg", raw)]) == 1 else 500

    return drop


def _under_load(
    ask: Callable[[bytes], int], images: Sequence[bytes], count: int, memory: Callable[[], int]
) -> tuple[list[float], list[int], float]:
    """Have ``CLIENTS`` send ``count`` images in all; returns each one's wait, the memory now and then, the seconds."""
    waits: list[float] = []
    measured: list[int] = []
    numbers = iter(range(count))
    lock = threading.Lock()

    def client() -> None:
        while True:
            with lock:
                if (number := next(numbers, None)) is None:
                    return
                if number % (count // 20) == 0:
                    measured.append(memory())
            began = time.monotonic()
            status = ask(images[number % len(images)])
            assert status == 200, status
            waits.append(time.monotonic() - began)

    began = time.monotonic()
    _together([client] * CLIENTS)
    measured.append(memory())
    assert len(waits) == count, "a client has failed"
    return waits, measured, time.monotonic() - began


def _held_back(name: str, images: Sequence[bytes]) -> bool:
    """Let one visitor of eight send as much as it can for a minute; print and return whether the others felt nothing.

    Each gives an address of its own to the proxy's header, which is believed of this machine.
    """
    statuses: dict[int, Counter[int]] = {number: Counter() for number in range(CLIENTS)}
    waits: list[float] = []
    with _served(name, "onnx", f"per_minute={PER_MINUTE}") as (_, address, _):
        end = time.monotonic() + MINUTE - 1

        def visitor(number: int) -> None:
            http = urllib3.PoolManager(timeout=300.0, retries=False, headers={"X-Forwarded-For": f"192.0.2.{number}"})
            while (began := time.monotonic()) < end:
                status = http.request("POST", f"{address}/judge", body=images[number]).status
                statuses[number][status] += 1
                if number:
                    waits.append(time.monotonic() - began)
                    time.sleep(POLITE_SECONDS)

        _together([lambda number=number: visitor(number) for number in statuses])
    greedy, others = statuses[0], sum((statuses[number] for number in range(1, CLIENTS)), Counter())
    print(
        f"A visitor who sends all the time: {greedy[200]} images judged and {greedy[429]} refused within a minute; the "
        f"seven others: {others[200]} judged, {others.total() - others[200]} refused, worst wait {max(waits):.2f} s"
    )
    return greedy[200] == PER_MINUTE and others.total() == others[200]


def _together(tasks: Sequence[Callable[[], None]]) -> None:
    threads = [threading.Thread(target=task) for task in tasks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
