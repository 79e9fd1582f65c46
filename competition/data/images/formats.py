"""What the bytes of an image file say before anything is decoded: its size, whether it is whole, what it will take."""

import struct
from collections.abc import Iterator

IMAGE_EXTENSIONS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif", ".jfif")
JPEG, PNG, PNG_END = b"\xff\xd8", b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
PNG_ANIMATION = (b"acTL", b"fcTL", b"fdAT")
PROGRESSIVE = (0xC2, 0xC6, 0xCA, 0xCE)  # the start-of-frame markers of JPEGs in progressive order


def quick_size(raw: bytes) -> tuple[int, int] | None:
    """Return (height, width) of a JPEG or PNG (ten times quicker than PIL, once per image), or ``None``: ask PIL."""
    if raw.startswith(PNG) and len(raw) >= 24:
        width, height = struct.unpack_from(">II", raw, 16)
        return height, width
    if not raw.startswith(JPEG):
        return None
    frame = _frame(raw)
    return None if frame is None else struct.unpack_from(">HH", raw, frame + 5)


def coefficient_bytes(raw: bytes) -> float:
    """Return how many bytes a decoder keeps for each pixel of a JPEG beside the pixels: of a progressive one, whose
    parts come one after the other, all coefficients, two bytes each; of any other file none."""
    frame = _frame(raw) if raw.startswith(JPEG) else None
    if frame is None or raw[frame + 1] not in PROGRESSIVE or len(raw) < frame + 10 + 3 * raw[frame + 9]:
        return 0.0
    factors = [raw[frame + 11 + 3 * number] for number in range(raw[frame + 9])]  # of each component, across and down
    sampled = [(factor >> 4) * (factor & 15) for factor in factors]
    return 2 * sum(sampled) / max([1, *sampled])


def _frame(raw: bytes) -> int | None:
    """Return where a JPEG's start-of-frame segment begins; None where there is none."""
    at = 2
    while at + 9 <= len(raw) and raw[at] == 0xFF:
        marker = raw[at + 1]
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return at
        at += 1 if marker == 0xFF else 2 + int.from_bytes(raw[at + 2 : at + 4], "big")  # 0xFF may be fill
    return None


def chunks_fit(raw: bytes) -> bool:
    """Whether each chunk of a PNG ends within the file; of any other file there are none."""
    if not raw.startswith(PNG):
        return True
    for start, end in _chunks(raw):
        if start + 8 > len(raw):
            break
        if end > len(raw):
            return False
        if raw[start + 4 : start + 8] == b"IEND":
            break
    return True


def _chunks(raw: bytes) -> Iterator[tuple[int, int]]:
    """Yield where each chunk of a PNG begins and, as it states, ends."""
    start = len(PNG)
    while start < len(raw):
        end = start + 12 + int.from_bytes(raw[start : start + 4], "big")
        yield start, end
        start = end


def ends_properly(raw: bytes) -> bool:
    """Tell, at next to no cost, whether the file has its format's end mark; ``False`` means 'in doubt'.

    Needed because OpenCV 4 fills the missing rest of a truncated JPEG with grey and returns it as if nothing were
    wrong. Zero bytes after the mark are harmless padding.
    """
    if raw.startswith(JPEG):
        return raw.endswith(b"\xff\xd9") or raw.rstrip(b"\0").endswith(b"\xff\xd9")
    if raw.startswith(PNG):
        return raw.endswith(PNG_END) or raw.rstrip(b"\0").endswith(PNG_END)
    if raw.startswith(b"RIFF"):  # WebP states its length
        return len(raw) >= int.from_bytes(raw[4:8], "little") + 8
    return False


def still_image(raw: bytes) -> bytes:
    """Return an animated PNG as the still one that its first picture is; any other file as it is.

    Of an animation OpenCV reads on where data is damaged or missing, and gives what was in memory before for pixels.
    """
    if not raw.startswith(PNG) or PNG_ANIMATION[0] not in raw:
        return raw
    kept = [raw[start:end] for start, end in _chunks(raw) if raw[start + 4 : start + 8] not in PNG_ANIMATION]
    return b"".join([PNG, *kept])
