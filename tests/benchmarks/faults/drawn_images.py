"""Image files as a stranger's folder may hold them: every format and kind of pixel, then cut, flipped or swollen.

Everything is drawn from the generator that is given: the same generator gives the same files.
"""

import ctypes
import io
import struct
import warnings
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from PIL import Image, ImageCms

from competition.data.images.decode import PIL_REFUSALS

# Formats whose writers are programs of their own, or stubs that some other package has to fill.
UNWRITTEN = ("BUFR", "GRIB", "HDF5", "WMF")
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr", "LAB", "HSV", "I", "I;16", "F")
OPENCV = ".bmp .dib .jpg .jp2 .png .webp .avif .pbm .pgm .ppm .pnm .pfm .sr .tiff .hdr .gif .pam".split()
# PIL's TIFF writer damages its own memory where a mode does not go with a compression, hence only these pairs.
TIFF_WAYS = {"1": ("raw", "group3", "group4", "packbits"), "RGB": ("jpeg", "raw", "tiff_lzw"), "L": ("jpeg", "raw")}
TIFF_USUAL = ("raw", "tiff_lzw", "tiff_deflate", "packbits")
ORIENTATION = 274  # the EXIF tag
SLIM = (1, 2, 3, 60_000, 32_768, 65_000)  # sides of absurd aspects
PERTURB = -6  # glibc's M_PERTURB
HUGE_PART = 1 / 400  # of files: each takes a few seconds in each way of reading
SWOLLEN = (13_000, 13_342, 20_000, 46_341, 65_500, 2**31 - 1)  # sides that a bomb's header claims


@dataclass(frozen=True)
class Drawn:
    """A file: ``what`` it is in words, the ``suffix`` that it is given, and its bytes."""

    what: str
    suffix: str
    raw: bytes


def draw_files(rng: np.random.Generator, count: int) -> list[Drawn]:
    """Return ``count`` files; a few are whole pictures of all but as many pixels as are read."""
    fill_memory(90)  # some writers leave bytes between the rows as they find them
    try:
        return [_draw_file(rng) for _ in range(count)]
    finally:
        fill_memory(0)


def fill_memory(byte: int) -> None:
    """Have what malloc gives out filled with a byte, where the C library can; 0: as it comes."""
    if mallopt := getattr(ctypes.CDLL(None), "mallopt", None):
        mallopt(PERTURB, byte)


def _draw_file(rng: np.random.Generator) -> Drawn:
    if rng.random() < HUGE_PART:
        return _huge(rng)
    drawn = _from_opencv(rng) if rng.random() < 0.3 else _from_pil(rng)
    damage = DAMAGES[rng.choice(len(DAMAGES), p=[0.4, 0.25, 0.2, 0.05, 0.05, 0.05])]
    what, raw = damage(rng, drawn.raw)
    suffix = drawn.suffix if rng.random() < 0.9 else str(rng.choice([".jpg", ".png", ".JPEG", ".webp", ".tif", ".gif"]))
    return Drawn(f"{drawn.what}{what}", suffix, raw)


def _pixels(rng: np.random.Generator) -> np.ndarray:
    """Return uint8 (h, w, 3): something smooth under some noise; one in twelve of an absurd aspect."""
    height, width = rng.integers(8, 120, 2).tolist()
    if rng.random() < 1 / 12:
        height, width = rng.permutation([int(rng.choice(SLIM[:3])), int(rng.choice(SLIM[3:]))]).tolist()
    y, x = np.mgrid[0:height, 0:width]
    smooth = np.stack([x * 255 // width, y * 255 // height, (x + y) % 256], -1)
    return np.clip(smooth + rng.normal(0, rng.choice([0, 3, 40]), smooth.shape), 0, 255).astype(np.uint8)


def _from_pil(rng: np.random.Generator) -> Drawn:
    """Return a file that PIL wrote, in a format and a mode drawn, or in the mode nearest that the format takes."""
    Image.init()
    usual = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "MPO")
    kinds = usual if rng.random() < 0.75 else sorted(set(Image.SAVE) - set(UNWRITTEN))
    kind = kinds[rng.integers(len(kinds))]
    modes = [MODES[rng.integers(len(MODES))], "RGB", "L", "F", "P", "1"]
    pixels, how = Image.fromarray(_pixels(rng)), _options(rng, kind)
    if kind == "TIFF":
        # Further pages have a mode of their own; and libtiff dies of writing slim pictures as JPEG.
        own = {} if "save_all" in how or min(pixels.size) < 8 or max(pixels.size) > 1000 else TIFF_WAYS
        how["compression"] = str(rng.choice(own.get(modes[0], TIFF_USUAL)))
    for mode in modes:
        for given in (how, {}) if mode == modes[0] else ({},):  # a mode may not go with, say, a compression
            file = io.BytesIO()
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    _in_mode(pixels, mode).save(file, kind, **given)
            except (*PIL_REFUSALS, NameError, SystemError):  # NameError: a fault of its own
                continue
            words = " ".join(f"{key}={_short(value)}" for key, value in given.items())
            size = f"{pixels.width}x{pixels.height}"
            return Drawn(f"PIL {kind} {mode} {size} {words}".strip(), f".{kind.lower()[:4]}", file.getvalue())
    return _from_pil(rng)  # a side may be longer than the format takes


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    if mode in ("PA", "LAB", "HSV", "I", "I;16", "F"):
        through = {"PA": "P", "I;16": "L", "I": "L", "F": "L"}.get(mode, "RGB")
        if mode == "LAB":
            lab = ImageCms.buildTransform(ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), "RGB", "LAB")
            return ImageCms.applyTransform(image, lab)
        if mode == "I;16":
            return Image.fromarray(np.asarray(image.convert("L"), np.uint16) * 257)
        return image.convert(through).convert(mode)
    return image.convert(mode)


def _options(rng: np.random.Generator, kind: str) -> dict[str, Any]:
    """Return options that the format has, each taken or left by chance."""
    frames = [Image.fromarray(_pixels(rng)) for _ in range(2)]
    exif = _exif(rng, thumbnail=kind in ("JPEG", "MPO"))
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    animated = {"save_all": True, "append_images": frames}
    jpeg = {"quality": int(rng.integers(1, 101)), "progressive": True, "subsampling": int(rng.integers(3))}
    choices: dict[str, list[dict[str, Any]]] = {
        "JPEG": [jpeg, {"exif": exif}, {"icc_profile": profile}, {"comment": bytes(70)}, {"optimize": True}],
        "MPO": [animated, {"quality": 60}, {"exif": exif}],
        "PNG": [{"exif": exif}, {"icc_profile": profile}, {"transparency": 3}, {"bits": 4}, animated],
        "WEBP": [{"lossless": True}, {"exif": exif}, {"icc_profile": profile}, {**animated, "duration": 50}],
        "GIF": [{**animated, "duration": 50}, {"transparency": 3}, {"interlace": True}],
        "TIFF": [
            {"big_tiff": True},
            {"tiffinfo": {ORIENTATION: int(rng.integers(1, 9))}},
            animated,
            {"icc_profile": profile},
        ],
        "AVIF": [{"exif": exif}, {**animated, "duration": 50}],
    }
    taken = [option for option in choices.get(kind, []) if rng.random() < 0.4]
    return {key: value for option in taken for key, value in option.items()}


def _exif(rng: np.random.Generator, thumbnail: bool) -> bytes:
    """Return EXIF with one of the eight orientations, and perhaps a whole JPEG of eight pixels as thumbnail."""
    exif = Image.Exif()
    exif[ORIENTATION] = int(rng.integers(1, 9))
    raw = exif.tobytes()
    if not thumbnail or rng.random() < 0.5:
        return raw
    small = io.BytesIO()
    Image.fromarray(_pixels(rng)).resize((8, 8)).save(small, "JPEG")
    return raw + small.getvalue()  # where a reader that looks for end marks finds one


def _short(value: Any) -> str:
    return f"{len(value)}" if isinstance(value, bytes | list) else str(value).replace(" ", "")


def _from_opencv(rng: np.random.Generator) -> Drawn:
    """Return a file that OpenCV wrote, of 8, 16 or 32 bits and 1, 3 or 4 channels as far as the format takes them."""
    suffix = OPENCV[rng.integers(len(OPENCV))]
    pixels = _pixels(rng)
    channels, depth = int(rng.choice([1, 3, 4])), str(rng.choice(["uint8", "uint16", "float32"]))
    for many, kind in ((channels, depth), (channels, "uint8"), (3, "uint8"), (1, "uint8"), (3, "float32")):
        picture = np.concatenate([pixels, pixels[..., :1]], -1)[..., :many].astype(kind)
        picture = picture * 257 if kind == "uint16" else picture
        try:
            fine, raw = cv2.imencode(suffix, picture)
        except cv2.error:
            continue
        if fine:
            size = f"{pixels.shape[1]}x{pixels.shape[0]}"
            return Drawn(f"OpenCV {suffix} {kind} of {many} {size}", suffix, raw.tobytes())
    return _from_pil(rng)  # a side may be longer than the format takes


def _huge(rng: np.random.Generator) -> Drawn:
    """Return a whole picture of all but as many pixels as are read, in a few kilobytes or megabytes."""
    width = int(rng.choice([13_300, 7_000, 60_000]))
    height = 7_000 if width == 7_000 else 177_000_000 // width
    kind, mode, how = HUGE[rng.integers(len(HUGE))]
    if kind == "PNG16":
        return Drawn(f"PNG of 16 bits and alpha {width}x{height}", ".png", _deep_png(width, height))
    if kind == "WEBP":
        width, height = 13_300, 13_300
    file = io.BytesIO()
    Image.new(mode, (width, height)).save(file, kind, **how)
    return Drawn(f"huge {kind} {mode} {width}x{height} {_short(how)}", f".{kind.lower()}", file.getvalue())


HUGE: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("PNG16", "", {}),
    ("JPEG", "CMYK", {"progressive": True}),
    ("JPEG", "L", {}),
    ("TIFF", "CMYK", {"compression": "tiff_deflate"}),
    ("TIFF", "I;16", {"compression": "tiff_deflate"}),
    ("TIFF", "1", {"compression": "group4"}),
    ("GIF", "P", {}),
    ("WEBP", "RGB", {"lossless": True}),
)


def png(width: int, height: int, depth: int, colour: int, pixels: bytes) -> bytes:
    """Return a PNG that claims this size and holds these compressed pixels, whether they fit or not."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def _deep_png(width: int, height: int) -> bytes:
    packed = zlib.compressobj(1)
    row = bytes(1 + 8 * width)
    return png(width, height, 16, 6, b"".join([packed.compress(row) for _ in range(height)]) + packed.flush())


def _whole(rng: np.random.Generator, raw: bytes) -> tuple[str, bytes]:
    return "", raw


def _cut(rng: np.random.Generator, raw: bytes) -> tuple[str, bytes]:
    part = int(rng.integers(0, 20)) * 5
    return f", cut at {part} %", raw[: len(raw) * part // 100]


def _flipped(rng: np.random.Generator, raw: bytes) -> tuple[str, bytes]:
    """Flip 1 to 20 bits, of half of the files in their first 200 bytes alone, where headers are."""
    end = min(len(raw), 200) if rng.random() < 0.5 else len(raw)
    bits = rng.integers(0, 8 * end, int(rng.integers(1, 21)))
    damaged = bytearray(raw)
    for bit in bits.tolist():
        damaged[bit // 8] ^= 1 << bit % 8
    return f", {len(bits)} bits flipped in the first {end:,} bytes", bytes(damaged)


def _ended(rng: np.random.Generator, raw: bytes) -> tuple[str, bytes]:
    """Cut a piece out of the middle and leave the end with its mark."""
    start, length = int(rng.integers(len(raw))), int(rng.integers(1, max(2, len(raw) // 2)))
    return f", {length:,} bytes taken out at {start:,}", raw[:start] + raw[start + length :]


def _followed(rng: np.random.Generator, raw: bytes) -> tuple[str, bytes]:
    more = rng.bytes(int(rng.integers(1, 400))) if rng.random() < 0.5 else bytes(int(rng.integers(1, 400)))
    return f", followed by {len(more)} bytes", raw + more


def _swollen(rng: np.random.Generator, raw: bytes) -> tuple[str, bytes]:
    """Have the header claim another size, in each place of the first 200 bytes where a format may keep it."""
    side = int(rng.choice(SWOLLEN))
    if raw.startswith(b"\x89PNG"):
        depth, colour = [(1, 0), (8, 2), (16, 6)][rng.integers(3)]
        return f", claiming {side} x {side}", png(side, side, depth, colour, raw[60:])
    at = raw.find(b"\xff\xc0") + 5 if raw.startswith(b"\xff\xd8") else int(rng.choice([6, 18, 22, 26]))
    short = min(side, 65_535)
    claimed = struct.pack(">HH", short, short) if raw.startswith(b"\xff\xd8") else struct.pack("<HH", short, short)
    return f", claiming {short} at {at}", raw[:at] + claimed + raw[at + 4 :]


DAMAGES: Sequence[Callable[[np.random.Generator, bytes], tuple[str, bytes]]] = (
    _whole,
    _cut,
    _flipped,
    _ended,
    _followed,
    _swollen,
)
