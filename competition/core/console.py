"""Where results are printed: a terminal, or a file of fixed width."""

from rich.console import Console

FILE_WIDTH = 132  # characters: both halves of the closing table side by side, with a long member's name


def console(file_width: int = FILE_WIDTH) -> Console:
    """Return the console results are printed on: as wide as the terminal, or ``file_width`` characters in a file."""
    found = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
    if not found.is_terminal:
        found.width = file_width
    return found
