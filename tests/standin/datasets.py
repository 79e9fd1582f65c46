"""The stand-in's datasets: files that arrive as blobs, versions that take a while to be ready."""

import itertools
import shutil
import tarfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from kagglesdk.blobs.types.blob_api_service import ApiStartBlobUploadResponse
from kagglesdk.datasets.types import dataset_api_service as api
from kagglesdk.datasets.types.dataset_enums import DatabundleVersionStatus
from kagglesdk.datasets.types.dataset_types import DatasetInfo, SettingsLicense

from tests.standin.site import Fail, Redirect, Site, answers, now, page

SERVICE = "datasets.DatasetApiService"


@dataclass
class Version:
    """One version's files, and how many more status requests will see it in the making."""

    folder: Path
    pending: int
    date: datetime

    def files(self) -> list[tuple[str, Path]]:
        found = sorted(path for path in self.folder.rglob("*") if path.is_file())
        return [(str(path.relative_to(self.folder)), path) for path in found]


@dataclass
class Dataset:
    """One dataset; kernels see its newest version that is ready."""

    ref: str
    title: str
    license: str
    private: bool
    versions: list[Version] = field(default_factory=list)

    @property
    def ready(self) -> int:
        """The number of the newest version that is ready, 0 for none."""
        return max((number for number, one in enumerate(self.versions, 1) if not one.pending), default=0)


def dataset_of(site: Site, owner: str, slug: str) -> Dataset:
    """Return a dataset; of one that there is not Kaggle says that it may not be seen."""
    found = site.datasets.get(f"{owner}/{slug}")
    if found is None:
        raise Fail(403, "Permission 'datasets.get' was denied")
    return found


def version_of(dataset: Dataset, number: int | None) -> Version:
    """Return a version that is ready, by default the newest."""
    number = number or dataset.ready
    if not 1 <= number <= len(dataset.versions) or dataset.versions[number - 1].pending:
        raise Fail(404, f"Not found: version {number} of dataset '{dataset.ref}'")
    return dataset.versions[number - 1]


@answers("blobs.BlobApiService/StartBlobUpload")
def start_blob_upload(site: Site, user: str, request) -> ApiStartBlobUploadResponse:
    reply = ApiStartBlobUploadResponse()
    reply.token, reply.create_url = site.start_upload(user, request.name, request.content_length)
    return reply


@answers(f"{SERVICE}/GetDatasetStatus")
def get_dataset_status(site: Site, user: str, request) -> api.ApiGetDatasetStatusResponse:
    latest = dataset_of(site, request.owner_slug, request.dataset_slug).versions[-1]
    reply = api.ApiGetDatasetStatusResponse()
    if site.dataset_failures:
        reply.status, site.dataset_failures = DatabundleVersionStatus.FAILED, site.dataset_failures - 1
        return reply
    reply.status = DatabundleVersionStatus.BLOBS_RECEIVED if latest.pending else DatabundleVersionStatus.READY
    latest.pending = max(0, latest.pending - 1)
    return reply


@answers(f"{SERVICE}/GetDataset")
def get_dataset(site: Site, user: str, request) -> api.ApiDataset:
    dataset = dataset_of(site, request.owner_slug, request.dataset_slug)
    told = api.ApiDataset()
    told.ref, told.title, told.license_name, told.is_private = (
        dataset.ref,
        dataset.title,
        dataset.license,
        dataset.private,
    )
    told.url, told.owner_ref = f"https://www.kaggle.com/datasets/{dataset.ref}", request.owner_slug
    told.last_updated, told.current_version_number = dataset.versions[-1].date, dataset.ready or None
    return told


@answers(f"{SERVICE}/GetDatasetMetadata")
def get_dataset_metadata(site: Site, user: str, request) -> api.ApiGetDatasetMetadataResponse:
    dataset = dataset_of(site, request.owner_slug, request.dataset_slug)
    reply, license = api.ApiGetDatasetMetadataResponse(), SettingsLicense()
    license.name = dataset.license
    reply.info = DatasetInfo()
    reply.info.dataset_slug, reply.info.owner_user = request.dataset_slug, request.owner_slug
    reply.info.title, reply.info.is_private, reply.info.licenses = dataset.title, dataset.private, [license]
    return reply


@answers(f"{SERVICE}/ListDatasetFiles")
def list_dataset_files(site: Site, user: str, request) -> api.ApiListDatasetFilesResponse:
    version = version_of(dataset_of(site, request.owner_slug, request.dataset_slug), request.dataset_version_number)
    reply = api.ApiListDatasetFilesResponse()
    files, reply.next_page_token = page(version.files(), request)
    for name, path in files:
        told = api.ApiDatasetFile()
        told.ref = told.name = name
        told.total_bytes, told.creation_date = path.stat().st_size, version.date
        reply.dataset_files.append(told)
    return reply


@answers(f"{SERVICE}/DownloadDataset")
def download_dataset(site: Site, user: str, request) -> Redirect:
    version = version_of(dataset_of(site, request.owner_slug, request.dataset_slug), request.dataset_version_number)
    if not request.file_name:
        return Redirect(site.address_of(Path(shutil.make_archive(str(version.folder), "zip", version.folder))))
    path = dict(version.files()).get(request.file_name)
    if path is None:
        raise Fail(404, f"Not found: file '{request.file_name}'")
    return Redirect(site.address_of(path))


@answers(f"{SERVICE}/CreateDataset")
def create_dataset(site: Site, user: str, request) -> api.ApiCreateDatasetResponse:
    reply = api.ApiCreateDatasetResponse()
    ref = f"{user}/{request.slug}"
    reply.status, reply.error = "error", ""
    if request.owner_slug != user:
        raise Fail(403, "Permission 'datasets.create' was denied")
    if ref in site.datasets or any(one.title == request.title for one in site.datasets.values()):
        reply.error = (
            f"The requested title '{request.title}' is already in use by a dataset. Please choose another title."
        )
    elif not 6 <= len(request.title) <= 50 or not 3 <= len(request.slug) <= 50:
        reply.error = "The title must be between 6 and 50 characters and the slug between 3 and 50."
    elif not request.files:
        reply.error = "A dataset needs at least one file."
    else:
        dataset = Dataset(ref, request.title, request.license_name or "unknown", request.is_private)
        _add_version(site, user, dataset, request.files)
        site.datasets[ref] = dataset
        reply.status, reply.ref, reply.url = "ok", ref, f"https://www.kaggle.com/datasets/{ref}"
    return reply


@answers(f"{SERVICE}/CreateDatasetVersion")
def create_dataset_version(site: Site, user: str, request) -> api.ApiCreateDatasetResponse:
    dataset = dataset_of(site, request.owner_slug, request.dataset_slug)
    if request.owner_slug != user:
        raise Fail(403, "Permission 'datasets.update' was denied")
    reply = api.ApiCreateDatasetResponse()
    reply.status, reply.error = "error", "A dataset needs at least one file."
    if request.body.files:
        _add_version(site, user, dataset, request.body.files)
        reply.status, reply.error = "ok", ""
        reply.ref, reply.url = dataset.ref, f"https://www.kaggle.com/datasets/{dataset.ref}"
    return reply


_NUMBERS = itertools.count(1)


def _add_version(site: Site, user: str, dataset: Dataset, files: Sequence[api.ApiDatasetNewFile]) -> None:
    """Store the uploaded files as the newest version; an archive becomes a folder of its name, as on Kaggle."""
    uploads = [site.uploaded(user, file.token) for file in files]
    folder = site.folder / "datasets" / str(next(_NUMBERS))
    folder.mkdir(parents=True)
    for upload in uploads:
        stem = upload.name.removesuffix(".zip").removesuffix(".tar")
        if upload.name.endswith(".zip"):
            with zipfile.ZipFile(upload.path) as archive:
                names = [one for one in archive.namelist() if not any(part[:1] == "." for part in one.split("/"))]
                archive.extractall(folder / stem, names)
        elif upload.name.endswith(".tar"):
            with tarfile.open(upload.path) as archive:
                archive.extractall(folder / stem, filter="data")
        else:
            shutil.copyfile(upload.path, folder / upload.name)
    dataset.versions.append(Version(folder, site.dataset_pending, now()))
