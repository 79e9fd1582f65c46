"""The command line: `./run.sh [command] [key=value …]`; no command means the main job.

Each command is a file of its name in commands/ with a function ``main``, which is imported when it is used.
"""

import importlib
import io
import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from competition.core.deadline import line_begins
from competition.core.errors import UserError, did_you_mean
from competition.core.help import WORDS, command_help, overview
from competition.core.packages import QUIET
from competition.core.signals import answer_signals, interrupted
from competition.core.system_errors import system_refusal
from competition.core.text import printable

# What a command takes: the settings of the main job, which are read before it is imported (torch takes seconds, and a
# mistake is told before); the same of a run that exists; or words that it reads by itself.
SETTINGS, RUN, OWN = "settings", "run", "own"
COMMANDS = {  # in the order of `./run.sh help`
    "run": SETTINGS,
    "download": OWN,
    "status": SETTINGS,
    "ensemble": RUN,
    "report": RUN,
    "track": OWN,
    "tune": OWN,
    "predict": OWN,
    "app": OWN,
    "export": OWN,
    "bundle": OWN,
    "collect": OWN,
    "config": SETTINGS,
    "audit": SETTINGS,
    "submit": OWN,
    "ledger": OWN,
    "bench": OWN,
    "session": OWN,
}


def main(words: Sequence[str]) -> int:
    """Run one command and return its exit status.

    0: done. 2: a user's mistake, in one sentence. 3: not finished yet. 130, 143: ended by Ctrl-C, by SIGTERM.
    """
    os.environ.update(QUIET)
    line_begins()
    try:
        return _run(words)
    except KeyboardInterrupt:
        return _interrupted()
    except Exception as error:
        if interrupted():  # processes that the same signal ended are missed while this one tidies up
            return _interrupted()
        if isinstance(error, UserError):
            return _refuse(str(error), error.status)
        if (sentence := system_refusal(error)) is None:
            raise
        return _refuse(sentence, UserError.status)


def _interrupted() -> int:
    print("\nInterrupted: what is finished is kept; the same line, run again, does the rest.", file=sys.stderr)
    return interrupted() or 128 + signal.SIGINT


def _refuse(sentence: str, status: int) -> int:
    """Print why the line ends, on one line whatever the names in it hold, and return its exit status."""
    print(f"Error: {printable(sentence)}" + ("" if sentence[-1] in ".?)" else "."), file=sys.stderr)
    return status


def _run(words: Sequence[str]) -> int:
    rest = [word for word in words if word not in WORDS]
    command, own = (rest[0], rest[1:]) if rest and "=" not in rest[0] else ("", rest)
    if command and command not in COMMANDS:
        raise UserError(f"There is no command '{command}'{did_you_mean(command, COMMANDS)}")
    if len(rest) < len(words):
        print(command_help(command) if command else overview(COMMANDS))
        return 0
    command = command or "run"
    arguments: list[Any] = [own]
    if COMMANDS[command] != OWN:
        from competition.commands.config import resolve

        arguments.insert(0, resolve(own, must_exist=COMMANDS[command] == RUN))
    return importlib.import_module(f"competition.commands.{command}").main(*arguments) or 0


def script() -> int:
    """Run the command line of this process; a reader that has had enough (`| head`) ends it without a word."""
    answer_signals()
    sys.warnoptions.append("ignore:resource_tracker:UserWarning")  # Python removes what killed processes leave: quietly
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # the shell closed it (`>&-`)
            setattr(sys, name, open(os.devnull, mode))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # names may hold what the terminal's encoding does not
    try:
        status = main(sys.argv[1:])
        sys.stdout.flush()
        return status
    except BrokenPipeError:
        try:
            os.write(sys.stdout.fileno(), b"\n")
        except BrokenPipeError:  # so it is standard output that nobody reads any more
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 128 + 13  # as of a process that SIGPIPE ended
        raise


if __name__ == "__main__":
    sys.exit(script())
