"""The stand-in's competitions: their files, the submissions to them and how these are scored."""

import hashlib
import itertools
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from kagglesdk.competitions.types import competition_api_service as api
from kagglesdk.competitions.types.submission_status import SubmissionStatus

from tests.standin.scoring import F1, judge
from tests.standin.site import Fail, Redirect, Site, answers, now, page

SERVICE = "competitions.CompetitionApiService"


@dataclass
class Competition:
    """One competition; World.add_competition tells what the words mean."""

    slug: str
    data: Path
    archive: Path
    solution: dict[str, int] | None
    title: str = ""
    entered: bool = True
    daily: int = 5
    total: int | None = None
    code_only: bool = False
    public_fraction: float = 0.5
    columns: tuple[str, str] = ("id", "label")
    pending_lists: int = 1
    pending_seconds: float = 0
    show_private: bool = True
    deadline: str | None = None
    closed: bool = False
    metric: str = F1

    def files(self) -> list[tuple[str, Path]]:
        """Return name and path of every file."""
        found = sorted(path for path in self.data.rglob("*") if path.is_file())
        return [(str(path.relative_to(self.data)), path) for path in found]


@dataclass
class Entry:
    """One submission; the list shows it as pending until it has been shown often and waited long enough."""

    ref: int
    competition: Competition
    user: str
    file_name: str
    description: str
    path: Path | None
    kernel: str
    public: str
    private: str
    error: str
    date: datetime
    shown: int = 0

    def message(self) -> api.ApiSubmission:
        """Return it as the API shows it now, which counts."""
        told = api.ApiSubmission()
        told.ref, told.date, told.file_name = self.ref, self.date, self.file_name
        told.description, told.submitted_by, told.submitted_by_ref = self.description, self.user, self.user
        told.team_name, told.total_bytes = self.user, self.path.stat().st_size if self.path else 0
        told.url = f"https://www.kaggle.com/submissions/{self.ref}/{self.ref}.raw"
        waited = (now() - self.date).total_seconds()
        pending = self.shown < self.competition.pending_lists or waited < self.competition.pending_seconds
        self.shown += 1
        if pending:
            told.status = SubmissionStatus.PENDING
        elif self.error:
            told.status, told.error_description = SubmissionStatus.ERROR, self.error
        else:
            told.status, told.public_score = SubmissionStatus.COMPLETE, self.public
            told.private_score = self.private if self.competition.show_private else ""
        return told


def competition_of(site: Site, slug: str, entered: str = "") -> Competition:
    """Return a competition; a Fail for one that there is not, or, with a message, whose rules are not accepted."""
    competition = site.competitions.get(slug)
    if competition is None:
        raise Fail(404, f"Not found: competition '{slug}'")
    if entered and not competition.entered:
        raise Fail(403, f"You must accept this competition's rules before you'll be able to {entered}.")
    return competition


def told_of(competition: Competition) -> api.ApiCompetition:
    told = api.ApiCompetition()
    told.id = int(hashlib.sha256(competition.slug.encode()).hexdigest()[:6], 16)
    told.ref = told.url = f"https://www.kaggle.com/competitions/{competition.slug}"
    told.title, told.category, told.evaluation_metric = (
        competition.title or competition.slug,
        "Community",
        competition.metric,
    )
    told.user_has_entered, told.max_daily_submissions = competition.entered, competition.daily
    told.is_kernels_submissions_only, told.submissions_disabled = competition.code_only, competition.closed
    ends = competition.deadline
    told.deadline = datetime.fromisoformat(ends) if ends else now() + timedelta(days=30)
    return told


@answers(f"{SERVICE}/GetCompetition")
def get_competition(site: Site, user: str, request) -> api.ApiCompetition:
    return told_of(competition_of(site, request.competition_name))


@answers(f"{SERVICE}/ListCompetitions")
def list_competitions(site: Site, user: str, request) -> api.ApiListCompetitionsResponse:
    entered_only = request.group is not None and request.group.name.endswith("ENTERED")
    words = (request.search or "").lower()
    found = [
        one
        for slug, one in sorted(site.competitions.items())
        if words in f"{slug} {one.title}".lower() and (one.entered or not entered_only)
    ]
    reply = api.ApiListCompetitionsResponse()
    found, reply.next_page_token = page(found, request, request.page or 1)
    reply.competitions = [told_of(one) for one in found]
    return reply


@answers(f"{SERVICE}/ListDataFiles")
def list_data_files(site: Site, user: str, request) -> api.ApiListDataFilesResponse:
    reply = api.ApiListDataFilesResponse()
    files, reply.next_page_token = page(competition_of(site, request.competition_name).files(), request)
    reply.files = [_data_file(name, path) for name, path in files]
    return reply


def _data_file(name: str, path: Path) -> api.ApiDataFile:
    told = api.ApiDataFile()
    told.ref = told.name = name
    told.total_bytes, told.creation_date = path.stat().st_size, datetime.fromtimestamp(int(path.stat().st_mtime))
    return told


@answers(f"{SERVICE}/DownloadDataFiles")
def download_data_files(site: Site, user: str, request) -> Redirect:
    return Redirect(site.address_of(competition_of(site, request.competition_name, "download files").archive))


@answers(f"{SERVICE}/DownloadDataFile")
def download_data_file(site: Site, user: str, request) -> Redirect:
    competition = competition_of(site, request.competition_name, "download files")
    path = dict(competition.files()).get(request.file_name)
    if path is None:
        raise Fail(404, f"Not found: file '{request.file_name}'")
    return Redirect(site.address_of(path))


def _limits(site: Site, competition: Competition) -> api.ApiSubmissionLimits:
    """Count the submissions; those that could not be scored cost nothing."""
    counted = [one for one in site.submissions if one.competition.slug == competition.slug and not one.error]
    told = api.ApiSubmissionLimits()
    told.num_total, told.num_today = len(counted), sum(one.date.date() == now().date() for one in counted)
    left = max(0, competition.daily - told.num_today)
    if competition.total is not None and competition.total - told.num_total <= left:
        left, told.limited_by_total = max(0, competition.total - told.num_total), True
    told.num_allowed_now = left
    return told


@answers(f"{SERVICE}/GetSubmissionLimits")
def get_submission_limits(site: Site, user: str, request) -> api.ApiSubmissionLimits:
    return _limits(site, competition_of(site, request.competition_name))


@answers(f"{SERVICE}/ListSubmissions")
def list_submissions(site: Site, user: str, request) -> api.ApiListSubmissionsResponse:
    competition = competition_of(site, request.competition_name)
    mine = [one for one in reversed(site.submissions) if one.competition.slug == competition.slug and one.user == user]
    reply = api.ApiListSubmissionsResponse()
    mine, reply.next_page_token = page(mine, request, request.page or 1)
    reply.submissions = [one.message() for one in mine]
    return reply


@answers(f"{SERVICE}/GetSubmission")
def get_submission(site: Site, user: str, request) -> api.ApiSubmission:
    for one in site.submissions:
        if one.ref == request.ref and one.user == user:
            return one.message()
    raise Fail(404, f"Not found: submission {request.ref}")


@answers(f"{SERVICE}/StartSubmissionUpload")
def start_submission_upload(site: Site, user: str, request) -> api.ApiStartSubmissionUploadResponse:
    competition_of(site, request.competition_name, "submit")
    reply = api.ApiStartSubmissionUploadResponse()
    reply.token, reply.create_url = site.start_upload(user, request.file_name, request.content_length)
    return reply


@answers(f"{SERVICE}/CreateSubmission")
def create_submission(site: Site, user: str, request) -> api.ApiCreateSubmissionResponse:
    competition = competition_of(site, request.competition_name, "submit")
    if competition.code_only:
        raise Fail(400, "This competition only accepts Submissions from Notebooks.")
    upload = site.uploaded(user, request.blob_file_tokens)
    reply = api.ApiCreateSubmissionResponse()
    reply.ref = enter(site, competition, user, upload.name, request.submission_description or "", upload.path)
    reply.message = f"Successfully submitted to {competition.title or competition.slug}"
    return reply


_REFS = itertools.count(40_000_001)


def enter(
    site: Site, competition: Competition, user: str, name: str, description: str, path: Path | None, kernel: str = ""
) -> int:
    """Enter a file as a submission, ``None`` for a notebook's that has not made it, and return its reference."""
    if competition.closed or competition.solution is None:
        raise Fail(400, "Submissions are disabled for this competition.")
    limits = _limits(site, competition)
    if limits.num_allowed_now == 0:
        limit = competition.total if limits.limited_by_total else competition.daily
        ends = "" if limits.limited_by_total else " This resets at midnight UTC."
        raise Fail(
            400, f"Submission limit reached: your team has used its submission allowance ({limit} of {limit}).{ends}"
        )
    if path is None:
        public, private, error = "", "", f"Notebook output file {name} was not found"
    else:
        text = path.read_bytes().decode("utf-8-sig", "replace")
        of, metric = competition, competition.metric
        public, private, error = judge(text, of.solution, of.columns, of.public_fraction, metric)
    ref = next(_REFS)
    site.submissions.append(
        Entry(ref, competition, user, name, description, path, kernel, public, private, error, now())
    )
    return ref
