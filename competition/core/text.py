"""Small pieces of sentences: counted nouns, shortened lists, and names that hold anything."""

from collections.abc import Iterable


def listed(values: Iterable[object], limit: int = 3) -> str:
    """Return the first ``limit`` values as ``a, b, c`` and, when there are more, how many there are in all."""
    words = [str(value) or "(unnamed)" for value in values]
    more = f", ... ({len(words):,} in all)" if len(words) > limit else ""
    return ", ".join(words[:limit]) + more


def counted(n: int, noun: str) -> str:
    """Return ``1 row`` or ``1,234 rows``."""
    return f"{n:,} {noun}{'s' * (n != 1)}"


def on_lines(lines: Iterable[int]) -> str:
    """Return ``1 row (line 3)`` or ``2 rows (lines 3, 5)``."""
    lines = list(lines)
    return f"{counted(len(lines), 'row')} (line{'s' * (len(lines) > 1)} {listed(lines)})"


def printable(text: str) -> str:
    """Return ``text`` on one line, with what a terminal would not show written out, as \\n, \\x1b."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
