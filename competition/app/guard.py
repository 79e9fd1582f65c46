"""What stands before a page: the headers that keep a browser to it, its password, and how much may be uploaded."""

import base64
import binascii
import secrets
import time
from pathlib import Path
from typing import Any

from fastapi.responses import PlainTextResponse

from competition.app.limits import MAX_FILES, MAX_WAITING, Allowance, Limits

MAX_IDLE_SECONDS = 900  # seconds after which an upload that no page asks for is removed
WRONG_A_MINUTE = 10  # passwords of one visitor
FORM_BYTES = 2**16  # of an upload beside its files

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
        self.most = int(MAX_FILES * (limits.max_mb * 2**20 + FORM_BYTES))  # bytes of one upload
        self.arriving = 0  # bytes

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        async def sending(message: Any) -> None:
            if message["type"] == "http.response.start":
                added = [(key.encode(), value.encode()) for key, value in self.headers.items()]
                message = {**message, "headers": [*message["headers"], *added]}
            await send(message)

        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        if scope["type"] != "http":  # there is no other here
            return await send({"type": "websocket.close", "code": 1008})
        headers = dict(scope["headers"])
        refusal, size = self._stranger(headers, (scope.get("client") or [None])[0]), 0
        if refusal is None and scope["method"] == "POST" and scope["path"].rstrip("/").endswith("/upload"):
            size = _number(headers.get(b"content-length"))
            refusal = self._too_large(size)
        if refusal is not None:
            return await refusal(scope, receive, sending)
        self.arriving += size
        try:
            await self.app(scope, receive, sending)
        finally:
            self.arriving -= size

    def _stranger(self, headers: dict[bytes, bytes], address: str | None) -> PlainTextResponse | None:
        """Return the answer to who does not know the password; None for who does."""
        if not self.password:
            return None
        scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
        ask = {"www-authenticate": 'Basic realm="Telltale", charset="UTF-8"'}
        if scheme.lower() != b"basic":
            return PlainTextResponse("This page asks for a password; any user name will do.", 401, ask)
        if self.wrong.blocked(address):
            return PlainTextResponse("Too many wrong passwords: try again in a minute.", 429)
        try:
            _, _, password = base64.b64decode(given, validate=True).partition(b":")
        except binascii.Error:
            password = b""
        if secrets.compare_digest(password, self.password):
            return None
        self.wrong.take(address)
        return PlainTextResponse("This is not the password.", 401, ask)

    def _too_large(self, size: int) -> PlainTextResponse | None:
        """Return the answer to an upload of so many bytes, -1 for any number, that cannot be taken; None else."""
        if size < 0:
            return PlainTextResponse("Say how long the upload is: content-length is missing.", 411)
        if size > self.most:
            return PlainTextResponse(f"An upload may have {self.most:,} bytes, and this one has {size:,}.", 413)
        if self.arriving + size + _sweep(self.uploads) > (MAX_WAITING + 1) * self.most:
            return PlainTextResponse("Too many images wait here already: try again in a minute.", 503)
        return None


def _number(value: bytes | None) -> int:
    return int(value) if value is not None and value.isdigit() else -1


def _sweep(uploads: Path) -> int:
    """Remove files that no page has asked for in a long time, and return the bytes of those that are left."""
    total, now = 0, time.time()
    for path in uploads.rglob("*"):
        try:
            found = path.lstat()
            if not path.is_dir() and now - found.st_mtime > MAX_IDLE_SECONDS:
                path.unlink()
            elif not path.is_dir():
                total += found.st_size
        except OSError:  # its page took it away meanwhile
            continue
    return total
