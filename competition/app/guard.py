"""What stands before a page: the headers that keep a browser to it, its password, and how much may be uploaded."""

import asyncio
import base64
import binascii
import contextlib
import os
import secrets
import stat
import time
from pathlib import Path
from typing import Any

from fastapi.responses import JSONResponse, Response

from competition.app.limits import JUDGE, MAX_FILES, MAX_WAITING, Allowance, Limits

MAX_IDLE_SECONDS = 900  # seconds after which an upload that no page asks for is removed
WRONG_A_MINUTE = 10  # passwords of one visitor
FORM_BYTES = 2**16  # of an upload beside its files, and of any other request that is no image

# Gradio's own scripts are inline and build functions from text; what matters here is that all of it is ours.
POLICY = "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; form-action 'self'; frame-ancestors 'self'"
HEADERS = {"referrer-policy": "no-referrer", "x-content-type-options": "nosniff"}


class Guarded:
    """Sends headers with every response, and lets nothing through without the password, where there is one.

    ``framed_by``: the address of a site that may show the page within its own. ``uploads``: the folder to which Gradio
    writes; it never holds more than the visitors who may wait could have dropped.
    """

    def __init__(self, app: Any, limits: Limits, uploads: Path, password: str = "", framed_by: str = ""):
        self.app, self.uploads, self.password = app, uploads, password.encode()
        self.headers = HEADERS | {"content-security-policy": f"{POLICY} {framed_by}".rstrip()}
        self.wrong = Allowance(WRONG_A_MINUTE)
        image = int(limits.max_mb * 2**20)
        # Bytes of one request: of an upload, which goes to the disk, of an image in memory, of anything else.
        self.upload, self.image = MAX_FILES * (image + FORM_BYTES), image + FORM_BYTES
        self.arriving = {True: 0, False: 0}  # bytes, by whether they go to the disk

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        begun = False

        async def sending(message: Any) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                added = [(key.encode(), value.encode()) for key, value in self.headers.items()]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":  # there is no other here
            return await send({"type": "websocket.close", "code": 1008})
        headers = dict(scope["headers"])
        refusal, size, to_disk = self._stranger(headers, (scope.get("client") or [None])[0]), 0, False
        if refusal is None and scope["method"] not in ("GET", "HEAD", "OPTIONS"):
            size, path = _length(headers), scope["path"].rstrip("/")
            to_disk = path.endswith("/upload")
            refusal = self._too_large(size, self.upload if to_disk else self.image if path == JUDGE else FORM_BYTES)
            refusal = refusal or self._no_room(size, to_disk)
        if refusal is not None:
            return await refusal(scope, receive, sending)
        self.arriving[to_disk] += size
        try:
            await self.app(scope, receive, sending)
        except asyncio.CancelledError:  # the server ends, and waits for nobody
            if begun:
                raise
            await refused(503, "This was not judged, for the page was stopped.")(scope, receive, sending)
        finally:
            self.arriving[to_disk] -= size

    def _stranger(self, headers: dict[bytes, bytes], address: str | None) -> Response | None:
        """Return the answer to who does not know the password; None for who does."""
        if not self.password:
            return None
        scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
        ask = {"www-authenticate": 'Basic realm="Telltale", charset="UTF-8"'}
        if scheme.lower() != b"basic":
            return refused(401, "This page asks for a password; any user name will do.", ask)
        if self.wrong.blocked(address):
            return refused(429, "Too many wrong passwords: try again in a minute.")
        try:
            _, _, password = base64.b64decode(given, validate=True).partition(b":")
        except binascii.Error:
            password = b""
        if secrets.compare_digest(password, self.password):
            return None
        self.wrong.take(address)
        return refused(401, "This is not the password.", ask)

    def _too_large(self, size: int, most: int) -> Response | None:
        """Return the answer to a request of so many bytes, -1 for any number, where it may have ``most``; else None."""
        if size < 0:
            return refused(411, "Say how long the request is: content-length is missing.")
        return refused(413, f"This request may have {most:,} bytes, and it has {size:,}.") if size > most else None

    def _no_room(self, size: int, to_disk: bool) -> Response | None:
        """Return the answer to a request for which nine others leave no room; None where there is some."""
        waiting, most = self.arriving[to_disk] + size, (MAX_WAITING + 1) * (self.upload if to_disk else self.image)
        if waiting + (_sweep(self.uploads) if to_disk else 0) <= most:
            return None
        return refused(503, "Too many images wait here already: try again in a minute.")


def refused(status: int, sentence: str, headers: dict[str, str] | None = None) -> JSONResponse:
    """Return the answer to a request that is not served: ``error`` holds the sentence why."""
    return JSONResponse({"error": sentence}, status, headers)


def _length(headers: dict[bytes, bytes]) -> int:
    """Return how many bytes a request's body has, or -1 where its headers do not say."""
    value = headers.get(b"content-length", b"")
    said = value.isdigit() and len(value) < 20 and b"transfer-encoding" not in headers
    return int(value) if said else -1


def _sweep(uploads: Path) -> int:
    """Remove files that no page has asked for in a long time, and return the bytes of those that are left.

    Gradio puts each file into a folder named by its content, which another upload of it may be about to fill: empty
    folders are removed when they are as old.
    """
    total, now = 0, time.time()
    for place, folders, names in os.walk(uploads):
        for path in (Path(place, name) for name in (*names, *folders)):
            with contextlib.suppress(OSError):  # a page took it away meanwhile, or the folder holds something
                found = path.lstat()
                old, is_folder = now - found.st_mtime > MAX_IDLE_SECONDS, stat.S_ISDIR(found.st_mode)
                if old:
                    path.rmdir() if is_folder else path.unlink()
                elif not is_folder:
                    total += found.st_size
    return total
