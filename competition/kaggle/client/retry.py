"""Requests to Kaggle: each with a time-out of ours, repeated with patience, and refusals explained in a sentence.

The token of a login holds for hours: when it has run out, the request is repeated once with a new one.
"""

import time
from collections.abc import Callable, Iterator
from typing import Any

import requests
from kagglesdk.kaggle_client import KaggleClient
from kagglesdk.kaggle_creds import KaggleCredentials
from kagglesdk.kaggle_env import get_env
from tenacity import RetryCallState, Retrying, retry_if_exception, stop_before_delay, wait_exponential

from competition.core.deadline import within
from competition.core.errors import Unfinished, UserError
from competition.kaggle.client.account import Account

ANSWER = 60.0  # seconds that one request may take
PATIENCE = 120.0  # seconds over which a request that fails through no fault of the user's is repeated
FIRST_PAUSE, MAX_PAUSE = 0.5, 30.0  # seconds between two tries, doubling

Call = Callable[[KaggleClient], Any]


class Unreachable(Unfinished):
    """Kaggle does not answer, or answers with errors of its own."""


class KaggleRefusal(UserError):
    """Kaggle's answer is no; ``code`` is HTTP's (401 credentials, 403 not allowed, 404 nothing there, 400 other)."""

    def __init__(self, sentence: str, code: int):
        super().__init__(sentence)
        self.code = code


class ApiClient:
    """Makes requests as ``account``'s user; all raise KaggleRefusal and Unreachable; ``patience`` in seconds."""

    def __init__(self, account: Account, patience: float = PATIENCE):
        self.account, self.patience = account, patience
        name, key, token = (given or None for given in (account.username, account.key, account.token))
        self._client = KaggleClient(env=get_env(), username=name, password=key, api_token=token)
        self._login: KaggleCredentials | None = None
        if not account.token and not account.key:
            login = self._login = KaggleCredentials.load(client=self._client)
            if login is None:
                raise UserError(
                    f"The login in {account.where} is gone or not whole: log in again with 'kaggle auth login'."
                )
            self._client = self._logged_in(lambda _: login.get_access_token())

    def _logged_in(self, call: Call) -> KaggleClient:
        """Return a client with the token of the login that ``call`` returns."""
        return KaggleClient(env=get_env(), api_token=self._request("your login", call, renew=False))

    def _request(self, what: str, call: Call, renew: bool = True) -> Any:
        """Make a request until it is answered or refused, or patience ends; ``what`` it is about, for sentences."""
        answer = min(ANSWER, self.patience)
        tries = Retrying(
            retry=retry_if_exception(_may_pass), wait=_pause, stop=stop_before_delay(self.patience), reraise=True
        )
        try:
            return tries(lambda: within(answer, lambda: call(self._client)))
        except requests.exceptions.HTTPError as error:
            if renew and (login := self._login) and _code(error) == 401:
                self._client = self._logged_in(lambda _: _new_token(login))
                return self._request(what, call, renew=False)
            if not _may_pass(error):
                raise _refusal(error, what, self.account) from error
            reason = f"{_code(error)}, {'too many requests' if _code(error) == 429 else 'an error of its own'}"
        except requests.exceptions.RequestException as error:
            reason = f"no connection, {type(error).__name__}"
        except TimeoutError:
            reason = f"no answer in {answer:.0f} seconds"
        raise Unreachable(
            f"Kaggle has not answered about {what} for {self.patience:.0f} seconds ({reason}): "
            "repeat the same line later."
        )

    def _or_none(self, what: str, call: Call) -> Any:
        """Request one thing; None where there is no such thing."""
        try:
            return self._request(what, call)
        except KaggleRefusal as error:
            if error.code in (403, 404):  # a private one of somebody else's answers 403
                return None
            raise

    def _pages(self, what: str, call: Call, request: Any, items: str, most: int = 10_000) -> list:
        """Return all that ``request``, made by ``call``, lists under ``items``, in ``most`` pages or fewer."""
        found: list = []
        for _ in range(most):
            page = self._request(what, call)
            found += getattr(page, items) or []
            if not page.next_page_token:
                break
            request.page_token = page.next_page_token
        return found


def _new_token(login: KaggleCredentials) -> str:
    login.refresh_access_token()  # and keeps it where the command line finds it
    return login.get_access_token()


def looks(seconds: float, first_pause: float, max_pause: float) -> Iterator[float]:
    """Yield the seconds since the start, now and after pauses that grow by half, until ``seconds`` are over: for
    looking again and again until something has come about at Kaggle."""
    started, pause = time.monotonic(), first_pause
    while True:
        yield time.monotonic() - started
        if time.monotonic() - started + pause > seconds:
            return
        time.sleep(pause)
        pause = min(1.5 * pause, max_pause)


def _code(error: requests.exceptions.HTTPError) -> int:
    return error.response.status_code if error.response is not None else 500


def _may_pass(error: BaseException) -> bool:
    """Whether the same request may be answered later: it was too much or too early, or Kaggle or the network failed."""
    if isinstance(error, requests.exceptions.HTTPError):
        return _code(error) == 429 or _code(error) >= 500
    return isinstance(error, requests.exceptions.RequestException | TimeoutError)


def _pause(state: RetryCallState) -> float:
    """Return the seconds until the next try: twice as many each time, or as many as Kaggle names."""
    error, least = state.outcome and state.outcome.exception(), 0.0
    if isinstance(error, requests.exceptions.HTTPError) and error.response is not None and _code(error) == 429:
        after = error.response.headers.get("Retry-After", "")
        least = float(after) if after.isdigit() else MAX_PAUSE / 3
    return max(least, wait_exponential(FIRST_PAUSE, MAX_PAUSE)(state))


def _refusal(error: requests.exceptions.HTTPError, what: str, account: Account) -> KaggleRefusal:
    """Return a sentence on why Kaggle refuses a request, and what to do about it."""
    code, reason = _code(error), " ".join(str(error).split())
    slug = what.removeprefix("competition ") if what.startswith("competition ") else ""
    if code == 401:
        return KaggleRefusal(bad_credentials(account), code)
    if code == 404:
        return KaggleRefusal(f"There is no {what} on Kaggle: check the name.", code)
    if code == 403 and slug:
        return KaggleRefusal(f"{unaccepted_rules(slug)} (Kaggle says: {reason})", code)
    return KaggleRefusal(f"Kaggle refuses to answer about {what} ({code}: {reason}): remove that cause first.", code)


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
