"""The stand-in's process: Kaggle's API on port 80 of a namespace without a way out, steered by lines on its input.

Each line is ``[what, {values}]`` in JSON and gets a line back; when the input ends, so does the process, and with it
the kernels that it runs. Requests are parsed and replies built with kagglesdk's types (tests/standin/site.py).
"""

import json
import os
import re
import socket
import struct
import sys
import time
import traceback
import urllib.parse
from email.utils import formatdate
from hashlib import md5
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from kagglesdk.common.types.file_download import FileDownload
from kagglesdk.common.types.http_redirect import HttpRedirect

import tests.standin.steering as steering
from tests.standin.process import ways_out
from tests.standin.sandbox import raise_loopback
from tests.standin.site import ANSWERS, METHODS, Fail, Redirect, Site, reply_of

CHUNK = 1 << 16


class Reset(Exception):
    """The connection is to break now."""


class Handler(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: "KaggleServer"

    def do_GET(self) -> None:
        self._serve()

    do_HEAD = do_POST = do_PUT = do_GET

    def _serve(self) -> None:
        site = self.server.site
        path = urllib.parse.urlsplit(self.path).path
        method = path.removeprefix("/api/v1/") if path.startswith("/api/v1/") else ""
        span = self.headers.get("Range") or self.headers.get("Content-Range") or ""
        entry = site.note(self.command, path, method.rpartition("/")[2], span)
        rule = site.fault_of(entry)
        self.cut = rule["bytes"] if rule.get("do") == "truncate" else None
        self.left = int(self.headers.get("Content-Length") or 0)
        try:
            self._go_wrong(rule, site, path)
            answer = self._answer(site, path, method, entry)
            if rule.get("do") == "reset_after":
                raise Reset
            entry["status"] = answer[0]
            self._send(*answer)
        except (Reset, ConnectionError):
            self.server.broken.add(self.connection)
            self.close_connection = True

    def _go_wrong(self, rule: dict, site: Site, path: str) -> None:
        """Do what a rule wants done before the request is handled."""
        if rule.get("do") == "stall":
            time.sleep(rule["seconds"])
        elif rule.get("do") == "reset":
            if self.command == "PUT" and rule["bytes"]:
                self._store(site, path, rule["bytes"])
            raise Reset
        self.refusal = Fail(rule["code"], rule["message"]) if rule.get("do") == "status" else None

    def _answer(self, site: Site, path: str, method: str, entry: dict) -> tuple:
        """Return status, headers and body (bytes, or a file and the part of it) of the reply."""
        try:
            if self.refusal:
                self._read()
                raise self.refusal
            if self.command == "PUT" and path.startswith("/upload/"):
                return self._store(site, path)
            if self.command in ("GET", "HEAD") and path.startswith("/download/"):
                return self._file(site, path)
            return self._api(site, method, entry)
        except Fail as fail:
            self._read()
            told = json.dumps({"code": fail.code, "message": fail.message}).encode()
            return fail.code, {"Content-Type": "application/json"}, told
        except (ConnectionError, Reset):
            raise
        except Exception:  # the edge of the server: the test that caused it fails with this, the client sees a 500
            site.wrong.append(f"{entry['method']} {entry['path']}: {traceback.format_exc()}")
            return 500, {"Content-Type": "application/json"}, b'{"code": 500, "message": "Internal error"}'

    def _api(self, site: Site, method: str, entry: dict) -> tuple:
        body = self._read()
        if self.command != "POST" or method not in METHODS or method not in ANSWERS:
            site.wrong.append(f"{self.command} {self.path} is not answered by the stand-in")
            raise Fail(404, f"Not found: {self.path}")
        with site.lock:
            if not method.endswith(("/IntrospectToken", "/GenerateAccessToken")):
                entry["user"] = site.user_of(self.headers.get("Authorization") or "")
            entry["request"] = json.loads(body or b"{}")
            answer = ANSWERS[method](site, entry["user"], METHODS[method][0].from_dict(entry["request"]))
            if isinstance(answer, Redirect):
                assert METHODS[method][1] in (FileDownload, HttpRedirect), method
                return 302, {"Location": answer.url}, b""
            return 200, {"Content-Type": "application/json"}, reply_of(method, answer)

    def _file(self, site: Site, path: str) -> tuple:
        """Return a file, or the part of it that the request wants unless it has changed since."""
        file = site.downloads.get(path.split("/")[2])
        if file is None or not file.is_file():
            raise Fail(403, "Access denied: the address has expired.")
        stat = file.stat()
        etag = f'"{md5(f"{file}:{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ino}".encode()).hexdigest()}"'
        changed = formatdate(stat.st_mtime, usegmt=True)
        headers = {
            "Content-Type": "application/octet-stream",
            "Accept-Ranges": "bytes",
            "ETag": etag,
            "Last-Modified": changed,
        }
        wanted = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range") or "")
        if wanted is None or self.headers.get("If-Range", etag) not in (etag, changed):
            return 200, headers, (file, 0, stat.st_size)
        first, last = int(wanted[1]), min(int(wanted[2] or stat.st_size), stat.st_size - 1)
        if first > last:
            return 416, {**headers, "Content-Range": f"bytes */{stat.st_size}"}, b""
        return 206, {**headers, "Content-Range": f"bytes {first}-{last}/{stat.st_size}"}, (file, first, last + 1)

    def _store(self, site: Site, path: str, most: int | None = None) -> tuple:
        """Take (a part of) an uploaded file; ``most`` stops after that many bytes."""
        upload = site.uploads.get(path.split("/")[2])
        if upload is None:
            raise Fail(404, "Not found: the upload has expired.")
        span = self.headers.get("Content-Range") or ""
        if not span.startswith("bytes */"):
            begin = int(re.fullmatch(r"bytes (\d+)-\d+/\d+", span)[1]) if span else 0
            if begin > upload.received:
                raise Fail(400, f"Bytes {upload.received} to {begin - 1} are missing.")
            with upload.path.open("r+b") as file:
                file.truncate(begin)
                file.seek(begin)
                for part in self._parts(most):
                    file.write(part)
                    file.flush()
        if upload.complete:
            return 200, {"Content-Type": "text/plain"}, b""
        if upload.received > upload.length:
            raise Fail(400, f"{upload.received} bytes arrived of a file of {upload.length}.")
        return 308, {"Range": f"bytes=0-{upload.received - 1}"} if upload.received else {}, b""

    def _parts(self, most: int | None = None):
        """Yield the request's body in parts as they come; a Reset where the client breaks off."""
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                yield self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        taken = 0
        while self.left and (most is None or taken < most):
            part = self.rfile.read1(min(CHUNK, self.left, CHUNK if most is None else most - taken))
            if not part:
                raise Reset
            self.left -= len(part)
            taken += len(part)
            yield part

    def _read(self) -> bytes:
        return b"".join(self._parts())

    def _send(self, status: int, headers: dict[str, str], body: bytes | tuple[Path, int, int]) -> None:
        length = len(body) if isinstance(body, bytes) else body[2] - body[1]
        self.send_response(status)
        for key, value in {**headers, "Content-Length": str(length)}.items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        left = length if self.cut is None else min(self.cut, length)
        if isinstance(body, bytes):
            self.wfile.write(body[:left])
        else:
            with body[0].open("rb") as file:
                file.seek(body[1])
                while left and (part := file.read(min(CHUNK, left))):
                    self.wfile.write(part)
                    left -= len(part)
        if self.cut is not None and self.cut < length:
            time.sleep(0.05)  # a reset overtakes what is still on its way
            raise Reset

    def log_message(self, format: str, *args: object) -> None:
        pass


class KaggleServer(ThreadingHTTPServer):
    """Serves ``site``; a connection in ``broken`` is closed by a reset."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self):
        super().__init__(("127.0.0.1", 80), Handler)
        self.site = Site(Path("/nonexistent"), {})
        self.broken: set[socket.socket] = set()

    def shutdown_request(self, request: socket.socket) -> None:
        if request in self.broken:
            self.broken.discard(request)
            request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            return request.close()
        return super().shutdown_request(request)

    def handle_error(self, request: socket.socket, client_address: object) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # clients come and go, and are killed
            self.site.wrong.append(f"a connection broke: {traceback.format_exc()}")


def main() -> int:
    raise_loopback()
    if found := ways_out("/proc/self/net"):
        print(f"refusing to serve where there is a way out: {found}", file=sys.stderr)
        return 1
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else prints, the replies stay lines
    server = KaggleServer()
    steering.serve(server)
    for line in sys.stdin:
        what, values = json.loads(line)
        try:
            told = {"result": steering.do(server, what, values)}
        except Exception as error:  # the edge of the server: the harness raises it in the test
            told = {"error": f"{what}: {type(error).__name__}: {error}"}
        print(json.dumps(told), file=replies, flush=True)
    steering.end(server)
    return 0


if __name__ == "__main__":
    status = main()
    sys.stdout.flush()
    os._exit(status)  # threads of open connections are not waited for
