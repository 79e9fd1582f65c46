"""What Kaggle knows, by its typed API: also what came of the calls of its command line."""

import datetime
from functools import cached_property
from operator import attrgetter
from typing import TypeVar

from kagglesdk.competitions.types import competition_api_service as competitions
from kagglesdk.datasets.types import dataset_api_service as datasets
from kagglesdk.kernels.types import kernels_api_service as kernels
from kagglesdk.security.types.oauth_service import IntrospectTokenRequest

from competition.core.errors import UserError
from competition.kaggle.client.retry import ApiClient, KaggleRefusal, bad_credentials, unaccepted_rules

PAGE = 200
COMPETITIONS = attrgetter("competitions.competition_api_client")  # of a client, the services that are asked
DATASETS = attrgetter("datasets.dataset_api_client")
KERNELS = attrgetter("kernels.kernels_api_client")

T = TypeVar("T")


class Kaggle(ApiClient):
    """What Kaggle knows. Every method raises KaggleRefusal and Unreachable."""

    @cached_property
    def username(self) -> str:
        """The user's name on Kaggle, which owns kernels and data sets."""
        if self.account.username:
            return self.account.username
        request = _filled(IntrospectTokenRequest(), token=self.account.token)
        found = self._request("your token", lambda client: client.security.oauth_client.introspect_token(request))
        if not found.active or not found.username:
            raise KaggleRefusal(bad_credentials(self.account), 401)
        return found.username

    def competition(self, slug: str) -> competitions.ApiCompetition:
        """Return what is known of a competition, with whether the user has entered it."""
        request = _filled(competitions.ApiGetCompetitionRequest(), competition_name=slug)
        return self._request(_named(slug), lambda client: COMPETITIONS(client).get_competition(request))

    def files(self, slug: str, pages: int = 10_000) -> list[competitions.ApiDataFile]:
        """Return the competition's files, with their sizes as they lie there (total_bytes), up to ``pages`` pages of
        200. Of some competitions Kaggle lists only a part, so a file that is not listed may exist."""
        request = _filled(competitions.ApiListDataFilesRequest(), competition_name=slug, page_size=PAGE)
        return self._pages(
            _named(slug), lambda client: COMPETITIONS(client).list_data_files(request), request, "files", pages
        )

    def archive_bytes(self, slug: str) -> int:
        """Return the size of the archive of all files, 0 if Kaggle does not say; nothing of it is fetched."""
        request = _filled(competitions.ApiDownloadDataFilesRequest(), competition_name=slug)
        with self._request(_named(slug), lambda client: COMPETITIONS(client).download_data_files(request)) as response:
            return int(response.headers.get("Content-Length", 0))

    def submissions(self, slug: str) -> list[competitions.ApiSubmission]:
        """Return the user's submissions, newest first, up to 10 pages of 200."""
        request = _filled(competitions.ApiListSubmissionsRequest(), competition_name=slug, page_size=PAGE)
        return self._pages(
            _named(slug), lambda client: COMPETITIONS(client).list_submissions(request), request, "submissions", 10
        )

    def limits(self, slug: str) -> competitions.ApiSubmissionLimits:
        """Return how many submissions were made today and may still be."""
        request = _filled(competitions.ApiGetSubmissionLimitsRequest(), competition_name=slug)
        return self._request(_named(slug), lambda client: COMPETITIONS(client).get_submission_limits(request))

    def dataset(self, ref: str) -> datasets.ApiDataset | None:
        """Return a data set by OWNER/SLUG, or None where there is none (or none that this user may see)."""
        owner, slug = ref.split("/")
        request = _filled(datasets.ApiGetDatasetRequest(), owner_slug=owner, dataset_slug=slug)
        return self._or_none(f"data set {ref}", lambda client: DATASETS(client).get_dataset(request))

    def dataset_status(self, ref: str) -> str:
        """Return ``ready``, ``error``, or another word while a data set's newest version is being made."""
        owner, slug = ref.split("/")
        request = _filled(datasets.ApiGetDatasetStatusRequest(), owner_slug=owner, dataset_slug=slug)
        found = self._request(f"data set {ref}", lambda client: DATASETS(client).get_dataset_status(request))
        return found.status.name.lower()

    def dataset_files(self, ref: str) -> dict[str, int]:
        """Return the files of a data set's newest version and their sizes in bytes."""
        owner, slug = ref.split("/")
        request = _filled(datasets.ApiListDatasetFilesRequest(), owner_slug=owner, dataset_slug=slug, page_size=PAGE)
        found = self._pages(
            f"data set {ref}", lambda client: DATASETS(client).list_dataset_files(request), request, "dataset_files"
        )
        return {file.name: file.total_bytes for file in found}

    def kernel(self, ref: str) -> kernels.ApiKernelMetadata | None:
        """Return a kernel by OWNER/SLUG, with its current version's number, or None where there is none."""
        owner, slug = ref.split("/")
        request = _filled(kernels.ApiGetKernelRequest(), user_name=owner, kernel_slug=slug)
        found = self._or_none(f"kernel {ref}", lambda client: KERNELS(client).get_kernel(request))
        return found and found.metadata

    def kernel_status(self, ref: str) -> tuple[str, str]:
        """Return the state of a kernel's newest session (queued, running, complete, error, cancel_...), and why it
        failed."""
        owner, slug = ref.split("/")
        request = _filled(kernels.ApiGetKernelSessionStatusRequest(), user_name=owner, kernel_slug=slug)
        found = self._request(f"kernel {ref}", lambda client: KERNELS(client).get_kernel_session_status(request))
        return found.status.name.lower(), found.failure_message or ""


def accepted_rules(kaggle: Kaggle, slug: str) -> competitions.ApiCompetition:
    """Return the competition, having seen that the user takes part in it; UserError says where to accept its rules."""
    found = kaggle.competition(slug)
    if not found.user_has_entered:
        raise UserError(unaccepted_rules(slug))
    return found


def closed(found: competitions.ApiCompetition) -> bool:
    """Return whether a competition's deadline (UTC) is past: submissions may still be scored, and no longer count."""
    return bool(found.deadline) and found.deadline < datetime.datetime.now(datetime.UTC).replace(tzinfo=None)


def _named(slug: str) -> str:
    return f"competition {slug}"


def _filled(request: T, **values: object) -> T:
    """Return a request with its fields set, which its constructor does not take."""
    for name, value in values.items():
        setattr(request, name, value)
    return request
