"""The images of a data set's folder: what an answer holds is a new one, a duplicate, or refused and why."""

import hashlib
import re
from array import array
from collections import defaultdict
from pathlib import Path

import numpy as np
from scrapy.http import Response, TextResponse

from competition.collect.options import CollectOptions
from competition.collect.provenance import NAME, Row, read_rows
from competition.core.files import atomic_write
from competition.data.duplicates.copies import fingerprints
from competition.data.duplicates.perceptual_hash import near, perceptual_hash
from competition.data.images.decode import UnreadableImage, decode
from competition.data.images.file_facts import file_facts
from competition.data.layouts.class_folders import images


class ImageFolder:
    """Images by content; their names are relative to the data set's folder, and begin with the label.

    The same bytes are known whatever the label. A near-duplicate is one of the same label only: an image and its edit
    by AI are alike, and the pairs from which there is most to learn.
    """

    def __init__(self, options: CollectOptions):
        """Look at every image there, whatever its class, unless a row of provenance says what it holds.

        Images that were saved and are gone are remembered, for the user has weeded them out. One that was saved and
        has no row yet, because its run was killed, is forgotten: it comes again, and gets its row.
        """
        self._options, self._out = options, Path(options.out)
        self._by_sha256: dict[str, str] = {}
        self._names: dict[str, list[str]] = defaultdict(list)
        self._hashes: dict[str, array[int]] = defaultdict(lambda: array("Q"))  # grow in place, for there may be many
        rows = {row.file: row for path in sorted(self._out.glob(f"*/{NAME}")) for row in read_rows(path) if row.file}
        told = {name: row for name, row in rows.items() if re.fullmatch("[0-9a-f]{16}", row.perceptual_hash)}
        for name, row in told.items():
            self._remember(name, row.sha256, int(row.perceptual_hash, 16))
        unknown = {name: path for name, path in sorted(images(self._out, self._out)) if name not in told}
        found = fingerprints(list(unknown.values()), f"{options.out}: looking at the images there")
        for name, (digest, value) in zip(unknown, found, strict=True):
            if name in rows or Path(name).stem != digest[:16]:
                self._remember(name, digest, value)

    def _remember(self, name: str, digest: str, value: int | None) -> None:
        self._by_sha256.setdefault(digest, name)
        if value is not None:
            label = name.partition("/")[0]
            self._names[label].append(name)
            self._hashes[label].append(value)

    def judged(self, row: Row, folder: str, answer: Response) -> Row:
        """Return ``row`` with what came of its address; an image saved in ``folder`` is on disk by then."""
        raw, digest = answer.body, hashlib.sha256(answer.body).hexdigest()
        row = row._replace(final_address=answer.url, sha256=digest, bytes=str(len(raw)))
        if twin := self._by_sha256.get(digest):
            return row._replace(status=f"duplicate of {twin}")
        try:
            image = decode(raw, row.address)
        except UnreadableImage as error:  # a page in an image's place, "Please wait", say, may be gone tomorrow
            kind = "failed" if isinstance(answer, TextResponse) else "refused"
            return row._replace(status=f"{kind}: {error.reason}")
        (height, width), value = image.shape[:2], perceptual_hash(image)
        row = row._replace(width=str(width), height=str(height), perceptual_hash=f"{value:016x}")
        if min(height, width) < self._options.min_side:
            reason = f"refused: its {width} x {height} pixels are too few"
            return row._replace(status=reason, setting=self._options.typed("min_side"))
        similar = near(np.frombuffer(self._hashes[row.label], np.uint64), value)
        if len(similar):
            return row._replace(status=f"near-duplicate of {self._names[row.label][similar[0]]}")
        name = f"{folder}/{digest[:16]}.{(file_facts(raw)['container'] or 'jpeg').lower()}"
        with atomic_write(self._out / name, "wb") as file:
            file.write(raw)
        self._remember(name, digest, value)
        return row._replace(status="saved", file=name)
