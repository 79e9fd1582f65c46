"""A stand-in for the model hub on loopback: serves files as the hub does, and remembers what it was asked for."""

import contextlib
import hashlib
import re
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
RESOLVE = re.compile(r"/([^/]+/[^/]+)/resolve/main/([^?]+)")

Repositories = Mapping[str, Mapping[str, bytes]]  # 'timm/resnet18.a1_in1k' -> 'model.safetensors' -> its bytes


class HubServer:
    """Serves ``repositories`` at ``url`` until ``stop()``; ``asked`` holds 'HEAD model.safetensors' and the like.

    A file that a repository has not is a 404 and a repository that there is not a 401, each with the hub's header that
    says so. With ``break_after``, a file's connection closes after that many bytes.
    """

    def __init__(self, repositories: Repositories, break_after: int | None = None):
        self.repositories, self.break_after = repositories, break_after
        self.asked: list[str] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"hub": self}))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05})
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        """Close the port: from here on connections are refused. A second call does nothing."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    hub: HubServer  # and HTTP/1.0: no connection outlives its answer, so none outlives the server

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, body: bool) -> None:
        found = RESOLVE.fullmatch(self.path)
        if found is None:
            return self._refuse(404, "NotFound")
        repository, file = found.groups()
        self.hub.asked.append(f"{self.command} {file}")
        if repository not in self.hub.repositories:
            return self._refuse(401, "RepoNotFound")
        if (content := self.hub.repositories[repository].get(file)) is None:
            return self._refuse(404, "EntryNotFound", {"X-Repo-Commit": COMMIT})
        etag = f'"{hashlib.sha256(content).hexdigest()}"'
        self._head(
            200,
            len(content),
            {"ETag": etag, "X-Repo-Commit": COMMIT, "X-Linked-Size": str(len(content)), "X-Linked-Etag": etag},
        )
        if body:
            self.wfile.write(content[: self.hub.break_after])

    def _refuse(self, status: int, code: str, headers: Mapping[str, str] | None = None) -> None:
        self._head(status, 0, {"X-Error-Code": code, "X-Error-Message": code, **(headers or {})})

    def _head(self, status: int, length: int, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(length)}.items():
            self.send_header(key, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


@contextlib.contextmanager
def serving(repositories: Repositories, break_after: int | None = None) -> Iterator[HubServer]:
    """Serve ``repositories`` while the block runs."""
    server = HubServer(repositories, break_after)
    try:
        yield server
    finally:
        server.stop()


def point_to(patch: pytest.MonkeyPatch, url: str, cache: Path, offline: bool = False) -> None:
    """Set the environment of processes to come: the hub at ``url``, its cache in ``cache``, no proxy between."""
    for key in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "TRANSFORMERS_OFFLINE", "HF_TOKEN"):
        patch.delenv(key, raising=False)
    patch.setenv("HF_ENDPOINT", url)
    patch.setenv("HF_HOME", str(cache))
    patch.setenv("HF_HUB_OFFLINE", "1" if offline else "0")
    patch.setenv("NO_PROXY", "127.0.0.1")
