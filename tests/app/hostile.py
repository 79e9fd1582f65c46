"""Files that a web page meets sooner or later."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

from tests.runs import random_pictures


def encoded(image: Image.Image, kind: str, **how: object) -> bytes:
    """Return the bytes of the image in a format that Pillow writes."""
    file = io.BytesIO()
    image.save(file, kind, **how)
    return file.getvalue()


def picture(height: int = 64, width: int = 64) -> Image.Image:
    """Return a coloured, noisy picture."""
    return Image.fromarray(random_pictures((height, width))[0])


def bomb(side: int = 50_000) -> bytes:
    """Return a whole PNG of ``side`` x ``side`` black pixels, a bit each and all in a few kilobytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compressobj(9)
    pixels = b"".join(rows.compress(bytes(1 + -(-side // 8))) for _ in range(100)) + rows.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def _palette_with_alpha() -> bytes:
    image = picture().quantize(16)
    return encoded(image, "PNG", transparency=bytes(range(0, 256, 16)))


def _half(raw: bytes) -> bytes:
    return raw[: (len(raw) + 600) // 2]  # the header is some 600 bytes


def _sixteen_bits() -> bytes:
    grey = np.random.default_rng(1).integers(0, 65_536, (64, 64), dtype=np.uint16)
    return encoded(Image.fromarray(grey), "PNG")


# What cannot be judged, and a word of the reason; what can be, unusual as it is.
def _sizeless(jpeg):
    """Return a JPEG whose header states 0 x 0 pixels."""
    frame = jpeg.index(b"\xff\xc0") + 5  # marker, length and precision come before the height and the width
    return jpeg[:frame] + bytes(4) + jpeg[frame + 4 :]


REFUSED = {
    "text.jpg": (b"Dear reader, this is a letter.", "not a JPEG"),
    "bomb.png": (bomb(), "exceed the limit"),
    "cut.jpg": (_half(encoded(picture(256, 256), "JPEG")), "truncated"),
    "sizeless.jpg": (_sizeless(encoded(picture(), "JPEG")), "it is damaged"),
}
JUDGED = {
    "moving.gif": encoded(picture(), "GIF", save_all=True, append_images=[picture(64, 64).rotate(90)], duration=50),
    "deep.png": _sixteen_bits(),
    "print.jpg": encoded(picture().convert("CMYK"), "JPEG"),
    "palette.png": _palette_with_alpha(),
}
