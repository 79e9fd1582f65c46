"""A web site on loopback, served from a dictionary, that remembers who asked for what and when."""

import io
import shutil
import ssl
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from competition.collect.crawl import crawl, fetch
from competition.collect.folder import Row, read_rows
from competition.collect.gather import Collection, collect
from competition.collect.options import CollectOptions
from competition.commands.collect import lines
from tests.running import ROOT


@dataclass
class Answer:
    """What a path serves; ``length`` states another Content-Length than the true one, -1 none at all."""

    body: bytes = b""
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None


class Site:
    """Serves ``pages`` (path -> Answer, or a list of them in turn, the last for ever, or a function of the handler)."""

    def __init__(self, host: str = "127.0.0.1", certificate: Path | None = None, key: Path | None = None):
        self.pages: dict[str, Answer | list[Answer] | Callable] = {}
        self.routes: dict[str, Answer | Callable] = {}  # the same by path alone, whatever the query
        self.asked: list[str] = []
        self.times: list[float] = []
        self.agents: set[str] = set()
        self.most_at_once = self._now = 0
        self._lock = threading.Lock()
        site = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                site._serve(self)

            def log_message(self, *words):
                pass

        self._server = ThreadingHTTPServer((host, 0), Handler)
        if certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate, key)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.root = f"{'https' if certificate else 'http'}://{host}:{self._server.server_address[1]}"

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *error):
        self._server.shutdown()
        self._server.server_close()

    def _serve(self, handler):
        with self._lock:
            self.asked.append(handler.path)
            self.times.append(time.monotonic())
            self.agents.add(handler.headers.get("User-Agent"))
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
            route = self.routes.get(handler.path.partition("?")[0], Answer(b"none", 404))
            answer = self.pages.get(handler.path, route)
            if isinstance(answer, list):
                answer = answer.pop(0) if len(answer) > 1 else answer[0]
        try:
            answer(handler) if callable(answer) else send(handler, answer)
        except (BrokenPipeError, ConnectionResetError):
            pass
        finally:
            with self._lock:
                self._now -= 1

    def times_asked(self, path: str) -> int:
        return self.asked.count(path)


def send(handler, answer: Answer) -> None:
    handler.send_response(answer.status)
    for name, value in answer.headers.items():
        handler.send_header(name, value)
    length = len(answer.body) if answer.length is None else answer.length
    if length >= 0:
        handler.send_header("Content-Length", str(length))
    handler.end_headers()
    handler.wfile.write(answer.body)


def picture(seed: int, side: int = 48) -> np.ndarray:
    """Return large coloured blocks, uint8 (side, side, 3), unlike those of any other seed."""
    blocks = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), np.uint8)
    return np.asarray(Image.fromarray(blocks).resize((side, side), Image.Resampling.BICUBIC))


def encoded(image: np.ndarray, kind: str = "PNG", **options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, kind, **options)
    return buffer.getvalue()


def png(seed: int, side: int = 48) -> bytes:
    return encoded(picture(seed, side))


def settings_for(tmp_path, addresses=(), **changes) -> CollectOptions:
    """Return settings that collect ``addresses`` into tmp_path/data/ai from loopback, without delay."""
    path = tmp_path / "urls.txt"
    if addresses:
        path.write_text("\n".join(addresses) + "\n")
        changes["urls"] = str(path)
    usual = {"label": "ai", "out": str(tmp_path / "data"), "allow_local": True, "delay": 0.0}
    return CollectOptions(**{**usual, **changes})


@dataclass(frozen=True)
class Outcome:
    """What a run made of one label."""

    counts: Counter[str]
    finished: int
    lines: list[str]


def outcome_of(run: Collection, label: str = "ai") -> Outcome:
    return Outcome(run.counts[label], run.counts[label]["finished"], list(lines(run)))


def collected(tmp_path, addresses=(), **changes) -> tuple[Outcome, dict[str, Row]]:
    """Collect, and return what came of it and the label's rows of provenance by address."""
    settings = settings_for(tmp_path, addresses, **changes)
    summary = outcome_of(collect(settings), settings.label)
    rows = read_rows(tmp_path / "data" / settings.label / "provenance.csv")
    return summary, {row.address: row for row in rows}


def serve(site: Site, **images: bytes) -> list[str]:
    """Serve each image under its name, in which an underscore is a dot; return the addresses."""
    paths = [f"/{name.replace('_', '.')}" for name in images]
    site.pages.update({path: Answer(body) for path, body in zip(paths, images.values(), strict=True)})
    return [site.root + path for path in paths]


def fetching(work, **changes):
    """Return what ``work`` returns, given a spider with these options."""

    class Working(Collection):
        async def work(self):
            self.found = await work(self)

    usual = {"urls": "none", "label": "ai", "out": "none", "allow_local": True, "delay": 0.0, "retries": 2}
    spider = crawl(Working, CollectOptions(**{**usual, "robots": False, **changes}))
    if spider.error:
        raise spider.error
    return spider.found


def get(address, **changes):
    return fetching(lambda spider: fetch(spider, address), **{"max_mb": 1.0, **changes})


def images_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "provenance.csv")


def in_a_network_of_its_own(script: str, timeout: float) -> list[str]:
    """Run a Python script where a public address is this machine's, and return the lines that it prints; skips the
    test where there can be no such network."""
    if not (shutil.which("unshare") and shutil.which("ip")):
        pytest.skip("needs a network of its own")
    inside = 'ip link set lo up && ip addr add 93.184.216.34/32 dev lo && exec "$0" -c "$1"'
    words = ["unshare", "-rn", "sh", "-c", inside, sys.executable, script]
    if subprocess.run([*words[:2], "true"], capture_output=True).returncode:
        pytest.skip("this machine gives no network of one's own")
    run = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=timeout)
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()
