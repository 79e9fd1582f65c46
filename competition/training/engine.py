"""Runs jobs: in this process, or several side by side in processes of their own, with one bar and one estimate.

The processes share nothing but the files on disk and end when this one does, however it ends. How many there are never
changes a number as long as `threads` is pinned.
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
from typing import Any

import cv2
import torch
from tqdm import tqdm

from competition.core.config import Config
from competition.core.errors import UserError
from competition.core.files import cores
from competition.data.run_data import RunData, read_tables
from competition.inference.diagnostics import diagnostics_images
from competition.training.job import prepare_features, run_job
from competition.training.open_data import open_data
from competition.training.plan import Plan


def prepare_process(config: Config, device: str, jobs: int) -> None:
    """Set this process's threads and, on request, CUDA's deterministic kernels."""
    torch.set_num_threads(config.threads or max(1, cores() // jobs))
    cv2.setNumThreads(0)
    if device == "cuda":
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = not config.deterministic
        if config.deterministic:
            os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
            torch.use_deterministic_algorithms(True)


def feed_workers(config: Config, device: str) -> int:
    """Return how many processes feed a job: as set, or none on a CPU and half the cores (at most 8) on a GPU."""
    if config.workers >= 0:
        return config.workers
    return min(8, max(1, cores() // 2)) if device == "cuda" else 0


def at_once(config: Config, device: str) -> int:
    """Return how many jobs keep a machine busy that trains nothing else: one for each GPU, else as set."""
    return torch.cuda.device_count() if device == "cuda" else config.jobs


def run_jobs(
    config: Config, data: RunData, plans: Sequence[Plan], device: str, hear: Callable[[Plan], None] | None = None
) -> None:
    """Finish every plan's job; ``hear`` is told of each that is. Raises UserError for the first that cannot be; the
    others keep what they have."""
    prepare_features(config, data, plans, feed_workers(config, device))
    beside = min(config.jobs, len(plans))
    images = sum(_images(config, data, plan) for plan in plans)
    with tqdm(total=images, unit="img", disable=None, smoothing=0.02, dynamic_ncols=True) as bar:
        shown = _Shown(bar, len(plans), hear)
        if beside <= 1:
            prepare_process(config, device, 1)  # all the cores, now that nothing runs beside
            for plan in plans:
                shown.finished(plan, run_job(config, data, plan, feed_workers(config, device), shown.progress))
        else:
            _run_beside(config, plans, device, beside, shown)


def _images(config: Config, data: RunData, plan: Plan) -> int:
    """Return how many images a job will have seen at its end: in training, its predictions and its evidence."""
    recipe = config.members[plan.job.member]
    held, tested = int(data.predicted(plan.job.fold).sum()), len(data.test) - len(data.unreadable_test)
    featured, swept = diagnostics_images(config.evidence_rows, held, tested, data.floating)
    if recipe.frozen:  # its features were computed before: only new pixels take time
        return swept
    rows = len(data.learnt(plan.job.fold))
    predicted = held + tested + featured + swept
    if plan.is_trained():
        return predicted
    batch = min(rows, recipe.batch_size * recipe.accumulate)
    return recipe.epochs * (rows // batch) * batch + predicted


class _Shown:
    """What the user sees of jobs under way."""

    def __init__(self, bar: tqdm, jobs: int, hear: Callable[[Plan], None] | None):
        self.bar, self.jobs, self.hear, self.count = bar, jobs, hear, 0

    def progress(self, images: int, note: str) -> None:
        self.bar.set_description(f"[{self.count}/{self.jobs} jobs] {note}", refresh=False)
        self.bar.update(images)

    def finished(self, plan: Plan, done: dict[str, Any]) -> None:
        self.count += 1
        tqdm.write(job_line(plan, done), file=sys.stdout)
        sys.stdout.flush()
        if self.hear is not None:
            self.hear(plan)


def job_line(plan: Plan, done: dict[str, Any]) -> str:
    """Return what is said of a finished job; ``done`` is its ``done.json``."""
    figures = done["oof"]
    score = f"F1 {figures['f1']:.4f} at .5, AUC {figures.get('auc', float('nan')):.4f}, " if figures else ""
    return f"  {plan.job}: {score}{done['epochs']} epochs, {done['seconds']:.0f} s"


def _run_beside(config: Config, plans: Sequence[Plan], device: str, beside: int, shown: _Shown) -> None:
    context = multiprocessing.get_context("spawn")
    config = dataclasses.replace(config, overwrite=False)  # what had to be discarded is discarded by now
    todo, told = context.Queue(), context.Queue()
    for index in [*range(len(plans)), *[None] * beside]:
        todo.put(index)
    shared = (todo, told, os.getpid())
    processes = [
        context.Process(target=_work, args=(config, list(plans), device, (number, beside), *shared))
        for number in range(beside)
    ]
    try:
        for process in processes:
            process.start()
        left = len(plans)
        while left:
            kind, value = _hear(told, processes)
            if kind == "progress":
                shown.progress(*value)
            elif kind == "error":
                raise UserError(value)
            elif kind == "crash":
                raise RuntimeError(f"A job failed:\n{value}")
            else:
                shown.finished(plans[value[0]], value[1])
                left -= 1
    finally:
        for process in processes:
            if process.is_alive():
                process.terminate()
        for process in processes:
            process.join()


def _hear(told, processes) -> tuple[str, Any]:
    """Wait for the next word of a worker; a worker killed from outside is a sentence too."""
    while True:
        with contextlib.suppress(queue.Empty):
            return told.get(timeout=1)
        for process in processes:
            if process.exitcode not in (None, 0):
                raise UserError(
                    f"A training process was killed (exit {process.exitcode}), most likely for want of memory: use "
                    "jobs=1 or a smaller batch_size; the same line goes on from here."
                )


def _work(config: Config, plans: list[Plan], device: str, place: tuple[int, int], todo, told, parent: int) -> None:
    """The life of one worker process; ``place``: its number, and how many there are."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    try:
        if device == "cuda":
            torch.cuda.set_device(place[0] % torch.cuda.device_count())
        prepare_process(config, device, place[1])
        data = open_data(config, read_tables(config))
        workers = feed_workers(config, device)
        while (index := todo.get()) is not None:
            done = run_job(
                config, data, plans[index], workers, lambda images, note: told.put(("progress", (images, note)))
            )
            told.put(("done", (index, done)))
    except UserError as error:
        told.put(("error", str(error)))
    except Exception:
        told.put(("crash", traceback.format_exc()))


def _end_with(parent: int) -> None:
    """Leave at once when the parent is gone, so that a restarted run never meets a worker of the killed one."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)
