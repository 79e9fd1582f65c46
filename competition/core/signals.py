"""Ctrl-C and SIGTERM end a line alike: once, quietly, and soon.

Slurm, Kaggle and clouds send SIGTERM before they take a machine away, and a terminal sends SIGINT to a whole group of
processes. The first of them raises :class:`Interrupted` in the main thread; those that come while the line cleans up
are ignored. A cleaning that takes longer than ``GRACE`` ends with the process.
"""

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Iterator
from functools import partial
from types import FrameType

AGAIN = 0.01  # seconds after which an interrupt that went unheard is raised again
GRACE = 9.0  # seconds: Slurm and Docker kill ten seconds or more after SIGTERM


class Interrupted(KeyboardInterrupt):
    """A signal asked this process to end; ``status`` is what it then exits with: 130 by Ctrl-C, 143 by SIGTERM."""

    def __init__(self, number: int = signal.SIGINT):
        super().__init__(number)
        self.status = 128 + number


class _Answer:
    """What this process does about the signals: forked processes have it, too, and leave the answer to their parent."""

    def __init__(self) -> None:
        self.process = os.getpid()
        self.status = 0  # what the process exits with, once it was interrupted
        self.unheard = False  # whether it is to be interrupted again, for the first time was in vain
        self.held: list[int] | None = None  # the signals that came while they are held back

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        if os.getpid() != self.process:  # a forked process: its parent ends it, or is ended itself
            if number == signal.SIGTERM:
                os._exit(128 + number)
        elif self.held is not None:
            self.held.append(number)
        else:
            self.interrupt(number)

    def interrupt(self, number: int) -> None:
        if self.status:
            return
        self.status = 128 + number
        timer = threading.Timer(GRACE, os._exit, [self.status])
        timer.daemon = True
        timer.start()
        raise Interrupted(number)

    def interrupt_again(self, number: int) -> None:
        """Interrupt a little later, for the first time was in vain."""
        self.status, self.unheard = 0, True
        send = signal.raise_signal if os.name == "nt" else partial(os.kill, self.process)  # which ends a sleep, too
        timer = threading.Timer(AGAIN, send, [number])
        timer.daemon = True
        timer.start()


_answer: _Answer | None = None


def answer_signals() -> None:
    """Let both signals end this process's line from here on; to be called in the main thread, once."""
    global _answer
    _answer = _Answer()
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as of a line that nohup or a shell put in the background
            signal.signal(number, _answer)
    sys.unraisablehook = _not_raised


def _not_raised(unraisable: "sys.UnraisableHookArgs") -> None:
    """Hear of errors in what Python runs between two lines, such as destructors and hooks of fork: it prints them and
    goes on, but must not go on after an interrupt. What an interrupt left half made complains as it goes, to nobody;
    and so does torch of a worker process that was killed, which it says again where batches are missed."""
    killed = str(unraisable.exc_value).startswith("DataLoader worker (pid")
    if _answer and isinstance(unraisable.exc_value, Interrupted):
        _answer.interrupt_again(unraisable.exc_value.status - 128)
    elif not (killed or interrupted() or (_answer and _answer.unheard)):
        sys.__unraisablehook__(unraisable)


def interrupted() -> int:
    """Return the exit status of the signal that this process was interrupted by, or 0."""
    return _answer.status if _answer else 0


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Let both signals wait until the block is left, for what must not be cut in two; raises then, at the end."""
    answer = _answer
    if answer is None or threading.current_thread() is not threading.main_thread() or answer.held is not None:
        yield
        return
    held: list[int] = []
    answer.held = held
    try:
        yield
    finally:
        answer.held = None
    if held:
        answer.interrupt(held[0])


@contextlib.contextmanager
def without_interrupts() -> Iterator[None]:
    """Start processes in this block: they never see Ctrl-C, which is this process's to answer."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
