"""Calls that may take so long and no longer, and how long the whole line has taken."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


def within(seconds: float, call: Callable[[], T]) -> T:
    """Return what ``call`` returns, or raise what it raises; TimeoutError after ``seconds``.

    For calls without a time limit of their own: the call runs in a thread, which after a TimeoutError is left behind
    and ends with the process.
    """
    future: Future[T] = Future()

    def work() -> None:
        try:
            future.set_result(call())
        except BaseException as error:  # raised again where it was called for
            future.set_exception(error)

    threading.Thread(target=work, daemon=True).start()
    return future.result(timeout=seconds)


_began = [time.monotonic()]


def line_begins() -> None:
    """Take now for the moment at which the command line was started."""
    _began[0] = time.monotonic()


def line_seconds() -> float:
    """Return how many seconds ago the command line was started."""
    return time.monotonic() - _began[0]
