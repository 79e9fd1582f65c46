"""What becomes of one answer: a new image of the class folder, a duplicate of one that is there, or refused and why."""

import hashlib
import os
import re
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from scrapy.http import Response

from competition.collect.addresses import Failed, Rejected
from competition.collect.known import Known
from competition.collect.options import CollectOptions
from competition.collect.provenance import Row
from competition.core.files import atomic_write
from competition.data.duplicates.perceptual_hash import perceptual_hash
from competition.data.images.decode import UnreadableImage, decode

# The formats that class folders may hold, by how their files begin.
_SIGNATURES = {
    rb"\xff\xd8\xff": ".jpg",
    rb"\x89PNG\r\n\x1a\n": ".png",
    rb"RIFF....WEBP": ".webp",
    rb"GIF8[79]a": ".gif",
    rb"BM": ".bmp",
    rb"II\*\x00|MM\x00\*": ".tif",
}


def extension(raw: bytes) -> str:
    """Return the usual extension of an image file's actual format, empty if class folders cannot hold it."""
    return next((word for pattern, word in _SIGNATURES.items() if re.match(pattern, raw, re.DOTALL)), "")


class Judge:
    """Decides on answers one after the other and stores what is new.

    known: the images in the data set's folder. described: the files that have a row of provenance; one without was
    stored by a run that was killed before its row was, and gets its row now.
    """

    def __init__(self, settings: CollectOptions, known: Known, described: Collection[str]):
        self._settings, self._known, self._described = settings, known, set(described)

    def judged(self, row: Row, folder: str, answer: Response | Rejected | Failed) -> Row:
        """Return ``row`` with what came of its address; an image saved in ``folder`` is on disk by then."""
        row = replace(row, time=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
        if isinstance(answer, Failed):
            return replace(row, status=f"failed: {answer.reason}")
        if isinstance(answer, Rejected):
            return self._refused(row, answer.reason, answer.setting)
        digest, raw = hashlib.sha256(answer.body).hexdigest(), answer.body
        row = replace(row, final_address=answer.url, sha256=digest, bytes=str(len(raw)))
        if extension(raw) or not raw:
            return self._image(row, f"{folder}/{digest[:16]}{extension(raw)}", raw)
        if _is_text(answer):  # "Please wait", say, instead of the image
            return replace(row, status="failed: it is not an image")
        return self._refused(row, "it is of a format that class folders do not hold")

    def _image(self, row: Row, name: str, raw: bytes) -> Row:
        """Return the row for the bytes of what begins as an image."""
        twin = self._known.twin(row.sha256)
        left_behind = twin == name and name not in self._described
        if twin and not left_behind:
            return replace(row, status=f"duplicate of {twin}")
        path = Path(self._settings.out) / name
        if not left_behind and os.path.lexists(path):  # the user has changed the file
            return replace(row, status=f"duplicate of {name}")
        try:
            image = decode(raw, row.address)
        except UnreadableImage as error:
            return self._refused(row, error.reason)
        except MemoryError:
            return replace(row, status="failed: it does not fit into memory")
        (height, width), value = image.shape[:2], perceptual_hash(image)
        row = replace(row, width=str(width), height=str(height), perceptual_hash=f"{value:016x}")
        if min(height, width) < self._settings.min_side:
            return self._refused(row, f"its {width} x {height} pixels are too few", "min_side")
        if not left_behind:
            if similar := self._known.nearest(row.label, value):
                return replace(row, status=f"near-duplicate of {similar}")
            with atomic_write(path, "wb") as file:
                file.write(raw)
            self._known.add(name, row.sha256, value)
        self._described.add(name)
        return replace(row, status="saved", file=name)

    def _refused(self, row: Row, reason: str, setting: str = "") -> Row:
        typed = self._settings.typed(setting) if setting else ""
        return replace(row, status=f"refused: {reason}", setting=typed)


def _is_text(answer: Response) -> bool:
    """Tell whether the server sent a page or a message, whatever it calls it."""
    kind = (answer.headers.get("Content-Type") or b"").lower()
    return kind.startswith((b"text/", b"application/json")) or bool(
        re.match(rb"\s*(<(?!svg|\?xml)|\{)", answer.body[:999])
    )
