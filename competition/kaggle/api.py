"""Kaggle's typed API, for asking and for reading back: a time-out of ours, patience, and sentences for refusals."""

import datetime
import time
from collections.abc import Callable
from functools import cached_property
from multiprocessing import TimeoutError as NoAnswer
from multiprocessing.pool import ThreadPool
from typing import Any, TypeVar

import requests
from kagglesdk.competitions.types.competition_api_service import (
    ApiCompetition,
    ApiDataFile,
    ApiDownloadDataFilesRequest,
    ApiGetCompetitionRequest,
    ApiGetSubmissionLimitsRequest,
    ApiListDataFilesRequest,
    ApiListSubmissionsRequest,
    ApiSubmission,
    ApiSubmissionLimits,
)
from kagglesdk.datasets.types.dataset_api_service import (
    ApiDataset,
    ApiGetDatasetRequest,
    ApiGetDatasetStatusRequest,
    ApiListDatasetFilesRequest,
)
from kagglesdk.kaggle_client import KaggleClient
from kagglesdk.kaggle_creds import KaggleCredentials
from kagglesdk.kaggle_env import get_env
from kagglesdk.kernels.types.kernels_api_service import (
    ApiGetKernelRequest,
    ApiGetKernelSessionStatusRequest,
    ApiKernelMetadata,
)
from kagglesdk.security.types.oauth_service import IntrospectTokenRequest

from competition.errors import Unfinished, UserError
from competition.kaggle.account import Account

ANSWER = 60.0  # seconds that one request may take
PATIENCE = 120.0  # seconds over which a request that fails through no fault of the user's is repeated
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds between two tries, doubling
PAGE = 200

T = TypeVar("T")


class Unreachable(Unfinished):
    """Kaggle does not answer, or answers with errors of its own."""


class Refused(UserError):
    """Kaggle's answer is no; ``code`` is HTTP's (401 credentials, 403 not allowed, 404 nothing there, 400 other)."""

    def __init__(self, sentence: str, code: int):
        super().__init__(sentence)
        self.code = code


class Kaggle:
    """What Kaggle knows. Every method raises Refused and Unreachable; ``patience`` in seconds."""

    def __init__(self, account: Account, patience: float = PATIENCE):
        self.account, self.patience = account, patience
        self._client = KaggleClient(env=get_env(), username=account.username or None, password=account.key or None,
                                    api_token=account.token or None)  # fmt: skip
        if not account.token and not account.key:
            credentials = KaggleCredentials.load(client=self._client)
            token = self._ask("your login", lambda: credentials.get_access_token())
            self._client = KaggleClient(env=get_env(), api_token=token)

    @cached_property
    def username(self) -> str:
        """The user's name on Kaggle, which owns kernels and data sets."""
        if self.account.username:
            return self.account.username
        request = IntrospectTokenRequest()
        request.token = self.account.token
        found = self._ask("your token", lambda: self._client.security.oauth_client.introspect_token(request))
        if not found.active or not found.username:
            raise Refused(_bad_credentials(self.account), 401)
        return found.username

    def competition(self, slug: str) -> ApiCompetition:
        """Return what is known of a competition, with whether the user has entered it."""
        request = ApiGetCompetitionRequest()
        request.competition_name = slug
        return self._ask(_named(slug), lambda: self._competitions.get_competition(request))

    def files(self, slug: str, pages: int = 10_000) -> list[ApiDataFile]:
        """Return the competition's files, with their sizes as they lie there (total_bytes), up to ``pages`` pages of
        200. Of some competitions Kaggle lists a part only, whatever is asked: it is no promise of completeness."""
        request = ApiListDataFilesRequest()
        request.competition_name, request.page_size = slug, PAGE
        return self._pages(_named(slug), self._competitions.list_data_files, request, "files", pages)

    def archive_bytes(self, slug: str) -> int:
        """Return the size of the archive of all files, 0 if Kaggle does not tell, which may be had now; not fetched."""
        request = ApiDownloadDataFilesRequest()
        request.competition_name = slug
        with self._ask(_named(slug), lambda: self._competitions.download_data_files(request)) as response:
            return int(response.headers.get("Content-Length", 0))

    def submissions(self, slug: str, pages: int = 10) -> list[ApiSubmission]:
        """Return the user's submissions, newest first, up to ``pages`` pages of 200."""
        request = ApiListSubmissionsRequest()
        request.competition_name, request.page_size = slug, PAGE
        return self._pages(_named(slug), self._competitions.list_submissions, request, "submissions", pages)

    def limits(self, slug: str) -> ApiSubmissionLimits:
        """Return how many submissions were made today and may still be."""
        request = ApiGetSubmissionLimitsRequest()
        request.competition_name = slug
        return self._ask(_named(slug), lambda: self._competitions.get_submission_limits(request))

    def dataset(self, ref: str) -> ApiDataset | None:
        """Return a data set by OWNER/SLUG, or None where there is none (or none that this user may see)."""
        request = ApiGetDatasetRequest()
        request.owner_slug, request.dataset_slug = ref.split("/")
        return self._or_none(f"data set {ref}", lambda: self._client.datasets.dataset_api_client.get_dataset(request))

    def dataset_status(self, ref: str) -> str:
        """Return ``ready``, ``error``, or another word while a data set's newest version is being made."""
        request = ApiGetDatasetStatusRequest()
        request.owner_slug, request.dataset_slug = ref.split("/")
        client = self._client.datasets.dataset_api_client
        return self._ask(f"data set {ref}", lambda: client.get_dataset_status(request)).status.name.lower()

    def dataset_files(self, ref: str) -> dict[str, int]:
        """Return the files of a data set's newest version and their sizes in bytes."""
        request = ApiListDatasetFilesRequest()
        request.owner_slug, request.dataset_slug = ref.split("/")
        request.page_size = PAGE
        call = self._client.datasets.dataset_api_client.list_dataset_files
        return {file.name: file.total_bytes for file in self._pages(f"data set {ref}", call, request, "dataset_files")}

    def kernel(self, ref: str) -> ApiKernelMetadata | None:
        """Return a kernel by OWNER/SLUG, with its current version's number, or None where there is none."""
        request = ApiGetKernelRequest()
        request.user_name, request.kernel_slug = ref.split("/")
        found = self._or_none(f"kernel {ref}", lambda: self._client.kernels.kernels_api_client.get_kernel(request))
        return found and found.metadata

    def kernel_status(self, ref: str) -> tuple[str, str]:
        """Return the state of a kernel's newest session (queued, running, complete, error, cancel_...), and why it
        failed."""
        request = ApiGetKernelSessionStatusRequest()
        request.user_name, request.kernel_slug = ref.split("/")
        client = self._client.kernels.kernels_api_client
        found = self._ask(f"kernel {ref}", lambda: client.get_kernel_session_status(request))
        return found.status.name.lower(), found.failure_message or ""

    @property
    def _competitions(self) -> Any:
        return self._client.competitions.competition_api_client

    def _or_none(self, what: str, call: Callable[[], T]) -> T | None:
        try:
            return self._ask(what, call)
        except Refused as error:
            if error.code in (403, 404):  # a private one of somebody else's answers 403
                return None
            raise

    def _pages(self, what: str, call: Callable, request: Any, items: str, most: int = 10_000) -> list:
        found: list = []
        for _ in range(most):
            page = self._ask(what, lambda: call(request))
            found += getattr(page, items) or []
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        return found

    def _ask(self, what: str, call: Callable[[], T]) -> T:
        """Make a request until it is answered or refused, or patience ends; ``what`` it is about, for sentences."""
        started, pause, answer = time.monotonic(), FIRST_PAUSE, min(ANSWER, self.patience)
        while True:
            try:
                return _within(answer, call)
            except requests.exceptions.HTTPError as error:
                reason, wait = _reason(error, what, self.account)
            except requests.exceptions.RequestException as error:
                reason, wait = f"no connection, {type(error).__name__}", 0.0
            except NoAnswer:
                reason, wait = f"no answer in {answer:.0f} seconds", 0.0
            wait = max(wait, pause)
            if time.monotonic() - started + wait > self.patience:
                raise Unreachable(f"Kaggle could not be asked about {what} for {self.patience:.0f} seconds "
                                  f"({reason}): repeat the same line later.")  # fmt: skip
            time.sleep(wait)
            pause = min(2 * pause, LONGEST_PAUSE)


def accepted_rules(kaggle: Kaggle, slug: str) -> ApiCompetition:
    """Return the competition, having seen that the user takes part in it; UserError says where to accept its rules."""
    found = kaggle.competition(slug)
    if not found.user_has_entered:
        raise UserError(_rules(slug))
    return found


def closed(found: ApiCompetition) -> bool:
    """Return whether a competition's deadline (UTC) is past: submissions may still be scored, and no longer count."""
    return bool(found.deadline) and found.deadline < datetime.datetime.now(datetime.UTC).replace(tzinfo=None)


def _within(seconds: float, call: Callable[[], T]) -> T:
    """Return what ``call`` returns; NoAnswer after ``seconds`` (its thread is left behind, and dies with us)."""
    return ThreadPool(1).apply_async(call).get(seconds)


def _reason(error: requests.exceptions.HTTPError, what: str, account: Account) -> tuple[str, float]:
    """Return why a request is worth repeating and the seconds that Kaggle asks to wait; raises Refused otherwise."""
    response = error.response
    code = response.status_code if response is not None else 500
    if code == 429:
        after = response.headers.get("Retry-After", "")
        return "429, too many requests", float(after) if after.isdigit() else LONGEST_PAUSE / 3
    if code >= 500:
        return f"{code}, an error of Kaggle's own", 0.0
    said = " ".join(str(error).split())
    slug = what.removeprefix("competition ") if what.startswith("competition ") else ""
    if code == 401:
        raise Refused(_bad_credentials(account), code) from error
    if code == 404:
        raise Refused(f"There is no {what} on Kaggle: mend its name.", code) from error
    if code == 403 and slug:
        raise Refused(f"{_rules(slug)} (Kaggle says: {said})", code) from error
    raise Refused(f"Kaggle refuses to answer about {what} ({code}: {said}): mend that first.", code) from error


def _named(slug: str) -> str:
    return f"competition {slug}"


def _rules(slug: str) -> str:
    return (f"You have not entered competition {slug}: accept its rules on https://www.kaggle.com/competitions/{slug}/rules"
            ", then repeat the same line")  # fmt: skip


def _bad_credentials(account: Account) -> str:
    return (f"Kaggle refuses the credentials in {account.where} (401): make a new token on kaggle.com/settings and put "
            "it there.")  # fmt: skip
