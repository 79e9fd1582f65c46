"""The real Kaggle command line in a process of its own, with a time-out of ours.

Its exit status is not believed (a refused upload and a failed file end with 0) and its retries are silent for minutes:
what came of a call is read back through :mod:`competition.kaggle.client.api`.
"""

import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

POLL = 0.2  # seconds between two looks at the process

# `python -m kaggle`, which leaves when we are gone: after a kill it would go on downloading or uploading, beside the
# repeated line's own. Its standard input is a pipe of ours, which ends with us, and looks to it like an empty one.
WITH_US = """
import os, runpy, threading
ours = os.dup(0)
os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
def end_with_us():
    os.read(ours, 1)
    os._exit(1)
threading.Thread(target=end_with_us, daemon=True).start()
runpy.run_module("kaggle", run_name="__main__", alter_sys=True)
"""


@dataclass(frozen=True)
class CliReply:
    """``text``: everything that was printed; ``status``: the exit status, None where we ended the process."""

    text: str
    status: int | None

    @property
    def last(self) -> str:
        """The last line that is not blank, for sentences."""
        lines = [line.strip() for line in self.text.replace("\r", "\n").splitlines() if line.strip()]
        return lines[-1][:300] if lines else "it printed nothing"


def run_cli(words: Sequence[str], seconds: float, size: Callable[[], int] | None = None) -> CliReply:
    """Run ``kaggle WORDS``, ending it after ``seconds`` without progress, or in all where ``size`` is not given.

    ``size`` returns the bytes that have come about so far: as long as they change, the process may go on. The process
    and whatever it started are gone when this returns, also when it is interrupted; it leaves by itself when we are
    killed.
    """
    with tempfile.TemporaryFile() as output:
        command = [sys.executable, "-P", "-c", WITH_US, *words]
        with subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        ) as process:
            try:
                status = _wait(process, seconds, size)
            finally:
                if process.poll() is None:
                    if hasattr(os, "killpg"):
                        os.killpg(process.pid, signal.SIGKILL)  # with whatever it started
                    else:
                        process.kill()
        output.seek(0)
        return CliReply(output.read().decode(errors="replace"), status)


def _wait(process: subprocess.Popen, seconds: float, size: Callable[[], int] | None) -> int | None:
    grown, since = -1, time.monotonic()
    while (status := process.poll()) is None:
        if size is not None and (now := size()) != grown:
            grown, since = now, time.monotonic()
        if time.monotonic() - since > seconds:
            return None
        time.sleep(POLL)
    return status
