"""What a test can look at of the Kaggle stand-in: submissions, kernels, requests."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Submission:
    """One submission as the server holds it: ``status`` is what it ends as, COMPLETE or ERROR, also while it is still
    shown as pending; ``path`` holds the bytes that arrived; ``kernel`` is 'owner/slug/version' for a notebook's."""

    ref: int
    file_name: str
    description: str
    status: str
    public: str
    private: str
    error: str
    user: str
    path: Path | None
    kernel: str


@dataclass(frozen=True)
class Kernel:
    """The latest version of a pushed kernel. ``request`` is ApiSaveKernelRequest as JSON (machineShape, isPrivate,
    enableInternet, datasetDataSources, competitionDataSources, ...), ``output`` the folder that it sees as
    /kaggle/working, kept also where the API does not return it, ``log`` what it printed so far, ``pid`` the running
    process, 0 when there is none; ``status`` is QUEUED, RUNNING, COMPLETE, ERROR or CANCEL_ACKNOWLEDGED."""

    ref: str
    version: int
    status: str
    failure: str
    request: dict
    output: Path
    log: str
    pid: int


@dataclass(frozen=True)
class Request:
    """One request that arrived: ``name`` is the API's method (SaveKernel) or '', ``request`` its JSON, ``range`` the
    Range or Content-Range header, ``status`` the reply's, 0 where the connection was reset instead."""

    method: str
    path: str
    name: str
    user: str
    range: str
    status: int
    request: dict | None
    fault: str
