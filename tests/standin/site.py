"""What the Kaggle stand-in knows, and its table of API methods: taken from kagglesdk's own service clients, so that a
request is parsed and a reply built with the types of that package and with no others."""

import base64
import hashlib
import inspect
import json
import secrets
import threading
import time
import urllib.parse
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from kagglesdk.blobs.services.blob_api_service import BlobApiClient
from kagglesdk.competitions.services.competition_api_service import CompetitionApiClient
from kagglesdk.datasets.services.dataset_api_service import DatasetApiClient
from kagglesdk.kernels.services.kernels_api_service import KernelsApiClient
from kagglesdk.security.services.oauth_service import OAuthClient
from kagglesdk.security.types.oauth_service import IntrospectTokenResponse
from kagglesdk.users.services.account_service import AccountClient
from kagglesdk.users.types.account_service import GenerateAccessTokenResponse

ORIGIN = "http://localhost"


class Fail(Exception):
    """A request that is refused: the status and the message of its reply."""

    def __init__(self, code: int, message: str):
        super().__init__(message)
        self.code, self.message = code, message


class _Recorder:
    """Stands in a service client for its connection, and keeps what it would have sent and expects back."""

    def __init__(self):
        self.methods: dict[str, tuple[Any, Any]] = {}

    def call(self, service: str, name: str, request: object, response_type: type | None) -> None:
        self.methods[f"{service}/{name}"] = type(request), response_type


def _methods() -> dict[str, tuple[Any, Any]]:
    recorder = _Recorder()
    for client in (CompetitionApiClient, OAuthClient, AccountClient, DatasetApiClient, BlobApiClient, KernelsApiClient):
        for name, method in inspect.getmembers(client(recorder), inspect.ismethod):
            if not name.startswith("_"):
                method()
    return recorder.methods


METHODS = _methods()  # 'competitions.CompetitionApiService/GetCompetition' -> types of the request and of the reply
ANSWERS: dict[str, Callable] = {}  # those that this stand-in answers: function of (site, user, request)


def answers(path: str) -> Callable[[Callable], Callable]:
    """Declare a function the answer to an API method, which kagglesdk must know."""
    assert path in METHODS, path

    def declare(function: Callable) -> Callable:
        ANSWERS[path] = function
        return function

    return declare


@dataclass
class Upload:
    """A file on its way: ``path`` holds what has arrived of its ``length`` bytes."""

    name: str
    length: int
    user: str
    path: Path

    @property
    def received(self) -> int:
        return self.path.stat().st_size

    @property
    def complete(self) -> bool:
        return self.received == self.length


@dataclass
class Site:
    """Everything of one Kaggle. Its methods without an underscore are what the harness may call."""

    folder: Path
    users: dict[str, tuple[str, str]]
    competitions: dict = field(default_factory=dict)
    submissions: list = field(default_factory=list)
    datasets: dict = field(default_factory=dict)
    kernels: dict = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)
    downloads: dict[str, Path] = field(default_factory=dict)
    asked: list[dict] = field(default_factory=list)
    faults: list[dict] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)  # what the stand-in did not know or failed at
    lock: threading.RLock = field(default_factory=threading.RLock)
    layout: str = "new"
    session_limit: float = 12 * 3600
    keep_failed_output: bool = False
    queue_seconds: float = 0
    kernels_at_once: int = 2
    kernel_env: dict[str, str] = field(default_factory=dict)
    image_without: Sequence[str] = ()
    dataset_pending: int = 1
    dataset_failures: int = 0

    def user_of(self, authorization: str) -> str:
        """Return who sends this Authorization header; a Fail where it is wrong."""
        scheme, _, words = authorization.partition(" ")
        if scheme == "Basic":
            name, _, key = base64.b64decode(words).decode().partition(":")
            if name in self.users and self.users[name][0] == key:
                return name
        for name, (_, token) in self.users.items():
            if scheme == "Bearer" and token == words:
                return name
        raise Fail(401, "Unauthenticated")

    def note(self, method: str, path: str, name: str, span: str) -> dict:
        """Add a request to those asked and return it, to be completed."""
        entry = {
            "method": method,
            "path": path,
            "name": name,
            "user": "",
            "range": span,
            "status": 0,
            "request": None,
            "fault": "",
        }
        with self.lock:
            self.asked.append(entry)
        return entry

    def fault_of(self, entry: dict) -> dict:
        """Return the rule that this request falls under, and count it; {} where it may go well."""
        words = f"{entry['method']} {entry['path']}"
        with self.lock:
            for rule in self.faults:
                if rule["match"] in words and rule["times"] > 0:
                    if rule["skip"] > 0:
                        rule["skip"] -= 1
                        continue
                    rule["times"] -= 1
                    entry["fault"] = rule["do"]
                    return rule
        return {}

    def start_upload(self, user: str, name: str, length: int) -> tuple[str, str]:
        """Return the token of a file to come and the address to put it at."""
        token = secrets.token_urlsafe(24)
        path = self.folder / "uploads" / token
        path.parent.mkdir(exist_ok=True)
        path.touch()
        self.uploads[token] = Upload(name, length, user, path)
        return token, f"{ORIGIN}/upload/{token}"

    def uploaded(self, user: str, token: str) -> Upload:
        """Return a file that has arrived; a Fail where it has not."""
        upload = self.uploads.get(token)
        if upload is None or upload.user != user or not upload.complete:
            raise Fail(400, "The uploaded file could not be found: its upload is not complete.")
        return upload

    def address_of(self, path: Path) -> str:
        """Return the address, good without credentials, from which this file may be had; it ends in its name."""
        token = hashlib.sha256(f"{path}:{id(self)}".encode()).hexdigest()[:32]
        self.downloads[token] = path
        return f"{ORIGIN}/download/{token}/{urllib.parse.quote(path.name)}?Expires={int(time.time()) + 3600}"


@dataclass(frozen=True)
class Redirect:
    """An answer that sends the client to another address."""

    url: str


def page(items: Sequence, request: Any, number: int = 1) -> tuple[Sequence, str]:
    """Return the page of ``items`` that a request with page_size and page_token wants, and the token of the next."""
    size = min(request.page_size or 20, 200)
    begin = int(request.page_token) if request.page_token else (max(number, 1) - 1) * size
    end = begin + size
    return items[begin:end], str(end) if end < len(items) else ""


def now() -> datetime:
    """Return the time in UTC, without a zone, as kagglesdk wants it."""
    return datetime.now(UTC).replace(tzinfo=None)


def reply_of(path: str, answer: Any) -> bytes:
    """Return the JSON of an answer, which must be of the type that kagglesdk expects."""
    expected = METHODS[path][1]
    assert type(answer) is expected, f"{path} must answer {expected.__name__}, not {type(answer).__name__}"
    return json.dumps(answer.to_dict()).encode()


@answers("security.OAuthService/IntrospectToken")
def introspect_token(site: Site, user: str, request) -> IntrospectTokenResponse:
    answer = IntrospectTokenResponse()
    for name, (_, token) in site.users.items():
        if token == request.token:
            answer.active, answer.username = True, name
    return answer


@answers("users.AccountService/GenerateAccessToken")
def generate_access_token(site: Site, user: str, request) -> GenerateAccessTokenResponse:
    answer = GenerateAccessTokenResponse()
    for key, token in site.users.values():
        if key == request.refresh_token:  # a login is good for as long as the key is
            answer.token, answer.expires_in = token, 12 * 3600
            return answer
    raise Fail(401, "Unauthenticated")
