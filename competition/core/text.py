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


def one_line(value: object, limit: int) -> str:
    """Return a text of a file or a stranger as one line of at most ``limit`` printable characters; None is empty."""
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else "" if value is None else str(value)
    line = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"
