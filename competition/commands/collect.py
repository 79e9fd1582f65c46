"""Download images by their addresses into a class folder; run again, it goes on with what is not finished.

./run.sh collect urls=FILE label=ai out=DIR    download images into a class folder (or page=ADDRESS)

Exit status 1: some addresses could not be had.
"""

from collections.abc import Sequence

from competition.collect.gather import collect
from competition.collect.options import CollectOptions
from competition.core.options import parse


def main(words: Sequence[str]) -> int:
    """Collect, and print what became of the addresses."""
    summary = collect(parse(words, CollectOptions))
    print("\n".join(summary.lines()))
    return 1 if summary.counts["failed"] else 0
