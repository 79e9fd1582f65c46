"""What equalise= says: at which JPEG quality every stored image is compressed once."""

from competition.core.errors import UserError


def equalised_quality(text: str, key: str = "equalise") -> int:
    """Return the quality, 1 to 100, that ``jpeg:QUALITY`` names, or 0 for ``none``; UserError for anything else."""
    if text == "none":
        return 0
    kind, _, quality = text.partition(":")
    if kind != "jpeg" or not (quality.isascii() and quality.isdigit() and 1 <= int(quality) <= 100):
        raise UserError(f"{key}={text} is not a way to compress images alike: write none, or jpeg:96 (1 to 100).")
    return int(quality)
