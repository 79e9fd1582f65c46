"""The stand-in's kernels: pushed, really executed (tests/standin/sessions.py), asked after, their output returned."""

import re
import threading
import time
import traceback
from dataclasses import dataclass, field
from pathlib import Path

from kagglesdk.competitions.types.competition_api_service import ApiCreateCodeSubmissionResponse
from kagglesdk.kernels.types import kernels_api_service as api
from kagglesdk.kernels.types.kernels_enums import KernelWorkerStatus as Status

from tests.standin.competitions import competition_of, enter
from tests.standin.sessions import ENDED, Session
from tests.standin.site import Fail, Redirect, Site, answers, now, page

SERVICE = "kernels.KernelsApiService"
TEXT_LIMIT = 1_000_000  # bytes of a kernel's code
URL = "https://www.kaggle.com/code"


@dataclass
class Kernel:
    """One kernel; ``versions`` pairs the request that made each with its run."""

    number: int
    ref: str
    title: str
    versions: list[tuple[api.ApiSaveKernelRequest, Session]] = field(default_factory=list)

    def version(self, number: int | None = None) -> tuple[api.ApiSaveKernelRequest, Session]:
        """Return a version, by default the latest."""
        if number is not None and not 1 <= number <= len(self.versions):
            raise Fail(404, f"Not found: version {number} of kernel '{self.ref}'")
        return self.versions[(number or 0) - 1]


def kernel_of(site: Site, owner: str, slug: str) -> Kernel:
    """Return a kernel; of one that there is not Kaggle says that it may not be seen."""
    found = site.kernels.get(f"{owner}/{slug}")
    if found is None:
        raise Fail(403, "Permission 'kernels.get' was denied")
    return found


def _wrong_with(user: str, request: api.ApiSaveKernelRequest) -> str:
    """Return why a pushed kernel cannot be taken, '' where it can."""
    owner, _, slug = (request.slug or "").partition("/")
    if owner != user or not slug:
        raise Fail(403, "Permission 'kernels.update' was denied")
    if len((request.text or "").encode()) > TEXT_LIMIT:
        return "Source is too large: the maximum is 1 megabyte."
    if not 5 <= len(request.new_title or slug) <= 50:
        return "The title must be between 5 and 50 characters."
    if request.language != "python" or request.kernel_type not in ("script", "notebook"):
        return f"The stand-in runs no {request.language} {request.kernel_type}."
    return ""


@answers(f"{SERVICE}/SaveKernel")
def save_kernel(site: Site, user: str, request) -> api.ApiSaveKernelResponse:
    reply = api.ApiSaveKernelResponse()
    if error := _wrong_with(user, request):
        reply.error = error
        return reply
    kernel = site.kernels.get(request.slug)
    if kernel is None:  # a new kernel is called by its title, whatever slug it was pushed under
        slug = re.sub(r"[^a-z0-9]+", "-", (request.new_title or request.slug.partition("/")[2]).lower()).strip("-")
        new = Kernel(len(site.kernels) + 1, f"{user}/{slug}", request.new_title or slug)
        kernel = site.kernels.setdefault(new.ref, new)
    number = len(kernel.versions) + 1
    session = Session(
        folder=site.folder / "kernels" / f"{kernel.number}-{number}",
        code=request.text,
        notebook=request.kernel_type == "notebook",
        inputs=_inputs(site, request, reply),
        limit=min(request.session_timeout_seconds or site.session_limit, site.session_limit),
        env=dict(site.kernel_env),
        without=tuple(site.image_without),
    )
    session.output.parent.mkdir(parents=True)
    kernel.versions.append((request, session))
    threading.Thread(target=_execute, args=(site, session), daemon=True).start()
    reply.ref, reply.version_number, reply.kernel_id = f"/{kernel.ref}", number, kernel.number
    reply.url = f"{URL}/{kernel.ref}"
    return reply


def _inputs(site: Site, request, reply: api.ApiSaveKernelResponse) -> dict[str, Path]:
    """Return what the kernel will see under /kaggle/input; what there is not is told in the reply and left out."""
    new, found = site.layout == "new", {}
    for slug in request.competition_data_sources:
        competition = site.competitions.get(slug)
        if competition is None or not competition.entered:
            reply.invalid_competition_sources.append(slug)
        else:
            found[f"competitions/{slug}" if new else slug] = competition.data
    for ref in request.dataset_data_sources:
        dataset = site.datasets.get("/".join(ref.split("/")[:2]))
        if dataset is None or not dataset.ready:
            reply.invalid_dataset_sources.append(ref)
        else:
            folder = dataset.versions[dataset.ready - 1].folder
            found[f"datasets/{dataset.ref}" if new else dataset.ref.split("/")[1]] = folder
    for ref in request.kernel_data_sources:
        other = site.kernels.get(ref)
        done = [one for _, one in other.versions if one.status == Status.COMPLETE] if other else []
        if not done:
            reply.invalid_kernel_sources.append(ref)
        else:
            found[f"notebooks/{ref}" if new else ref.split("/")[1]] = done[-1].output
    return found


def _execute(site: Site, session: Session) -> None:
    """Wait for a machine, then run."""
    time.sleep(site.queue_seconds)
    while True:
        with site.lock:
            sessions = [one for kernel in site.kernels.values() for _, one in kernel.versions]
            if session.cancelled:
                session.status = Status.ERROR
                return
            if sum(one.status == Status.RUNNING for one in sessions) < site.kernels_at_once:
                session.status = Status.RUNNING
                break
        time.sleep(0.05)
    try:
        session.run()
    except Exception:  # the edge of this thread: the test fails with it as its World closes
        site.wrong.append(traceback.format_exc())
        session.status = Status.ERROR


@answers(f"{SERVICE}/GetKernelSessionStatus")
def get_kernel_session_status(site: Site, user: str, request) -> api.ApiGetKernelSessionStatusResponse:
    session = kernel_of(site, request.user_name, request.kernel_slug).version()[1]
    reply = api.ApiGetKernelSessionStatusResponse()
    reply.status, reply.failure_message = session.status, session.failure
    return reply


@answers(f"{SERVICE}/ListKernelSessionOutput")
def list_kernel_session_output(site: Site, user: str, request) -> api.ApiListKernelSessionOutputResponse:
    session = kernel_of(site, request.user_name, request.kernel_slug).version()[1]
    reply = api.ApiListKernelSessionOutputResponse()
    files, reply.next_page_token = page(output_of(site, session), request)
    for name, path in files:
        told = api.ApiKernelSessionOutputFile()
        told.file_name, told.url = name, site.address_of(path)
        reply.files.append(told)
    reply.log = session.log() if session.status in ENDED else ""
    return reply


def output_of(site: Site, session: Session) -> list[tuple[str, Path]]:
    """Return the files of a session that its owner gets: none before its end, nor, by default, after a bad one."""
    if session.status not in ENDED or (session.status != Status.COMPLETE and not site.keep_failed_output):
        return []
    found = sorted(path for path in session.output.rglob("*") if path.is_file())
    return [(str(path.relative_to(session.output)), path) for path in found]


@answers(f"{SERVICE}/DownloadKernelOutput")
def download_kernel_output(site: Site, user: str, request) -> Redirect:
    session = kernel_of(site, request.owner_slug, request.kernel_slug).version(request.version_number or None)[1]
    path = dict(output_of(site, session)).get(request.file_path)
    if path is None:
        raise Fail(404, f"Not found: file '{request.file_path}'")
    return Redirect(site.address_of(path))


@answers(f"{SERVICE}/GetKernel")
def get_kernel(site: Site, user: str, request) -> api.ApiGetKernelResponse:
    kernel = kernel_of(site, request.user_name, request.kernel_slug)
    pushed = kernel.version()[0]
    reply = api.ApiGetKernelResponse()
    blob, told = api.ApiKernelBlob(), api.ApiKernelMetadata()
    blob.source, blob.language, blob.kernel_type = pushed.text, pushed.language, pushed.kernel_type
    told.id, told.ref, told.title, told.author = kernel.number, kernel.ref, kernel.title, request.user_name
    told.slug = blob.slug = request.kernel_slug
    told.last_run_time, told.current_version_number = now(), len(kernel.versions)
    for name in (
        "language",
        "kernel_type",
        "is_private",
        "enable_gpu",
        "enable_internet",
        "dataset_data_sources",
        "kernel_data_sources",
        "competition_data_sources",
        "machine_shape",
    ):
        setattr(told, name, getattr(pushed, name))
    reply.blob, reply.metadata = blob, told
    return reply


@answers("competitions.CompetitionApiService/CreateCodeSubmission")
def create_code_submission(site: Site, user: str, request) -> ApiCreateCodeSubmissionResponse:
    competition = competition_of(site, request.competition_name, "submit")
    kernel = kernel_of(site, request.kernel_owner, request.kernel_slug)
    number = request.kernel_version or len(kernel.versions)
    session = kernel.version(number)[1]
    if session.status != Status.COMPLETE:
        raise Fail(400, f"Version {number} of the notebook has not completed.")
    name = request.file_name or "submission.csv"
    path = dict(output_of(site, session)).get(name)
    reply = ApiCreateCodeSubmissionResponse()
    reply.ref = enter(
        site, competition, user, name, request.submission_description or "", path, f"{kernel.ref}/{number}"
    )
    reply.message = f"Successfully submitted to {competition.title or competition.slug}"
    return reply
