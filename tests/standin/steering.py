"""What a test may have the stand-in do: the words that tests/kaggle_world.py sends, one function each."""

import contextlib
import dataclasses
import os
import shutil
import signal
import threading
from collections.abc import Callable
from pathlib import Path

from tests.standin import datasets, kernels  # noqa: F401 - they declare their answers
from tests.standin.competitions import Competition
from tests.standin.sessions import remove_images
from tests.standin.site import Site

WORDS: dict[str, Callable] = {}


def serve(server) -> None:
    """Answer requests in the background from here on."""
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()


def end(server) -> None:
    """Leave nothing behind: tests that were killed could not clean up."""
    do(server, "stop", {})
    here = os.readlink("/proc/self/ns/net")
    for process in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):  # gone by now, or another user's
            if int(process) != os.getpid() and os.readlink(f"/proc/{process}/ns/net") == here:
                os.kill(int(process), signal.SIGKILL)
    remove_images()
    if server.site.folder.exists():
        shutil.rmtree(server.site.folder.parent, ignore_errors=True)


def do(server, what: str, values: dict) -> object:
    """Do one thing and return its answer, which JSON can hold."""
    if what == "ready":
        return True
    if what == "start":
        users = {name: tuple(words) for name, words in values["users"].items()}
        server.site = Site(Path(values["folder"]), users)
        return True
    with server.site.lock:
        return WORDS[what](server.site, **values)


def word(function: Callable) -> Callable:
    """Declare a function of the site a word that a test may say."""
    WORDS[function.__name__] = function
    return function


@word
def stop(site: Site) -> list[str]:
    for kernel in site.kernels.values():
        for _, session in kernel.versions:
            session.stop()
    return site.wrong


@word
def set(site: Site, **options) -> None:
    _change(site, options)


def _change(what: object, options: dict) -> None:
    known = [one.name for one in dataclasses.fields(what)]
    for name, value in options.items():
        if name not in known:
            raise KeyError(name)
        setattr(what, name, value)


@word
def add_competition(site: Site, slug: str, data: str, archive: str, **options) -> None:
    site.competitions[slug] = Competition(slug, Path(data), Path(archive), **options)


@word
def set_competition(site: Site, slug: str, **options) -> None:
    _change(site.competitions[slug], options)


@word
def fault(site: Site, match: str, do: str, times: int, **more) -> None:
    if do not in ("status", "reset", "reset_after", "truncate", "stall"):
        raise ValueError(f"no fault is called '{do}'")
    usual = {"skip": 0, "bytes": 0, "code": 503, "message": "Service Unavailable", "seconds": 1.0}
    if unknown := more.keys() - usual.keys():
        raise TypeError(f"a fault has no {sorted(unknown)}")
    site.faults.append({"match": match, "do": do, "times": times, **usual, **more})


@word
def clear_faults(site: Site) -> None:
    site.faults.clear()


@word
def requests(site: Site, match: str) -> list[dict]:
    return [one for one in site.asked if match in f"{one['method']} {one['path']}"]


@word
def submissions(site: Site, slug: str) -> list[dict]:
    return [
        {
            "ref": one.ref,
            "file_name": one.file_name,
            "description": one.description,
            "user": one.user,
            "status": "ERROR" if one.error else "COMPLETE",
            "public": one.public,
            "private": one.private,
            "error": one.error,
            "path": str(one.path) if one.path else "",
            "kernel": one.kernel,
        }
        for one in site.submissions
        if one.competition.slug == slug
    ]


@word
def kernel(site: Site, ref: str) -> dict | None:
    if (found := site.kernels.get(ref)) is None:
        return None
    request, session = found.version()
    return {
        "ref": ref,
        "version": len(found.versions),
        "status": session.status.name,
        "failure": session.failure,
        "request": request.to_dict(),
        "output": str(session.output),
        "log": session.text(),
        "pid": session.process.pid if session.running else 0,
    }


@word
def stop_kernel(site: Site, ref: str) -> None:
    site.kernels[ref].version()[1].stop()


@word
def dataset(site: Site, ref: str, version: int | None) -> str | None:
    found = site.datasets.get(ref)
    if found is None or (version or 1) > len(found.versions):
        return None
    return str(found.versions[(version or 0) - 1].folder)
