"""Download images into class folders: by their addresses, from a page, or by words; the same line again goes on.

./run.sh collect urls=FILE label=ai out=DIR    download images into a class folder (or page=ADDRESS)
./run.sh collect search="city at night" source=openverse label=human out=DIR max=500    or by words
./run.sh collect plan=FILE out=DIR             several lists, pages and searches for both classes, kept balanced

A plan is a YAML file that names each class with a list, as in `human: [{search: city at night, source: openverse,
licence: "cc0,by"}, {page: "https://example.org/gallery"}]`. Each entry becomes a source: a folder of its own.

Exit status 1: some addresses could not be had.
"""

import math
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from competition.collect.options import CollectOptions, wishes
from competition.core.errors import UserError
from competition.core.options import parse
from competition.core.packages import check_packages
from competition.core.text import counted, listed
from competition.data.layouts.class_folders import class_folders
from competition.data.layouts.class_names import is_positive, two_classes

if TYPE_CHECKING:
    from competition.collect.gather import Collection


def main(words: Sequence[str]) -> int:
    """Collect, and print what became of the addresses."""
    options = parse(words, CollectOptions)
    rendered = any(wish.browser for wish in wishes(options))
    check_packages("collect", ("scrapy", "playwright") if rendered else ("scrapy",))
    from competition.collect.gather import collect  # here, for Scrapy takes a second to import

    run = collect(options)
    print("\n".join(lines(run)))
    return 1 if run.unread or any(counts["failed"] for counts in run.counts.values()) else 0


def lines(run: "Collection") -> Iterator[str]:
    """Yield what is printed at the end; the last line says what to do next."""
    for label, some in run.counts.items():
        images, provenance = run.folder.images[label], run.out / label / "provenance.csv"
        enough = ", as many as max= wants" if images >= (run.options.max or math.inf) else ""
        count = {kind: counted(some[kind], kind) for kind in ("duplicate", "near-duplicate")}
        yield (
            f"{label}: {counted(some['saved'], 'image')} saved, {count['duplicate']}, {count['near-duplicate']}, "
            f"{some['refused']:,} refused, {some['failed']:,} failed; {some['finished']:,} addresses done before; "
            f"{counted(images, 'image')} in all{enough}."
        )
        if provenance.exists():
            yield f"Where each image came from, and why an address gave none: {provenance}"
    yield from run.unread
    if len(run.counts) > 1 and run.exhausted:
        yield f"There are no more images of {run.exhausted}, so the other class stops there, too."
    if any(some["failed"] for some in run.counts.values()):
        yield "What failed may succeed later: run the same line again."
    yield _what_next(list(run.counts), run.out)


def _what_next(labels: Sequence[str], out: Path) -> str:
    """Return the line to type next: the other class's, or the main job's."""
    names, folder = class_folders(out) if out.exists() else [], shlex.quote(str(out))
    if lacking := [label for label in labels if label not in names]:
        return f"No image is in {out / lacking[0]} yet."
    if len(names) > 2:
        return f"{out} holds {len(names)} class folders ({listed(names)}): leave two, then ./run.sh data={folder}"
    if len(names) < 2:
        other = "human" if is_positive(labels[0]) else "ai"
        return f"Next, the other class: ./run.sh collect urls=FILE label={other} out={folder}"
    try:
        two_classes(names, None, out)
    except UserError:
        return f"Next: ./run.sh data={folder} positive={names[0]} (or {names[1]}, whichever was made by AI)"
    return f"Next: ./run.sh data={folder}"
