"""A process in the stand-in's namespace that runs one command line after another, so that imports are paid for once."""

import contextlib
import io
import json
import subprocess
import sys
from pathlib import Path

from competition.__main__ import main
from tests.kaggle_world import World


class Session:
    """``python -m competition`` of ``home``, many times over; commands that it starts are processes of their own."""

    def __init__(self, world: World, home: Path):
        self._process = world.popen(
            sys.executable,
            "-m",
            "tests.kaggle.submit.session",
            cwd=home,
            env={"TELLTALE_HOME": str(home)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def __call__(self, *words: str) -> subprocess.CompletedProcess:
        """Run one command line."""
        self._process.stdin.write(json.dumps(words) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the session ended"
        return subprocess.CompletedProcess(words, *json.loads(answer))


def failed(result, status, *said):
    """Assert that a line ended with this status and one sentence that says all of it."""
    assert result.returncode == status, (result.stdout, result.stderr)
    last = result.stderr.splitlines()[-1]
    assert last.startswith("Error: ") and "Traceback" not in result.stderr, result.stderr
    for text in said:
        assert text in last, last


def serve() -> None:
    """Answer each line of words with the status, what was printed and the errors."""
    for line in sys.stdin:
        out, err = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            status = main(json.loads(line))
        print(json.dumps([status, out.getvalue(), err.getvalue()]), flush=True)


if __name__ == "__main__":
    serve()
