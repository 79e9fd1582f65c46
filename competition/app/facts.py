"""What the file itself tells, before any network looks: format, compression and the marks that software leaves.

Facts are hints, never a verdict: metadata is easily removed or forged. Promises: no decodable image makes this raise,
and no text from a file leaves it unprintable or long; a place on Earth never leaves it.
"""

import contextlib
import io
import warnings
from pathlib import PurePath
from typing import Any

from numpy.typing import ArrayLike
from PIL import Image
from PIL.ExifTags import IFD, Base
from PIL.JpegImagePlugin import get_sampling

from competition.core.text import one_line
from competition.data.images.credentials import Credentials
from competition.data.images.decode import PIL_REFUSALS
from competition.data.images.file_facts import jpeg_quality

MAX_CHARACTERS = 80  # characters of any text from a file
MAX_SAME_TABLE = 1.0  # mean difference of quantisation steps up to which a table counts as the standard's

_MODES = {
    "1": "black and white, 1 bit",
    "L": "grey, 8 bit",
    "P": "palette",
    "RGB": "RGB, 8 bit",
    "CMYK": "CMYK",
    "RGBA": "RGB with alpha",
    "LA": "grey with alpha",
    "PA": "palette with alpha",
    "YCbCr": "YCbCr",
    "LAB": "Lab",
    "I": "grey, 32 bit",
    "F": "grey, floating point",
}
_SUBSAMPLING = {0: "4:4:4 (none)", 1: "4:2:2", 2: "4:2:0"}
# Text chunks in which image generators keep their prompts and settings.
_GENERATOR_KEYS = frozenset(
    "parameters prompt workflow negative_prompt dream sd-metadata invokeai_metadata generation_data aesthetic_score "
    "comment software description title".split()
)


def fact_lines(raw: bytes, name: str, credentials: Credentials | None = None) -> list[tuple[str, str]]:
    """Return (what, value) pairs about an image file of these bytes and this name, in the order to be shown.

    ``credentials`` is what :func:`competition.data.images.credentials.read_credentials` found in it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PIL warns of damaged metadata and of large images
        try:
            image = Image.open(io.BytesIO(raw))
        except PIL_REFUSALS:  # some formats only OpenCV knows
            return [("format", "not one that Pillow knows"), ("bytes", f"{len(raw):,}"), *_provenance(raw, credentials)]
        with image:
            return [
                *_shape(image, raw, name),
                *_compression(image),
                *_exif(image),
                *_colour_profile(image),
                *_texts(image),
                *_provenance(raw, credentials),
            ]


def _shape(image: Image.Image, raw: bytes, name: str) -> list[tuple[str, str]]:
    kind = image.format or "unknown"
    suffix = PurePath(name).suffix.lower()
    claimed = Image.registered_extensions().get(suffix)
    facts = [("format", kind)]
    if claimed and claimed != kind and (claimed, kind) != ("JPEG", "MPO"):  # an MPO begins as a JPEG
        facts.append(("name", f"ends in {_printable(suffix)}, but the content is {kind}"))
    facts += [
        ("size", f"{image.width} x {image.height} pixels"),
        ("bytes", f"{len(raw):,} ({8 * len(raw) / (image.width * image.height):.2f} bits per pixel)"),
        ("mode", _mode(image, raw)),
    ]
    frames = _or_none(lambda: getattr(image, "n_frames", 1))
    if frames and frames > 1:
        facts.append(("frames", f"{frames:,} (only the first is judged)"))
    return facts


def _mode(image: Image.Image, raw: bytes) -> str:
    # Pillow shows a colour PNG of 16 bits as one of 8: its header's bit depth does not lie.
    deep = image.mode.startswith("I;16") or (image.format == "PNG" and raw[24:25] == b"\x10")
    mode = "grey" if image.mode.startswith("I;16") else _MODES.get(image.mode, image.mode)
    alpha = ", with a transparent colour" if "transparency" in image.info else ""
    return (f"{mode.removesuffix(', 8 bit')}, 16 bit" if deep else mode) + alpha


def _compression(image: Image.Image) -> list[tuple[str, str]]:
    tables = getattr(image, "quantization", None)
    if not tables:
        return []
    facts = [("JPEG quality", _or_none(lambda: _quality(tables)) or "not a standard table")]
    sampling = _or_none(lambda: get_sampling(image))
    if image.mode in ("RGB", "YCbCr") and sampling is not None:
        facts.append(("chroma subsampling", _SUBSAMPLING.get(sampling, "unusual")))
    facts.append(("scan", "progressive" if image.info.get("progressive") else "sequential"))
    return facts


def _quality(tables: dict[int, ArrayLike]) -> str:
    quality, difference = jpeg_quality(tables[min(tables)])
    if difference > MAX_SAME_TABLE:
        return f"not a standard table (nearest: {quality})"
    return f"{quality} (the standard table)" if difference == 0 else f"about {quality} (almost the standard table)"


def _exif(image: Image.Image) -> list[tuple[str, str]]:
    exif = _or_none(image.getexif)
    if not exif:
        return [("EXIF", "none")]
    tags = {"camera": Base.Make, "model": Base.Model, "software": Base.Software}
    facts = [("EXIF", f"present, {len(exif)} entries" if len(exif) != 1 else "present, 1 entry")]
    facts += [(f"EXIF {word}", _printable(exif[tag])) for word, tag in tags.items() if exif.get(tag)]
    if IFD.GPSInfo in exif:
        facts.append(("EXIF place", "present (not shown)"))
    return facts


def _colour_profile(image: Image.Image) -> list[tuple[str, str]]:
    profile = image.info.get("icc_profile")
    return [("ICC profile", f"{len(profile):,} bytes")] if isinstance(profile, bytes) and profile else []


def _texts(image: Image.Image) -> list[tuple[str, str]]:
    """Return what generators and editors write into text chunks (PNG) and comments."""
    if image.format == "PNG":
        _or_none(image.load)  # chunks may follow the pixels
    texts = {str(key): text for key, text in image.info.items() if text and isinstance(text, str | bytes)}
    known = [key for key in texts if key.lower() in _GENERATOR_KEYS]
    return [(f"text '{_printable(key)}'", _printable(texts[key])) for key in known]


def _provenance(raw: bytes, credentials: Credentials | None) -> list[tuple[str, str]]:
    """Return the Content Credentials (C2PA), and IPTC's digital source type (in XMP) by its mark, which is no proof."""
    facts = [("content credentials", credentials.sentence())] if credentials else []
    for word, meaning in [
        ("compositeWithTrainedAlgorithmicMedia", "partly made by AI, it says"),
        ("trainedAlgorithmicMedia", "made by AI, it says"),
    ]:
        if f"/{word}".encode() in raw or f">{word}".encode() in raw or f'"{word}'.encode() in raw:
            facts.append(("digital source type", f"{word} ({meaning})"))
    return facts


def _printable(text: Any) -> str:
    return one_line(text, MAX_CHARACTERS)


def _or_none(read) -> Any:
    """Return what ``read`` does, or ``None`` where the file's metadata is damaged."""
    with contextlib.suppress(*PIL_REFUSALS):
        return read()
    return None
