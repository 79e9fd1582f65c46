"""A process that sends a run's epochs to trackers while it trains: whatever becomes of it, the training goes on."""

import contextlib
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence

LAST = 120.0  # seconds in which the end of a run may be sent
INTERRUPTED = 2.0  # seconds for that where the run ends early: the next line sends the rest


@contextlib.contextmanager
def followed(run: str, trackers: Sequence[str]) -> Iterator[None]:
    """Send what the block trains to these trackers, as it comes about, and say at the end where it is."""
    if not trackers:
        yield
        return
    words = ["track", f"name={run}", f"to={','.join(trackers)}", "follow=true"]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [sys.executable, "-m", "competition", *words],
            stdin=subprocess.PIPE,  # which ends with us, and it with that
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        patience = INTERRUPTED
        try:
            yield
            patience = LAST
        finally:
            assert process.stdin
            process.stdin.close()
            try:
                process.wait(patience)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            said.seek(0)
            print(said.read().decode(errors="replace"), end="")
