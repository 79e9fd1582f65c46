"""A private data set from a folder: uploaded by the real command line, believed when its files are read back.

The command line leaves out a file whose upload failed and says all is well, so names and sizes are compared with the
folder's. What is there already, by the fingerprint in the name of one of its files, is not uploaded again.
"""

import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from competition.core.errors import Unfinished, UserError
from competition.core.files import file_digest, fingerprint, write_json, write_text
from competition.kaggle.client.api import Kaggle
from competition.kaggle.client.cli import run_cli

METADATA = "dataset-metadata.json"
MARK = "content-{}.txt"  # the file whose name tells what a version holds
NOT_UPLOADED = (
    METADATA,
    "datapackage.json",
    "kernel-metadata.json",
    "model-metadata.json",
    "model-instance-metadata.json",
    "dataset-cover-image.png",
    "dataset-cover-image.jpg",
    "dataset-cover-image.jpeg",
    "dataset-cover-image.webp",
)
TRIES = 3
UPLOAD_SECONDS, SLOWEST = 600.0, 200_000.0  # a call may take as long as this, and a second for so many bytes
READY_SECONDS = 1800.0  # the longest wait until Kaggle has taken a version in
SEEN_SECONDS = 10.0  # until a version can be seen that was made although the command line failed
STALE_SECONDS = 60.0  # for which a failure may still be told of the version before
LIST_SECONDS = 5.0  # until the files of a version that is ready are listed
REFUSED = re.compile("(?<=creation error: ).*|Permission .* was denied")  # in what the command line prints
READY, FAILED = "ready", ("failed", "deleted", "error")  # states of a version
FIRST_LOOK, LONGEST_LOOK = 0.5, 15.0


def write_metadata(folder: Path, ref: str, licence: str = "other") -> None:
    """Write ``dataset-metadata.json`` for the data set OWNER/SLUG; its title spells the slug."""
    write_json(
        folder / METADATA, {"id": ref, "title": ref.split("/")[1].replace("-", " "), "licenses": [{"name": licence}]}
    )


def upload_dataset(kaggle: Kaggle, folder: Path, hear: Callable[[str], None], seconds: float = READY_SECONDS) -> int:
    """Make the private data set that ``folder``/dataset-metadata.json names hold what ``folder`` holds; return its
    version, which Kaggle has taken in whole.

    ``hear`` is told what is being done. A file that tells the content is added to the folder. Raises UserError with
    Kaggle's reason where it refuses, and Unfinished where files do not arrive or the version is not ready after
    ``seconds``: the same call goes on from there.
    """
    ref = json.loads((folder / METADATA).read_text(encoding="utf-8"))["id"]
    wanted, mark = _marked(folder)
    before, failed = _settled(kaggle, ref, seconds, hear)
    if before and not failed and mark in kaggle.dataset_files(ref) and not _lacking(kaggle, ref, wanted):
        hear(f"data set {ref} is up to date, version {before}")
        return before
    for _ in range(TRIES):
        hear(f"uploading data set {ref}: {len(wanted):,} files, {sum(wanted.values()) / 1e6:,.1f} MB")
        words = ["create"] if before is None else ["version", "-m", Path(mark).stem]
        stale = STALE_SECONDS if failed else 0.0
        version, reason = _upload(kaggle, folder, ref, wanted, words, before or 0, seconds, stale, hear)
        if version:
            return version
        hear(f"data set {ref} did not arrive whole: {reason}")
        before, failed = _settled(kaggle, ref, seconds, hear)
    raise Unfinished(f"Data set {ref} did not arrive whole in {TRIES} tries ({reason}): repeat the same line later.")


def _upload(
    kaggle: Kaggle,
    folder: Path,
    ref: str,
    wanted: Mapping[str, int],
    words: Sequence[str],
    before: int,
    seconds: float,
    stale: float,
    hear: Callable[[str], None],
) -> tuple[int, str]:
    """Run the command line once and return the version that holds all of ``wanted``, or 0 and what is wrong."""
    limit = UPLOAD_SECONDS + sum(wanted.values()) / SLOWEST
    said = run_cli(["datasets", *words, "-p", str(folder), "--dir-mode", "zip"], limit)
    taken, refused = "being created" in said.text, REFUSED.search(said.text)
    # A call whose answer was lost may have been heard, and its repetition refused: so look before believing a no.
    made = _arrived(kaggle, ref, before, seconds if taken else SEEN_SECONDS, stale, hear)
    if made and (lacking := _lacking(kaggle, ref, wanted)):
        return 0, f"{len(lacking)} of its files are missing or cut short, first {lacking[0]}"
    if made:
        return made, ""
    if taken:
        raise Unfinished(
            f"Kaggle has not taken in data set {ref} after {seconds / 60:.0f} minutes: repeat the same line later."
        )
    if refused and "unsuccessful" not in said.text:
        raise UserError(f"Kaggle did not take data set {ref} ({refused[0]}): mend that, then repeat the same line.")
    return 0, said.last


def _marked(folder: Path) -> tuple[dict[str, int], str]:
    """Return the sizes of the files that Kaggle is to list, by name, and which of them tells the content; it is put
    into the folder in the place of older ones."""
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
    found = {}
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            inside = [one for one in sorted(path.rglob("*")) if one.is_file()]
            found |= {
                one.relative_to(folder).as_posix(): one
                for one in inside
                if not any(part.startswith(".") for part in one.relative_to(folder).parts)
            }
        elif path.is_file() and path.name not in NOT_UPLOADED:
            found[path.name] = path
    return found


def _settled(kaggle: Kaggle, ref: str, seconds: float, hear: Callable[[str], None]) -> tuple[int | None, bool]:
    """Return the data set's version once no newer one is in the making, None where there is no such data set, and
    whether Kaggle failed to take in the newest."""
    state = ""
    for spent in _looks(seconds):
        if kaggle.dataset(ref) is None:
            return None, False
        state = kaggle.dataset_status(ref)
        if state in (READY, *FAILED):
            return kaggle.dataset(ref).current_version_number or 0, state in FAILED
        hear(f"an earlier version of data set {ref} is in the making: {state.replace('_', ' ')}, {spent:.0f} s")
    raise Unfinished(
        f"An earlier version of data set {ref} is still in the making ({state}): repeat the same line later."
    )


def _arrived(kaggle: Kaggle, ref: str, after: int, seconds: float, stale: float, hear: Callable[[str], None]) -> int:
    """Return the version later than ``after`` once Kaggle has taken it in; 0 where there is none after ``seconds``.

    A failure told at once, for up to ``stale`` seconds, is that of the version before.
    """
    for spent in _looks(seconds):
        if (found := kaggle.dataset(ref)) is None:
            continue
        state = kaggle.dataset_status(ref)
        if state in FAILED and spent >= stale:
            raise UserError(
                f"Kaggle could not take in data set {ref} ({state}): look at "
                f"https://www.kaggle.com/datasets/{ref}, then repeat the same line."
            )
        stale = stale if state in FAILED else 0.0
        if state == READY and found.current_version_number > after:
            return found.current_version_number
        hear(f"Kaggle takes data set {ref} in: {state.replace('_', ' ')}, {spent:.0f} s")
    return 0


def _lacking(kaggle: Kaggle, ref: str, wanted: Mapping[str, int]) -> list[str]:
    """Return the files that Kaggle does not list, or with another size, after waiting a moment for the list."""
    lacking: list[str] = []
    for _ in _looks(LIST_SECONDS):
        listed = kaggle.dataset_files(ref)
        lacking = [name for name, size in wanted.items() if listed.get(name) != size]
        if not lacking:
            break
    return lacking


def _looks(seconds: float) -> Iterator[float]:
    """Yield the seconds since the start, now and after longer and longer pauses, until ``seconds`` are over."""
    started, pause = time.monotonic(), FIRST_LOOK
    while True:
        yield time.monotonic() - started
        if time.monotonic() - started + pause > seconds:
            return
        time.sleep(pause)
        pause = min(1.5 * pause, LONGEST_LOOK)
