"""Jobs side by side, each in a process of its own.

The processes share nothing but the files on disk and end when this one does, however it ends.
"""

import contextlib
import dataclasses
import multiprocessing
import os
import pickle
import queue
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.context import SpawnProcess
from multiprocessing.queues import Queue
from typing import Any

import torch
from tqdm import tqdm

from competition.core.errors import UserError
from competition.core.files import temporary_folder
from competition.core.settings import Config
from competition.core.signals import Interrupted, answer_signals, without_interrupts
from competition.core.system_errors import system_refusal
from competition.data.loader import MAX_TEMPORARY
from competition.data.run_data import read_tables
from competition.training.engines.child import begin
from competition.training.job import run_job
from competition.training.open_data import open_data
from competition.training.plan import Plan
from competition.training.process import feed_workers, prepare_process

MIN_FREE = 0.75  # of a GPU's memory: a screen takes less than the rest, and somebody else's training more
PATIENCE = 5.0  # seconds in which an interrupted process tidies up, before it is killed


def run_side_by_side(
    config: Config,
    plans: Sequence[Plan],
    device: str,
    processes: int,
    on_progress: Callable[[int, str], None],
    on_done: Callable[[Plan, dict[str, Any]], None],
) -> None:
    """Finish every plan's job, begun in this order, in that many ``processes``.

    ``on_progress(images, note)`` is called as images are seen, ``on_done`` for each job with its ``done.json``. With
    ``jobs=auto`` a GPU that other processes fill is left out. Raises UserError for the first job that cannot be
    finished.
    """
    context = multiprocessing.get_context("spawn")
    config = dataclasses.replace(config, overwrite=False)  # what had to be discarded is discarded by now
    todo, messages = context.Queue(), context.Queue()
    for share in [*shares(len(plans), processes), *[None] * processes]:
        todo.put(share)
    workers = [
        context.Process(
            target=begin, args=(pickle.dumps((_work, (config, list(plans), device, number))), todo, messages)
        )
        for number in range(processes)
    ]
    with _temporary_folder():
        try:
            with without_interrupts():
                for worker in workers:
                    worker.start()
            _hear_of_all(plans, workers, messages, on_progress, on_done)
            for worker in workers:
                worker.join(PATIENCE)  # it finds nothing left to do
        finally:
            _end(workers)


@contextlib.contextmanager
def _temporary_folder() -> Iterator[None]:
    """Have processes that are started in this block put their temporary files into a folder that goes with it: those
    that are killed leave some."""
    with temporary_folder() as folder:
        if len(os.fsencode(folder)) > MAX_TEMPORARY:
            yield
            return
        before = os.environ.get("TMPDIR")
        os.environ["TMPDIR"] = str(folder)
        try:
            yield
        finally:
            del os.environ["TMPDIR"]
            if before is not None:
                os.environ["TMPDIR"] = before


def _hear_of_all(
    plans: Sequence[Plan],
    workers: Sequence[SpawnProcess],
    messages: Queue,
    on_progress: Callable[[int, str], None],
    on_done: Callable[[Plan, dict[str, Any]], None],
) -> None:
    """Pass on what the workers report until every job is done."""
    left, full = len(plans), list[str]()
    while left:
        kind, value = _next_message(messages, workers)
        if kind == "progress":
            on_progress(*value)
        elif kind == "full":
            full.append(value)
            _leave_out(full, len(workers))
        elif kind == "done":
            on_done(plans[value[0]], value[1])
            left -= 1
        else:
            raise value if kind == "error" else RuntimeError(f"A job failed:\n{value}")


def _leave_out(full: Sequence[str], processes: int) -> None:
    """Say of the last of these GPUs that it is left out; UserError where none is left."""
    if len(full) == processes:
        raise UserError(
            f"Other processes fill all {processes} GPUs, the last one with {full[-1]}: wait for them, or name how many "
            f"jobs are to share the GPUs all the same, as jobs={processes}."
        )
    tqdm.write(f"  A GPU is left out, for other processes fill it: {full[-1]}", file=sys.stdout)


def shares(jobs: int, processes: int) -> list[tuple[int, int]]:
    """Return each job's position with how many run side by side with it, itself included.

    In the last round that are those left over, who share all the cores.
    """
    over = jobs % processes
    return [(index, over if index >= jobs - over else processes) for index in range(jobs)]


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
    number: int,
    todo: "Queue[tuple[int, int] | None]",
    messages: "Queue[tuple[str, Any]]",
) -> None:
    """The life of the worker process of this ``number``; ``todo`` holds what :func:`shares` returns.

    A signal ends it without a word, whatever it is doing.
    """
    try:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # where it could not be started without
        answer_signals()
        with _reported(messages):
            if device == "cuda":
                torch.cuda.set_device(number % torch.cuda.device_count())
                if config.jobs == "auto" and (full := _fullness()):
                    messages.put(("full", full))
                    return
            prepare_process(config, device)
            data = open_data(config, read_tables(config))

            def progress(images: int, note: str) -> None:
                messages.put(("progress", (images, note)))

            while (share := todo.get()) is not None:
                index, beside = share
                prepare_process(config, device, beside)
                workers = feed_workers(config, device, beside)
                messages.put(("done", (index, run_job(config, data, plans[index], workers, progress))))
    except Interrupted as error:
        messages.cancel_join_thread()  # nobody reads them any more
        sys.exit(error.status)


@contextlib.contextmanager
def _reported(messages: "Queue[tuple[str, Any]]") -> Iterator[None]:
    """Report what stops the block; after it there is nothing to tidy up, and SIGTERM ends the process at once."""
    try:
        yield
    except UserError as error:
        messages.put(("error", error))
    except Exception as error:
        sentence = system_refusal(error)
        messages.put(("error", UserError(sentence)) if sentence else ("crash", traceback.format_exc()))
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _fullness() -> str:
    """Return in words how other processes fill this process's GPU; nothing where it has room."""
    free, total = torch.cuda.mem_get_info()
    if free > MIN_FREE * total:
        return ""
    number = torch.cuda.current_device()
    return f"{(total - free) / 1e9:.1f} of {total / 1e9:.1f} GB of GPU {number} ({torch.cuda.get_device_name()})"
