"""What becomes of one answer: a new image of the class folder, a duplicate of one that is there, or refused and why."""

import hashlib
import os
import re
from collections.abc import Collection
from datetime import UTC, datetime
from pathlib import Path

from scrapy.http import Response

from competition.collect.addresses import Rejected
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
_TEXT = rb"(?i)(text/|application/json).*\n|.*\n\s*(<(?!svg|\?xml)|\{)"  # by the Content-Type, or by how it begins


class Judge:
    """Decides on answers one after the other and stores what is new.

    known: the images in the data set's folder. described: the files that have a row of provenance; one without was
    stored by a run that was killed before its row was, and gets its row now.
    """

    def __init__(self, settings: CollectOptions, known: Known, described: Collection[str]):
        self._settings, self._known, self._described = settings, known, set(described)

    def judged(self, row: Row, folder: str, answer: Response | Exception) -> Row:
        """Return ``row`` with what came of its address; an image saved in ``folder`` is on disk by then."""
        row = row._replace(time=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
        if isinstance(answer, Rejected):
            return self._refused(row, str(answer), answer.setting)
        if isinstance(answer, Exception):
            return row._replace(status=f"failed: {answer}")
        raw, digest = answer.body, hashlib.sha256(answer.body).hexdigest()
        row = row._replace(final_address=answer.url, sha256=digest, bytes=str(len(raw)))
        endings = [word for pattern, word in _SIGNATURES.items() if re.match(pattern, raw, re.DOTALL)]
        if endings or not raw:
            return self._image(row, f"{folder}/{digest[:16]}{''.join(endings)}", raw)
        if re.match(_TEXT, (answer.headers.get("Content-Type") or b"") + b"\n" + raw[:999]):  # "Please wait", say
            return row._replace(status="failed: it is not an image")
        return self._refused(row, "it is of a format that class folders do not hold")

    def _image(self, row: Row, name: str, raw: bytes) -> Row:
        """Return the row for the bytes of what begins as an image."""
        path, twin = Path(self._settings.out) / name, self._known.by_sha256.get(row.sha256)
        left_behind = twin == name and name not in self._described
        if not left_behind and (twin or os.path.lexists(path)):  # the latter: the user has changed the file
            return row._replace(status=f"duplicate of {twin or name}")
        try:
            image = decode(raw, row.address)
        except UnreadableImage as error:
            return self._refused(row, error.reason)
        except MemoryError:
            return row._replace(status="failed: it does not fit into memory")
        (height, width), value = image.shape[:2], perceptual_hash(image)
        row = row._replace(width=str(width), height=str(height), perceptual_hash=f"{value:016x}")
        if min(height, width) < self._settings.min_side:
            return self._refused(row, f"its {width} x {height} pixels are too few", "min_side")
        if not left_behind:
            if similar := self._known.nearest(row.label, value):
                return row._replace(status=f"near-duplicate of {similar}")
            with atomic_write(path, "wb") as file:
                file.write(raw)
            self._known.add(name, row.sha256, value)
        self._described.add(name)
        return row._replace(status="saved", file=name)

    def _refused(self, row: Row, reason: str, setting: str = "") -> Row:
        return row._replace(status=f"refused: {reason}", setting=self._settings.typed(setting) if setting else "")
