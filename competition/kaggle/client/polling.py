"""Looking again and again, at first often, until something has come about at Kaggle."""

import time
from collections.abc import Iterator


def looks(seconds: float, first_pause: float, max_pause: float) -> Iterator[float]:
    """Yield the seconds since the start, now and after pauses that grow by half, until ``seconds`` are over."""
    started, pause = time.monotonic(), first_pause
    while True:
        yield time.monotonic() - started
        if time.monotonic() - started + pause > seconds:
            return
        time.sleep(pause)
        pause = min(1.5 * pause, max_pause)
