"""One line with the state of Kaggle's sessions: rewritten on a terminal, elsewhere printed when it changes."""

import datetime
import sys
from collections.abc import Mapping
from types import TracebackType

from tqdm import tqdm


class Waiting:
    """A context in which :meth:`show` may be called; ``hours``: the limit that elapsed time is shown against."""

    def __init__(self, hours: float):
        self.limit, self.last = _clock(3600 * hours), ""

    def __enter__(self) -> "Waiting":
        self.bar = tqdm(bar_format="{desc}", disable=not sys.stderr.isatty())
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.bar.close()

    def show(self, states: Mapping[str, str], seconds: float) -> None:
        """Show the state of each kernel after ``seconds`` of waiting."""
        line = ", ".join(f"{ref} {state}" for ref, state in states.items())
        self.bar.set_description_str(f"  Kaggle: {line}; {_clock(seconds)} of {self.limit}")
        if self.bar.disable and line != self.last:
            print(f"  Kaggle: {line} after {_clock(seconds)} (a session ends itself after {self.limit})", flush=True)
        self.last = line


def _clock(seconds: float) -> str:
    return str(datetime.timedelta(seconds=round(seconds)))
