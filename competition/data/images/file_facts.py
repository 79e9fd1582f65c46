"""What a file says of itself besides its pixels: format, EXIF, ICC, size, JPEG tables; from its bytes alone."""

import contextlib
import hashlib
import io
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, JpegImagePlugin

from competition.core.text import one_line
from competition.data.images.credentials import read_credentials
from competition.data.images.decode import PIL_FORMATS, PIL_REFUSALS, UnreadableImage, header_size

_MAKE, _MODEL, _SOFTWARE, _DESCRIPTION, _ARTIST = 271, 272, 305, 270, 315
_SUBSAMPLING = {0: "4:4:4", 1: "4:2:2", 2: "4:2:0"}
MAX_TEXT = 80  # characters of each
_NO_TEXT = ("exif", "icc_profile", "xmp", "jfif_unit")
# The luminance table of JPEG quality 50 (ITU-T T.81, annex K.1), row by row.
_LUMINANCE = np.array(
    """
    16 11 10 16  24  40  51  61
    12 12 14 19  26  58  60  55
    14 13 16 24  40  57  69  56
    14 17 22 29  51  87  80  62
    18 22 37 56  68 109 103  77
    24 35 55 64  81 104 113  92
    49 64 78 87 103 121 120 101
    72 92 95 98 112 100 103  99
    """.split(),
    np.int64,
)
_QUALITY = np.arange(1, 101)
_SCALE = np.where(_QUALITY < 50, 5000 // _QUALITY, 200 - 2 * _QUALITY)  # jcparam.c, jpeg_quality_scaling
_TABLES = np.clip((_LUMINANCE * _SCALE[:, None] + 50) // 100, 1, 255)  # (100, 64), as libjpeg, OpenCV and Pillow write

NUMBERS = ("width", "height", "aspect", "bytes", "bits_per_pixel", "jpeg_quality")
# Names of which ``None`` or False is the ordinary case: a row is marked by having it.
KINDS = tuple(
    "container exif camera software exif_text exif_tags text text_keys credentials icc jpeg_tables subsampling "
    "progressive mode alpha greyscale".split()
)


def file_facts(raw: bytes) -> dict[str, Any]:
    """Return the ``NUMBERS`` and ``KINDS`` of one file, as JSON values, ``None`` for what it has not.

    Of a file that is no image only ``bytes`` is given; of one that the decoder alone reads, whose size PIL cannot tell,
    its size as well. ``greyscale`` needs the pixels and is ``None`` here. ``credentials`` is the mark of its Content
    Credentials, False where it has none.
    """
    facts: dict[str, Any] = dict.fromkeys((*NUMBERS, *KINDS)) | {"bytes": len(raw)}
    with contextlib.suppress(UnreadableImage):
        height, width = header_size(raw, "")
        facts |= _size(width, height, len(raw))
    try:
        with Image.open(io.BytesIO(raw), formats=PIL_FORMATS) as image:
            facts |= _header(image, raw) | _exif(image) | _texts(image)
            if isinstance(image, JpegImagePlugin.JpegImageFile):
                facts |= _jpeg(image)
    except PIL_REFUSALS:
        pass  # whether it can be decoded, and why not, is for the decoder to say
    return facts


def _header(image: Image.Image, raw: bytes) -> dict[str, Any]:
    icc, credentials = image.info.get("icc_profile"), read_credentials(raw)
    return {
        "container": "JPEG" if image.format == "MPO" else image.format,
        **_size(*image.size, len(raw)),
        "mode": image.mode,
        "alpha": image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info,
        "icc": _short(icc) if icc else None,
        "credentials": credentials.mark if credentials else False,
    }


def _size(width: int, height: int, length: int) -> dict[str, Any]:
    return {
        "width": width,
        "height": height,
        "aspect": round(width / max(height, 1), 4),
        "bits_per_pixel": round(8 * length / max(width * height, 1), 4),
    }


def _exif(image: Image.Image) -> dict[str, Any]:
    # Not image.getexif(): that would decode a PNG's pixels.
    raw = image.info.get("exif")
    if not raw:
        return {"exif": False}
    exif = Image.Exif()
    try:
        exif.load(raw)
        tags = dict(exif)
    except PIL_REFUSALS:
        return {"exif": True, "exif_tags": "damaged"}
    camera = " ".join(one_line(tags.get(tag), MAX_TEXT) for tag in (_MAKE, _MODEL)).strip()
    texts = " | ".join(filter(None, (one_line(tags.get(tag), MAX_TEXT) for tag in (_DESCRIPTION, _ARTIST))))
    return {
        "exif": True,
        "exif_tags": ",".join(map(str, sorted(tags))),
        "camera": camera or None,
        "software": one_line(tags.get(_SOFTWARE), MAX_TEXT) or None,
        "exif_text": texts or None,
    }


def _texts(image: Image.Image) -> dict[str, Any]:
    """Return texts outside of EXIF: JPEG comments, PNG text (where image generators write their prompts), XMP."""
    texts = {
        str(key): value for key, value in image.info.items() if isinstance(value, str | bytes) and key not in _NO_TEXT
    }
    keys = sorted([*texts, *(["xmp"] if image.info.get("xmp") else [])])
    text = " | ".join(f"{key}={one_line(texts[key], MAX_TEXT)}" for key in sorted(texts))
    return {"text_keys": ",".join(keys) or None, "text": text or None}


def _jpeg(image: JpegImagePlugin.JpegImageFile) -> dict[str, Any]:
    tables = {number: tuple(table) for number, table in sorted(image.quantization.items())}
    return {
        "jpeg_quality": jpeg_quality(tables[min(tables)])[0] if tables else None,
        "jpeg_tables": _short(repr(tables).encode()),
        "subsampling": _SUBSAMPLING.get(JpegImagePlugin.get_sampling(image), "other"),
        "progressive": bool(image.info.get("progressive", False)),
    }


def jpeg_quality(table: ArrayLike) -> tuple[int, float]:
    """Return the quality 1..100 whose standard luminance table is nearest, and the mean absolute difference of steps.

    ``table`` holds the 64 steps of a luminance table, row by row. Qualities that make the same table count as the
    lowest of them.
    """
    differences = np.abs(_TABLES - np.asarray(table, np.int64)).mean(axis=1)
    best = int(differences.argmin())
    return int(_QUALITY[best]), float(differences[best])


def _short(raw: bytes) -> str:
    return hashlib.blake2b(raw, digest_size=4).hexdigest()
