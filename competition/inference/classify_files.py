"""A classifier's verdicts on files, in order: images are decoded in threads while the models look at earlier ones."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import numpy as np

from competition.core.files import cores
from competition.data.images.credentials import short_credentials
from competition.data.images.decode import LARGE_PIXELS, UnreadableImage, decode, header_size, read_bytes, read_image
from competition.inference.classify import Classifier, Verdict

BATCH_BYTES = 60_000_000  # of the images that the models see at a time; a larger one is seen alone

FileVerdict = tuple[Path, Verdict | str, str]  # a file, its verdict or why it cannot be read, and its credentials


def classify_files(classifier: Classifier, files: Iterable[Path | None], trust: str = "") -> Iterator[FileVerdict]:
    """Yield every file's verdict, or why it cannot be read, with its Content Credentials in a few words, in order.

    None among ``files`` says that the next one may be long in coming: those before it are judged first. Held are the
    images of one batch and a few that are decoded ahead, whatever the number of files. ``trust``: certificates of
    trusted signers, as in :func:`competition.data.images.credentials.read_credentials`.
    """
    workers = cores()
    waiting: deque = deque()
    batch: list[tuple[Path, np.ndarray | str, str]] = []
    held = 0
    pool = ThreadPoolExecutor(workers)  # OpenCV lets go of the interpreter
    try:
        for path in chain(files, [None]):
            if path is not None:
                waiting.append((path, pool.submit(_read_ahead, path, trust)))
            while len(waiting) > (2 * workers if path is not None else 0):
                first, ahead = waiting.popleft()
                image, credentials = ahead.result()
                batch.append((first, _decoded(first) if image is None else image, credentials))
                held += getattr(batch[-1][1], "nbytes", 0)
                if len(batch) >= classifier.batch or held > BATCH_BYTES:
                    del ahead, image
                    yield from _judged(classifier, batch)
                    batch, held = [], 0
            if path is None:
                yield from _judged(classifier, batch)
                batch, held = [], 0
    finally:
        pool.shutdown(cancel_futures=True)


def _decoded(path: Path) -> np.ndarray | str:
    """Return a file's image, or why it has none."""
    try:
        return read_image(path)
    except UnreadableImage as error:
        return error.reason


def _read_ahead(path: Path, trust: str) -> tuple[np.ndarray | str | None, str]:
    """Return what :func:`_decoded` does, but None for a large image, of which one alone is to be held; and the file's
    credentials."""
    try:
        raw = read_bytes(path)
        height, width = header_size(raw, path)
        image = None if height * width > LARGE_PIXELS else decode(raw, path)
        return image, short_credentials(raw, trust)
    except UnreadableImage as error:
        return error.reason, ""


def _judged(classifier: Classifier, batch: Sequence[tuple[Path, np.ndarray | str, str]]) -> Iterator[FileVerdict]:
    verdicts = iter(classifier.classify([image for _, image, _ in batch if not isinstance(image, str)]))
    for path, image, credentials in batch:
        yield path, image if isinstance(image, str) else next(verdicts), credentials
