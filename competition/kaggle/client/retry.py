"""Asking Kaggle: every request with a time-out of ours, repeated with patience, and refusals told in sentences.

The token of a login holds for hours: when it has run out, a new one is had, once for a request, and it is repeated.
"""

import queue
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

import requests
from kagglesdk.kaggle_client import KaggleClient
from kagglesdk.kaggle_creds import KaggleCredentials
from kagglesdk.kaggle_env import get_env

from competition.core.errors import Unfinished, UserError
from competition.kaggle.client.account import Account

ANSWER = 60.0  # seconds that one request may take
PATIENCE = 120.0  # seconds over which a request that fails through no fault of the user's is repeated
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0  # seconds between two tries, doubling

T = TypeVar("T")
Call = Callable[[KaggleClient], T]


class Unreachable(Unfinished):
    """Kaggle does not answer, or answers with errors of its own."""


class Refused(UserError):
    """Kaggle's answer is no; ``code`` is HTTP's (401 credentials, 403 not allowed, 404 nothing there, 400 other)."""

    def __init__(self, sentence: str, code: int):
        super().__init__(sentence)
        self.code = code


class NoAnswer(Exception):
    """A request took longer than it may."""


class Asking:
    """Makes requests as ``account``'s user; all raise Refused and Unreachable; ``patience`` in seconds."""

    def __init__(self, account: Account, patience: float = PATIENCE):
        self.account, self.patience = account, patience
        self._client = KaggleClient(
            env=get_env(),
            username=account.username or None,
            password=account.key or None,
            api_token=account.token or None,
        )
        self._login = None
        if not account.token and not account.key:
            self._login = KaggleCredentials.load(client=self._client)
            if self._login is None:
                raise UserError(
                    f"The login in {account.where} is gone or not whole: log in again with 'kaggle auth login'."
                )
            self._client = self._logged_in(lambda _: self._login.get_access_token())

    def _logged_in(self, call: Call) -> KaggleClient:
        """Return a client with the token of the login that ``call`` returns."""
        return KaggleClient(env=get_env(), api_token=self._ask("your login", call, renew=False))

    def _ask(self, what: str, call: Call, renew: bool = True) -> Any:
        """Make a request until it is answered or refused, or patience ends; ``what`` it is about, for sentences."""
        started, pause, answer = time.monotonic(), FIRST_PAUSE, min(ANSWER, self.patience)
        while True:
            client = self._client
            try:
                return _within(answer, lambda: call(client))  # noqa: B023 - called before the next one is taken
            except requests.exceptions.HTTPError as error:
                if renew and self._login and _code(error) == 401:
                    renew, self._client = False, self._logged_in(lambda _: self._new_token())
                    continue
                reason, wait = _reason(error, what, self.account)
            except requests.exceptions.RequestException as error:
                reason, wait = f"no connection, {type(error).__name__}", 0.0
            except NoAnswer:
                reason, wait = f"no answer in {answer:.0f} seconds", 0.0
            wait = max(wait, pause)
            if time.monotonic() - started + wait > self.patience:
                raise Unreachable(
                    f"Kaggle could not be asked about {what} for {self.patience:.0f} seconds "
                    f"({reason}): repeat the same line later."
                )
            time.sleep(wait)
            pause = min(2 * pause, LONGEST_PAUSE)

    def _new_token(self) -> str:
        self._login.refresh_access_token()  # and keeps it where the command line finds it
        return self._login.get_access_token()

    def _or_none(self, what: str, call: Call) -> Any:
        """Ask for one thing; None where there is no such thing."""
        try:
            return self._ask(what, call)
        except Refused as error:
            if error.code in (403, 404):  # a private one of somebody else's answers 403
                return None
            raise

    def _pages(self, what: str, call: Call, request: Any, items: str, most: int = 10_000) -> list:
        """Ask page by page, up to ``most``; return all that stands under ``items``. ``call`` makes the ``request``."""
        found: list = []
        for _ in range(most):
            page = self._ask(what, call)
            found += getattr(page, items) or []
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        return found


def _within(seconds: float, call: Callable[[], T]) -> T:
    """Return what ``call`` returns, or raise what it raises; NoAnswer after ``seconds``, when its thread is left behind
    and dies with us."""
    told: queue.SimpleQueue[tuple[T | None, BaseException | None]] = queue.SimpleQueue()

    def work() -> None:
        try:
            told.put((call(), None))
        except BaseException as error:  # raised again where it was asked for
            told.put((None, error))

    threading.Thread(target=work, daemon=True).start()
    try:
        answer, error = told.get(timeout=seconds)
    except queue.Empty:
        raise NoAnswer from None
    if error is not None:
        raise error
    return answer


def _code(error: requests.exceptions.HTTPError) -> int:
    return error.response.status_code if error.response is not None else 500


def _reason(error: requests.exceptions.HTTPError, what: str, account: Account) -> tuple[str, float]:
    """Return why a request is worth repeating and the seconds that Kaggle asks to wait; raises Refused otherwise."""
    code = _code(error)
    if code == 429:
        after = error.response.headers.get("Retry-After", "")
        return "429, too many requests", float(after) if after.isdigit() else LONGEST_PAUSE / 3
    if code >= 500:
        return f"{code}, an error of Kaggle's own", 0.0
    said = " ".join(str(error).split())
    slug = what.removeprefix("competition ") if what.startswith("competition ") else ""
    if code == 401:
        raise Refused(bad_credentials(account), code) from error
    if code == 404:
        raise Refused(f"There is no {what} on Kaggle: mend its name.", code) from error
    if code == 403 and slug:
        raise Refused(f"{unaccepted_rules(slug)} (Kaggle says: {said})", code) from error
    raise Refused(f"Kaggle refuses to answer about {what} ({code}: {said}): mend that first.", code) from error


def unaccepted_rules(slug: str) -> str:
    """Say where the rules of a competition are accepted."""
    return (
        f"You have not entered competition {slug}: accept its rules on https://www.kaggle.com/competitions/{slug}/rules"
        ", then repeat the same line"
    )


def bad_credentials(account: Account) -> str:
    """Say that Kaggle does not take the credentials, and what to do."""
    remedy = "make a new token on kaggle.com/settings and put it there"
    if not account.token and not account.key:
        remedy = "log in again with 'kaggle auth login'"
    return f"Kaggle refuses the credentials in {account.where} (401): {remedy}."
