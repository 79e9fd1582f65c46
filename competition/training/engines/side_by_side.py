"""Jobs side by side, each in a process of its own.

The processes share nothing but the files on disk and end when this one does, however it ends.
"""

import contextlib
import dataclasses
import multiprocessing
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.context import SpawnProcess
from multiprocessing.queues import Queue
from typing import Any

import torch

from competition.core.errors import UserError
from competition.core.settings import Config
from competition.core.signals import Interrupted, answer_signals, without_interrupts
from competition.data.run_data import read_tables
from competition.training.job import run_job
from competition.training.open_data import open_data
from competition.training.plan import Plan
from competition.training.process import feed_workers, prepare_process

PATIENCE = 5.0  # seconds in which an interrupted process tidies up, before it is killed


def run_side_by_side(
    config: Config,
    plans: Sequence[Plan],
    device: str,
    processes: int,
    on_progress: Callable[[int, str], None],
    on_done: Callable[[Plan, dict[str, Any]], None],
) -> None:
    """Finish every plan's job in that many ``processes``. Raises UserError for the first job that cannot be.

    ``on_progress(images, note)`` is called as images are seen, ``on_done`` for each job with its ``done.json``.
    """
    context = multiprocessing.get_context("spawn")
    config = dataclasses.replace(config, overwrite=False)  # what had to be discarded is discarded by now
    todo, messages = context.Queue(), context.Queue()
    for index in [*range(len(plans)), *[None] * processes]:
        todo.put(index)
    workers = [
        context.Process(target=_work, args=(config, list(plans), device, (number, processes), todo, messages))
        for number in range(processes)
    ]
    try:
        with without_interrupts():
            for worker in workers:
                worker.start()
        left = len(plans)
        while left:
            kind, value = _next_message(messages, workers)
            if kind == "progress":
                on_progress(*value)
            elif kind == "done":
                on_done(plans[value[0]], value[1])
                left -= 1
            else:
                raise UserError(value) if kind == "error" else RuntimeError(f"A job failed:\n{value}")
        for worker in workers:
            worker.join(PATIENCE)  # it finds nothing left to do
    finally:
        _end(workers)


def _end(workers: Sequence[SpawnProcess]) -> None:
    """Let processes tidy up and end; those that do not, in the middle of what cannot be interrupted, are killed."""
    begun = [worker for worker in workers if worker.is_alive()]
    for worker in begun:
        worker.terminate()
    deadline = time.monotonic() + PATIENCE
    for worker in begun:
        worker.join(max(0.0, deadline - time.monotonic()))
        if worker.is_alive():
            worker.kill()
            worker.join()


def _next_message(messages: Queue, workers: Sequence[SpawnProcess]) -> tuple[str, Any]:
    """Wait for a worker's next message; UserError where one was killed from outside."""
    while True:
        with contextlib.suppress(queue.Empty):
            return messages.get(timeout=1)
        for worker in workers:
            if worker.exitcode not in (None, 0):
                raise UserError(
                    f"A training process was killed (exit {worker.exitcode}), most likely for want of memory: use "
                    "jobs=1 or a smaller batch_size; the same line goes on from here."
                )


def _work(
    config: Config,
    plans: list[Plan],
    device: str,
    place: tuple[int, int],
    todo: "Queue[int | None]",
    messages: "Queue[tuple[str, Any]]",
) -> None:
    """The life of one worker process; ``place``: its number, and how many there are."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # where it could not be started without
    answer_signals()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        if device == "cuda":
            torch.cuda.set_device(place[0] % torch.cuda.device_count())
        prepare_process(config, device, place[1])
        data = open_data(config, read_tables(config))
        workers = feed_workers(config, device)

        def progress(images: int, note: str) -> None:
            messages.put(("progress", (images, note)))

        while (index := todo.get()) is not None:
            messages.put(("done", (index, run_job(config, data, plans[index], workers, progress))))
    except UserError as error:
        messages.put(("error", str(error)))
    except Interrupted as error:
        messages.cancel_join_thread()  # nobody reads them any more
        sys.exit(error.status)
    except Exception:
        messages.put(("crash", traceback.format_exc()))
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # from here on there is nothing to tidy up


def _end_with_parent() -> None:
    """Leave at once when the parent is gone, so that a restarted run never meets a worker of the killed one."""
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os._exit(1)
