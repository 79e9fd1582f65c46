"""What runs on a node of the cluster: a look at what it has, and one job from its first file to its last."""

import dataclasses
import getpass
import os
import platform
import queue
import tempfile
import threading
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import ray
import torch

from competition.core.config_forms import with_weights
from competition.core.errors import UserError
from competition.core.files import cores, draft_folder
from competition.core.settings import Config, Recipe
from competition.core.system_errors import system_refusal
from competition.data.run_data import RunData
from competition.models.device import Placement, choose_device, choose_placement
from competition.training.engines.cluster.messages import (
    Began,
    Kept,
    Message,
    Outgoing,
    Progress,
    TaskFailed,
    pieces,
    write_piece,
)
from competition.training.engines.cluster.travel import Parcel, StoreAway, missing, opened, room
from competition.training.job import prepare_features, run_job
from competition.training.plan import Plan, probe_of
from competition.training.process import feed_workers, prepare_process

PACKAGES = "torch", "timm", "albumentations", "opencv-python-headless", "numpy", "ray"  # what decides a run's bytes
LARGE_POINT = 50_000_000  # bytes of a resume point from which on it travels once a minute at most
LARGE_SECONDS = 60.0
REPORT_SECONDS = 1.0  # between two reports of progress


@dataclass(frozen=True)
class Work:
    """A job for a node. ``plan``: its folder is that of here. ``files``: what it goes on from, by their paths below the
    member's folder. ``weights``: pretrained files and folders by their paths here, each with where it lies below a
    node's cache. ``cpus``: its share of a node's cores. ``cache``: the folder of the cache here. ``features``: names of
    files of features; where there are any, the work is to compute them."""

    config: Config
    plan: Plan
    files: dict[str, bytes]
    weights: dict[str, str]
    cpus: int
    cache: str
    features: tuple[str, ...] = ()


def cache_of(here: str) -> Path:
    """Return the cache of this node: at the same path as ``here``, where disks are shared, or else one of its own, in
    TELLTALE_HOME, or in a folder of the user's for temporary files."""
    if os.path.isdir(here) and os.access(here, os.W_OK):
        return Path(here)
    own = os.environ.get("TELLTALE_HOME") or str(Path(tempfile.gettempdir(), f"telltale-{getpass.getuser()}"))
    return Path(own) / "folds" / ".cache"


def versions() -> dict[str, str]:
    """Return the versions of all that a job's bytes depend on."""
    return {"Python": platform.python_version(), **{name: version(name) for name in PACKAGES}}


def look(
    config: Config, stores: Sequence[StoreAway], others: Sequence[Parcel], here: str
) -> tuple[list[Parcel], float, str, str]:
    """Return what has yet to come to this node, the bytes of room beyond that, its cache, and an image it lacks."""
    cache = cache_of(here)
    try:
        parcels = missing(config, stores, others, cache)
    except FileNotFoundError as error:
        return [], 0.0, str(cache), str(error)
    return parcels, room(parcels, cache), str(cache), ""


def place(data: RunData, recipe: Recipe) -> Placement:
    """Return a member's placement on a node like this one; ``data`` without pixels."""
    return choose_placement(recipe, _device(), *probe_of(data, recipe))


def train(work: Work, data: RunData) -> Iterator[Message]:
    """Do the work, and yield its progress and its files as they come about; ``data`` is packed."""
    yield Began(_device_name())
    cache, reports, failed = cache_of(work.cache), queue.SimpleQueue[Progress | None](), list[TaskFailed]()
    with draft_folder(cache / "job") as member:
        for place, content in work.files.items():
            write_piece(member / place, 0, content)
        # In a thread, for a job calls back, and this has to yield.
        threading.Thread(target=_run, args=(work, data, member, reports, failed), daemon=True).start()
        yield from _followed(reports, Outgoing(member / work.plan.folder.name), work.config.checkpoint_seconds)
        for name in () if failed else work.features:
            yield from pieces(cache / name, name, cached=True)
        yield from failed


def _run(
    work: Work, data: RunData, member: Path, reports: "queue.SimpleQueue[Progress | None]", failed: list[TaskFailed]
) -> None:
    """Do the work in the member's folder of this node; ends with None as its last report."""
    try:
        cache, device = cache_of(work.cache), _device()
        config = with_weights(
            work.config, lambda path: str(cache / work.weights[path]) if path in work.weights else path
        )
        config = dataclasses.replace(config, cache=str(cache))
        beside = max(1, cores() // work.cpus)
        prepare_process(config, device, beside)
        placement = dataclasses.replace(work.plan.placement, device=device)
        plan = dataclasses.replace(work.plan, folder=member / work.plan.folder.name, placement=placement)
        plan.folder.mkdir(exist_ok=True)
        there, workers = opened(data, config, cache), feed_workers(config, device, beside)
        if work.features:
            prepare_features(config, there, [plan], workers)
        else:
            run_job(config, there, plan, workers, lambda images, note: reports.put(Progress(images, note)))
    except UserError as error:
        failed.append(TaskFailed(error))
    except BaseException as error:
        sentence = system_refusal(error)
        failed.append(TaskFailed(UserError(sentence) if sentence else None, traceback.format_exc()))
    finally:
        reports.put(None)


def _followed(
    reports: "queue.SimpleQueue[Progress | None]", outgoing: Outgoing, point_seconds: float
) -> Iterator[Message]:
    """Yield a job's progress, its files after each resume point, and all of them at its end."""
    images, note, reported, sent, point = 0, "", time.monotonic(), time.monotonic(), outgoing.point()
    while report := reports.get():
        images, note, now = images + report.images, report.note, time.monotonic()
        if now - reported < REPORT_SECONDS:
            continue
        yield Progress(images, note)
        images, reported, found = 0, now, outgoing.point()
        gap = max(point_seconds, LARGE_SECONDS if found[1] > LARGE_POINT else 0.0)
        if found != point and now - sent >= gap:
            yield from outgoing.changed()
            yield Kept()
            sent, point = now, found
    yield Progress(images, note)
    yield from outgoing.changed()
    yield Kept()


def _device_name() -> str:
    if _device() == "cpu":
        return "CPU"
    return f"GPU {', '.join(map(str, ray.get_gpu_ids()))} ({torch.cuda.get_device_name()})"


def _device() -> str:
    """Return what this job computes on: the GPU that Ray has given it, or the CPU."""
    return choose_device("auto" if ray.get_gpu_ids() else "cpu")
