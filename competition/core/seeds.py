"""Seeds that belong to what they are for, so that neither order nor restarts change a random number."""

from competition.core.files import fingerprint


def stream(*parts: object) -> int:
    """Return a 63-bit seed that belongs to these parts (numbers and words) alone."""
    return int(fingerprint(list(parts)), 16) >> 1
