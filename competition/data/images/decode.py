"""The one decoder: every image of the package, training or test, becomes pixels here and nowhere else.

Forensic traces differ between decoders, so there is one (OpenCV's), it never scales while decoding, and its version
(``DECODER``) is part of every cache key. A file that is not a whole image is refused by name, never half-decoded.
"""

import contextlib
import errno
import io
import os
import stat
import struct
import threading
import warnings
import zlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from competition.data.images.formats import chunks_fit, coefficient_bytes, ends_properly, quick_size, still_image

DECODER = f"opencv-{cv2.__version__}-1"  # raise the last number when the steps below change a pixel
MAX_PIXELS = 178_000_000  # PIL's own limit for a decompression bomb, about 13,300 x 13,300
LARGE_PIXELS = 20_000_000  # decoded, 60 million bytes, and several times as many while it is decoded
PIXEL_BYTES, MAX_DECODING_BYTES = 3, 1_400_000_000  # decoded; with all that decoding keeps at a time
MAX_FILE_BYTES = 600_000_000  # as many pixels without compression take fewer: 534 million bytes

# Set at import so that it holds in forked and spawned workers too: images are decoded side by side, one per thread,
# and a pool of OpenCV's own would only compete with them (and deadlock after a fork).
cv2.setNumThreads(0)
# Memory in blocks of over 32 MiB goes back as soon as it is free; of PIL's own, smaller ones a thread keeps over half.
Image.core.set_block_size(64 * 2**20)
# Both announce what is odd in a file on stderr; the exceptions of this module report what matters of it.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", module=r"PIL\.")

# The only formats that PIL may open: others hand the file on to programs (EPS to Ghostscript), or are little tested.
PIL_FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")  # JPEG opens MPO, too
# What its readers raise for damaged files; it reads from memory here, so an OSError is about the file.
PIL_REFUSALS = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    Image.DecompressionBombError,
    LookupError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    struct.error,
    zlib.error,
)
_NO_PATH = "no file can have this path"
_ABOUT_THE_FILE = {
    errno.ENOENT: "there is no such file",
    errno.ENOTDIR: "part of its path is a file, not a folder",
    errno.EACCES: "there is no permission to read it",
    errno.EPERM: "there is no permission to read it",
    errno.ELOOP: "it is a link that leads back to itself",
    errno.ENAMETOOLONG: _NO_PATH,
}


class UnreadableImage(Exception):
    """The file ``path`` is not a whole image, for the plain-words ``reason``.

    Not a :class:`UserError`: what happens to such a row is the caller's declared policy.
    """

    def __init__(self, path: str | Path, reason: str):
        super().__init__(path, reason)
        self.path, self.reason = str(path), reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


def read_bytes(path: str | Path) -> bytes:
    """Return the file's bytes; raise :class:`UnreadableImage` for what is not there, no file, or not permitted.

    What is no plain file (a folder, a pipe, a device) or larger than ``MAX_FILE_BYTES`` is never opened. A fault of the
    machine (a disk error, too many open files) is not about the image and stays an ``OSError``.
    """
    try:
        found = os.stat(path)
        if stat.S_ISDIR(found.st_mode):
            raise UnreadableImage(path, "it is a folder")
        if not stat.S_ISREG(found.st_mode):
            raise UnreadableImage(path, "it is a pipe or a device, not a file")
        if found.st_size > MAX_FILE_BYTES:
            raise UnreadableImage(path, f"its {found.st_size:,} bytes exceed the limit of {MAX_FILE_BYTES:,}")
        with open(path, "rb", buffering=0) as file:
            return file.read()
    except ValueError:
        raise UnreadableImage(path, _NO_PATH) from None
    except OSError as error:
        if error.errno not in _ABOUT_THE_FILE:
            error.filename = os.fspath(path)  # a failing read does not name it
            raise
        raise UnreadableImage(path, _ABOUT_THE_FILE[error.errno]) from None


def read_image(path: str | Path) -> np.ndarray:
    """Read and :func:`decode` one file: uint8 (H, W, 3) RGB."""
    return decode(read_bytes(path), path)


def decode(raw: bytes, path: str | Path) -> np.ndarray:
    """Decode the bytes of one image file into uint8 (H, W, 3) RGB.

    EXIF orientation is applied, alpha dropped; greyscale, palettes, CMYK and 16 bits become 8-bit RGB; of an animation
    the first frame is taken. ``path`` only names the image in the exception. Raises :class:`UnreadableImage` for
    anything that is not a whole image of at most ``MAX_PIXELS`` pixels.
    """
    header_size(raw, path)
    if not ends_properly(raw):  # truncated, or trailing junk, or a rarer format: PIL refuses what is cut short
        _load_with_pil(raw, path)
    if not chunks_fit(raw):  # OpenCV would take the memory that a chunk's length promises, up to 2 GB, before it looks
        raise UnreadableImage(path, "it is damaged")
    try:
        image = cv2.imdecode(np.frombuffer(still_image(raw), np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError(f"{path} does not fit into memory") from None
        raise UnreadableImage(path, f"OpenCV cannot decode it ({error.err or error.code})") from None
    if image is None:
        raise UnreadableImage(path, "it is damaged, or of a kind that OpenCV cannot decode")
    return image


_one_large = threading.Lock()


@contextlib.contextmanager
def room_for(size: tuple[int, int]) -> Iterator[None]:
    """Hold a picture of this (height, width): of pictures of over ``LARGE_PIXELS`` one thread of a process at a time.

    Threads that decode side by side would else take as many times the memory of the largest picture there may be.
    """
    with _one_large if size[0] * size[1] > LARGE_PIXELS else contextlib.nullcontext():
        yield


def header_size(raw: bytes, path: str | Path) -> tuple[int, int]:
    """Return (height, width) as the header states them, before any EXIF rotation, without decoding.

    Raises :class:`UnreadableImage` where there is no image header, or one of more than ``MAX_PIXELS`` pixels.
    """
    if not raw:
        raise UnreadableImage(path, "the file is empty")
    if (size := quick_size(raw)) is None:
        with _open_with_pil(raw, path) as image:
            size = image.height, image.width
    if size[0] * size[1] > MAX_PIXELS:
        raise UnreadableImage(path, f"its {size[1]} x {size[0]} pixels exceed the limit of {MAX_PIXELS:,}")
    if size[0] * size[1] * (PIXEL_BYTES + coefficient_bytes(raw)) > MAX_DECODING_BYTES:
        raise UnreadableImage(path, f"its {size[1]} x {size[0]} pixels are too many for a progressive JPEG")
    return size


def fit_store(image: np.ndarray, size: int, cap: int = 0) -> np.ndarray:
    """Bring an image (H, W, C) to the size in which it is stored.

    ``size`` N > 0: exactly N x N, whatever its aspect. ``size`` 0: native, scaled down only if its longer side exceeds
    ``cap`` (0 = no limit), keeping its aspect. Shrinking averages areas, so that it does not alias; enlarging is
    bilinear. An image that already fits is returned itself. ``cap`` plays no part when ``size`` is given.
    """
    height, width, channels = image.shape
    rows, columns = stored_size(height, width, size, cap)
    if (rows, columns) == (height, width):
        return image
    shrinks = rows <= height and columns <= width
    resized = cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return resized.reshape(rows, columns, channels)  # OpenCV drops a single channel's axis


def stored_size(height: int, width: int, size: int, cap: int) -> tuple[int, int]:
    """Return the (height, width) that :func:`fit_store` gives an image of this height and width."""
    if size:
        return size, size
    longer = max(height, width)
    if not cap or longer <= cap:
        return height, width
    return max(1, round(height * cap / longer)), max(1, round(width * cap / longer))


def _open_with_pil(raw: bytes, path: str | Path) -> Image.Image:
    try:
        return Image.open(io.BytesIO(raw), formats=PIL_FORMATS)
    except Image.DecompressionBombError:
        raise UnreadableImage(path, f"its pixels exceed the limit of {MAX_PIXELS:,}") from None
    except PIL_REFUSALS:
        raise UnreadableImage(path, "it is not a JPEG, PNG, WebP, BMP, TIFF or GIF image") from None


def _load_with_pil(raw: bytes, path: str | Path) -> None:
    """Refuse the image if PIL, which checks that all pixels are there, does."""
    with _open_with_pil(raw, path) as image:
        try:
            image.load()
        except PIL_REFUSALS as error:
            raise UnreadableImage(path, f"it is {'truncated' if 'truncated' in str(error) else 'damaged'}") from None
