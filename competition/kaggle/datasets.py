"""A private data set from a folder: uploaded by the real command line, believed when its files are read back.

The command line leaves out a file whose upload failed and says all is well, so names and sizes are compared with the
folder's. What is there already, by the fingerprint in the name of one of its files, is not uploaded again.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from competition.core.errors import Unfinished, UserError
from competition.core.files import file_digest, fingerprint, write_json, write_text
from competition.kaggle.client.api import Kaggle
from competition.kaggle.client.cli import run_cli
from competition.kaggle.client.retry import looks

METADATA = "dataset-metadata.json"
MARK = "content-{}.txt"  # the file whose name is the fingerprint of what a version holds
NOT_UPLOADED = (
    *(METADATA, "datapackage.json", "kernel-metadata.json", "model-metadata.json", "model-instance-metadata.json"),
    *(f"dataset-cover-image.{kind}" for kind in ("png", "jpg", "jpeg", "webp")),
)
TRIES = 3
UPLOAD_SECONDS, MIN_BYTES_PER_SECOND = 600.0, 200_000.0  # a call may take so long, and longer by the bytes it sends
READY_SECONDS = 1800.0  # the longest wait until Kaggle has taken a version in
SEEN_SECONDS = 10.0  # until a version can be seen that was made although the command line failed
STALE_SECONDS = 60.0  # for which a failure that is shown may still be that of the version before
LIST_SECONDS = 5.0  # until the files of a version that is ready are listed
REFUSED = re.compile("(?<=creation error: ).*|Permission .* was denied")  # in what the command line prints
READY, FAILED = "ready", ("failed", "deleted", "error")  # states of a version
PAUSES = 0.5, 15.0  # the first and the longest between two looks, in seconds


def write_metadata(folder: Path, ref: str) -> None:
    """Write ``dataset-metadata.json`` for the data set OWNER/SLUG; its title spells the slug."""
    title = ref.split("/")[1].replace("-", " ")
    write_json(folder / METADATA, {"id": ref, "title": title, "licenses": [{"name": "other"}]})


def upload_dataset(
    kaggle: Kaggle, folder: Path, on_progress: Callable[[str], None], seconds: float = READY_SECONDS
) -> int:
    """Make the private data set that ``folder``/dataset-metadata.json names hold what ``folder`` holds; return its
    version, which Kaggle has taken in whole.

    ``on_progress`` is called with a line on what is being done. A file that names the content is added to the folder.
    Raises UserError with Kaggle's reason where it refuses, and Unfinished where files do not arrive or the version is
    not ready after ``seconds``: the same call goes on from there.
    """
    ref = json.loads((folder / METADATA).read_text(encoding="utf-8"))["id"]
    sizes, mark = _marked(folder)
    upload = _DatasetUpload(kaggle, folder, ref, sizes, seconds, on_progress)
    before, failed = upload.settled()
    if before and not failed and mark in kaggle.dataset_files(ref) and not upload.missing():
        on_progress(f"data set {ref} is up to date, version {before}")
        return before
    for _ in range(TRIES):
        on_progress(f"uploading data set {ref}: {len(sizes):,} files, {sum(sizes.values()) / 1e6:,.1f} MB")
        words = ["create"] if before is None else ["version", "-m", Path(mark).stem]
        version, reason = upload.attempt(words, before or 0, STALE_SECONDS if failed else 0.0)
        if version:
            return version
        on_progress(f"data set {ref} did not arrive whole: {reason}")
        before, failed = upload.settled()
    raise Unfinished(f"Data set {ref} did not arrive whole in {TRIES} tries ({reason}): repeat the same line later.")


@dataclass(frozen=True)
class _DatasetUpload:
    """The data set OWNER/SLUG that is to hold the files of ``folder``, whose ``sizes`` Kaggle is to list by name.

    ``seconds``: the longest wait until Kaggle has taken a version in; ``on_progress`` is called with a line meanwhile.
    """

    kaggle: Kaggle
    folder: Path
    ref: str
    sizes: Mapping[str, int]
    seconds: float
    on_progress: Callable[[str], None]

    def settled(self) -> tuple[int | None, bool]:
        """Return the data set's version once no newer one is in the making, None where there is no such data set, and
        whether Kaggle failed to take in the newest."""
        state = ""
        for spent in looks(self.seconds, *PAUSES):
            if self.kaggle.dataset(self.ref) is None:
                return None, False
            state = self.kaggle.dataset_status(self.ref)
            if state in (READY, *FAILED):
                found = self.kaggle.dataset(self.ref)  # again: what is settled now may be a newer version
                return found.current_version_number if found else 0, state in FAILED
            self._show(f"an earlier version of data set {self.ref} is in the making", state, spent)
        raise Unfinished(
            f"An earlier version of data set {self.ref} is still in the making ({state}): repeat the same line later."
        )

    def attempt(self, words: Sequence[str], before: int, stale: float) -> tuple[int, str]:
        """Run the command line once and return the version that holds all files, or 0 and what is wrong.

        ``before``: the version until now. A failure that Kaggle shows at once, for up to ``stale`` seconds, is that of
        the version before.
        """
        limit = UPLOAD_SECONDS + sum(self.sizes.values()) / MIN_BYTES_PER_SECOND
        reply = run_cli(["datasets", *words, "-p", str(self.folder), "--dir-mode", "zip"], limit)
        taken, refused = "being created" in reply.text, REFUSED.search(reply.text)
        # A call whose answer was lost may have worked, and its repetition is refused then: look before believing it.
        version = self._arrived(before, self.seconds if taken else SEEN_SECONDS, stale)
        if version and (missing := self.missing()):
            return 0, f"{len(missing)} of its files are missing or cut short, first {missing[0]}"
        if version:
            return version, ""
        if taken:
            raise Unfinished(
                f"Kaggle has not taken in data set {self.ref} after {self.seconds / 60:.0f} minutes: repeat the same "
                "line later."
            )
        if refused and "unsuccessful" not in reply.text:
            raise UserError(
                f"Kaggle did not take data set {self.ref} ({refused[0]}): correct that, then repeat the same line."
            )
        return 0, reply.last

    def missing(self) -> list[str]:
        """Return the files that Kaggle does not list, or with another size, after waiting a moment for the list."""
        missing: list[str] = []
        for _ in looks(LIST_SECONDS, *PAUSES):
            listed = self.kaggle.dataset_files(self.ref)
            missing = [name for name, size in self.sizes.items() if listed.get(name) != size]
            if not missing:
                break
        return missing

    def _arrived(self, before: int, seconds: float, stale: float) -> int:
        """Return the version later than ``before`` once Kaggle has taken it in; 0 where there is none after
        ``seconds``."""
        for spent in looks(seconds, *PAUSES):
            if (found := self.kaggle.dataset(self.ref)) is None:
                continue
            state = self.kaggle.dataset_status(self.ref)
            if state in FAILED and spent >= stale:
                raise UserError(
                    f"Kaggle could not take in data set {self.ref} ({state}): look at "
                    f"https://www.kaggle.com/datasets/{self.ref}, then repeat the same line."
                )
            stale = stale if state in FAILED else 0.0
            if state == READY and found.current_version_number > before:
                return found.current_version_number
            self._show(f"Kaggle takes data set {self.ref} in", state, spent)
        return 0

    def _show(self, what: str, state: str, spent: float) -> None:
        self.on_progress(f"{what}: {state.replace('_', ' ')}, {spent:.0f} s")


def _marked(folder: Path) -> tuple[dict[str, int], str]:
    """Return the sizes of the files that Kaggle is to list, by name, and the name of the one that is the content's
    fingerprint; it is put into the folder in the place of older ones."""
    files = {name: path for name, path in _files(folder).items() if not re.fullmatch(MARK.format("[0-9a-f]+"), name)}
    key = fingerprint({name: file_digest(path) for name, path in files.items()})
    mark = MARK.format(key)
    for old in folder.glob(MARK.format("*")):
        if old.name != mark:
            old.unlink()
    write_text(folder / mark, f"{key}\n")
    return {name: path.stat().st_size for name, path in [*files.items(), (mark, folder / mark)]}, mark


def _files(folder: Path) -> dict[str, Path]:
    """Return the files that are to be there, by name: the command line zips each folder, and Kaggle unpacks it again,
    without what is hidden (.DS_Store)."""
    found: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            inside = {one.relative_to(folder): one for one in sorted(path.rglob("*")) if one.is_file()}
            hidden = {name for name in inside if any(part.startswith(".") for part in name.parts)}
            found |= {name.as_posix(): one for name, one in inside.items() if name not in hidden}
        elif path.is_file() and path.name not in NOT_UPLOADED:
            found[path.name] = path
    return found
