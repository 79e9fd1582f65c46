"""What Kaggle knows, by its typed API: also what came of the calls of its command line."""

import datetime
from functools import cached_property
from typing import Any

from kagglesdk.competitions.types.competition_api_service import (
    ApiCompetition,
    ApiDataFile,
    ApiDownloadDataFilesRequest,
    ApiGetCompetitionRequest,
    ApiGetSubmissionLimitsRequest,
    ApiListDataFilesRequest,
    ApiListSubmissionsRequest,
    ApiSubmission,
    ApiSubmissionLimits,
)
from kagglesdk.datasets.types.dataset_api_service import (
    ApiDataset,
    ApiGetDatasetRequest,
    ApiGetDatasetStatusRequest,
    ApiListDatasetFilesRequest,
)
from kagglesdk.kaggle_client import KaggleClient
from kagglesdk.kernels.types.kernels_api_service import (
    ApiGetKernelRequest,
    ApiGetKernelSessionStatusRequest,
    ApiKernelMetadata,
)
from kagglesdk.security.types.oauth_service import IntrospectTokenRequest

from competition.core.errors import UserError
from competition.kaggle.client.retry import ApiClient, KaggleRefusal, bad_credentials, unaccepted_rules

PAGE = 200


class Kaggle(ApiClient):
    """What Kaggle knows. Every method raises KaggleRefusal and Unreachable."""

    @cached_property
    def username(self) -> str:
        """The user's name on Kaggle, which owns kernels and data sets."""
        if self.account.username:
            return self.account.username
        request = IntrospectTokenRequest()
        request.token = self.account.token
        found = self._request("your token", lambda client: client.security.oauth_client.introspect_token(request))
        if not found.active or not found.username:
            raise KaggleRefusal(bad_credentials(self.account), 401)
        return found.username

    def competition(self, slug: str) -> ApiCompetition:
        """Return what is known of a competition, with whether the user has entered it."""
        request = ApiGetCompetitionRequest()
        request.competition_name = slug
        return self._request(_named(slug), lambda client: _competitions(client).get_competition(request))

    def files(self, slug: str, pages: int = 10_000) -> list[ApiDataFile]:
        """Return the competition's files, with their sizes as they lie there (total_bytes), up to ``pages`` pages of
        200. Of some competitions Kaggle lists only a part, so a file that is not listed may exist."""
        request = ApiListDataFilesRequest()
        request.competition_name, request.page_size = slug, PAGE
        return self._pages(
            _named(slug), lambda client: _competitions(client).list_data_files(request), request, "files", pages
        )

    def archive_bytes(self, slug: str) -> int:
        """Return the size of the archive of all files, 0 if Kaggle does not say; nothing of it is fetched."""
        request = ApiDownloadDataFilesRequest()
        request.competition_name = slug
        with self._request(_named(slug), lambda client: _competitions(client).download_data_files(request)) as response:
            return int(response.headers.get("Content-Length", 0))

    def submissions(self, slug: str, pages: int = 10) -> list[ApiSubmission]:
        """Return the user's submissions, newest first, up to ``pages`` pages of 200."""
        request = ApiListSubmissionsRequest()
        request.competition_name, request.page_size = slug, PAGE
        return self._pages(
            _named(slug), lambda client: _competitions(client).list_submissions(request), request, "submissions", pages
        )

    def limits(self, slug: str) -> ApiSubmissionLimits:
        """Return how many submissions were made today and may still be."""
        request = ApiGetSubmissionLimitsRequest()
        request.competition_name = slug
        return self._request(_named(slug), lambda client: _competitions(client).get_submission_limits(request))

    def dataset(self, ref: str) -> ApiDataset | None:
        """Return a data set by OWNER/SLUG, or None where there is none (or none that this user may see)."""
        request = ApiGetDatasetRequest()
        request.owner_slug, request.dataset_slug = ref.split("/")
        return self._or_none(f"data set {ref}", lambda client: _datasets(client).get_dataset(request))

    def dataset_status(self, ref: str) -> str:
        """Return ``ready``, ``error``, or another word while a data set's newest version is being made."""
        request = ApiGetDatasetStatusRequest()
        request.owner_slug, request.dataset_slug = ref.split("/")
        found = self._request(f"data set {ref}", lambda client: _datasets(client).get_dataset_status(request))
        return found.status.name.lower()

    def dataset_files(self, ref: str) -> dict[str, int]:
        """Return the files of a data set's newest version and their sizes in bytes."""
        request = ApiListDatasetFilesRequest()
        request.owner_slug, request.dataset_slug = ref.split("/")
        request.page_size = PAGE
        found = self._pages(
            f"data set {ref}", lambda client: _datasets(client).list_dataset_files(request), request, "dataset_files"
        )
        return {file.name: file.total_bytes for file in found}

    def kernel(self, ref: str) -> ApiKernelMetadata | None:
        """Return a kernel by OWNER/SLUG, with its current version's number, or None where there is none."""
        request = ApiGetKernelRequest()
        request.user_name, request.kernel_slug = ref.split("/")
        found = self._or_none(f"kernel {ref}", lambda client: _kernels(client).get_kernel(request))
        return found and found.metadata

    def kernel_status(self, ref: str) -> tuple[str, str]:
        """Return the state of a kernel's newest session (queued, running, complete, error, cancel_...), and why it
        failed."""
        request = ApiGetKernelSessionStatusRequest()
        request.user_name, request.kernel_slug = ref.split("/")
        found = self._request(f"kernel {ref}", lambda client: _kernels(client).get_kernel_session_status(request))
        return found.status.name.lower(), found.failure_message or ""


def accepted_rules(kaggle: Kaggle, slug: str) -> ApiCompetition:
    """Return the competition, having seen that the user takes part in it; UserError says where to accept its rules."""
    found = kaggle.competition(slug)
    if not found.user_has_entered:
        raise UserError(unaccepted_rules(slug))
    return found


def closed(found: ApiCompetition) -> bool:
    """Return whether a competition's deadline (UTC) is past: submissions may still be scored, and no longer count."""
    return bool(found.deadline) and found.deadline < datetime.datetime.now(datetime.UTC).replace(tzinfo=None)


def _named(slug: str) -> str:
    return f"competition {slug}"


def _competitions(client: KaggleClient) -> Any:
    return client.competitions.competition_api_client


def _datasets(client: KaggleClient) -> Any:
    return client.datasets.dataset_api_client


def _kernels(client: KaggleClient) -> Any:
    return client.kernels.kernels_api_client
