"""The collection itself: addresses are fetched a few at a time and judged one by one, in the order in which they come.

An image is stored byte for byte as it was served. Run again, it requests only what is not finished; killed at any
moment, it loses the images in flight and nothing else.
"""

import shlex
import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from tqdm import tqdm

from competition.collect.addresses import MAX_ADDRESS, Rejected, distinct, read_list, same, taking_turns
from competition.collect.fetch import Fetched, Fetcher
from competition.collect.judge import Judge
from competition.collect.known import survey
from competition.collect.manners import SILENT, Failed
from competition.collect.options import CollectOptions, check
from competition.collect.pages import page_images, page_text
from competition.collect.provenance import NAME, Row, appending, read_rows
from competition.core.errors import UserError
from competition.core.locks import only_one
from competition.core.text import counted, listed
from competition.data.layouts.class_folders import class_folders
from competition.data.layouts.class_names import POSITIVE_NAMES, two_classes

PAGE_BYTES = 2_000_000
SPARE = 100_000_000  # bytes of disk left free beside one more image


@dataclass(frozen=True)
class Summary:
    """What a run did: how many addresses became what, by ``Row.kind``; how many were ``finished`` before it, and how
    many were ``too_long`` for a row."""

    label: str
    out: Path
    counts: Counter[str]
    finished: int
    too_long: int

    def lines(self) -> list[str]:
        """Return what is printed at the end; the last line says what to do next."""
        some, count = self.counts, {kind: counted(self.counts[kind], kind) for kind in ("duplicate", "near-duplicate")}
        lines = [
            f"{self.label}: {counted(some['saved'], 'image')} saved, {count['duplicate']}, {count['near-duplicate']}, "
            f"{some['refused']:,} refused, {some['failed']:,} failed; {self.finished:,} done before.",
            f"Where each came from, and why not: {self.out / self.label / NAME}",
        ]
        if self.too_long:
            lines.append(f"Addresses of more than {MAX_ADDRESS:,} characters, left out: {self.too_long:,}")
        if some["failed"]:
            lines.append("What failed may succeed later: run the same line again.")
        return [*lines, _what_next(self.label, self.out)]


def collect(settings: CollectOptions) -> Summary:
    """Download what ``settings`` name into the class folder ``out/label``.

    Raises ``UserError`` for a list or page that cannot be read or names no image, and while another collection works in
    ``out``. What becomes of a single address is not an error but a row of ``out/label/provenance.csv``.
    """
    check(settings)
    out, folder = Path(settings.out), Path(settings.out) / settings.label
    counts: Counter[str] = Counter()
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(settings.connections))
        fetcher = stack.enter_context(  # left before the pool, so that no thread goes on waiting
            Fetcher(settings.allow_local, settings.delay, settings.retries, settings.robots)
        )
        named = _addresses(settings, fetcher)
        addresses = [address for address in named if len(address) <= MAX_ADDRESS]
        stack.enter_context(_alone(out))
        rows = read_rows(folder / NAME)
        todo = _unfinished(addresses, rows, settings)
        if todo:
            _check_disk(out, settings.limit)
            again = {same(address) for address in todo}
            kept = [row for row in rows if same(row.address) not in again]
            judge = Judge(settings, survey(out), {row.file for row in kept})
            add = stack.enter_context(appending(folder / NAME, kept))
            bar = stack.enter_context(tqdm(total=len(todo), desc=f"collect {settings.label}", unit="img", disable=None))
            for address, answer in _answers(pool, fetcher, todo, settings):
                _check_disk(out, settings.limit)
                row = judge.row(address, answer)
                add(row)
                counts[row.kind] += 1
                bar.update()
    return Summary(settings.label, out, counts, len(addresses) - len(todo), len(named) - len(addresses))


def _unfinished(addresses: Sequence[str], rows: Sequence[Row], settings: CollectOptions) -> list[str]:
    """Return the addresses that have yet to be requested, in the order in which they will be."""
    done = {same(row.address) for row in rows if row.finished(settings)}
    # What failed by itself comes last: else a few dead addresses would again keep the rest of a host from its turn.
    tried = {same(row.address) for row in rows if row.kind == "failed" and not row.status.endswith(SILENT)}
    todo = [address for address in addresses if same(address) not in done]
    return taking_turns(sorted(todo, key=lambda address: same(address) in tried))


def _alone(out: Path) -> AbstractContextManager[None]:
    """Hold the folder's lock; ``UserError`` if another collection does."""
    lock = out / ".collect.lock"
    if lock.is_symlink() or (lock.exists() and not lock.is_file()):
        raise UserError(f"{lock} is not this program's file: move it away.")
    return only_one(lock, patience=0, busy=f"Another collection works in {out}: wait for it.")


def _check_disk(out: Path, needed: int) -> None:
    free = shutil.disk_usage(out).free
    if free < needed + SPARE:
        raise UserError(f"Only {free / 1e6:,.0f} MB are free in {out}: make room, then run the same line again.")


def _addresses(settings: CollectOptions, fetcher: Fetcher) -> list[str]:
    """Return the addresses of the list and of the page's images, each once."""
    addresses = read_list(settings.urls) if settings.urls else []
    if settings.page:
        try:
            page = fetcher.get(settings.page, PAGE_BYTES)
        except Rejected as refusal:
            by = f", {settings.typed(refusal.setting)}" if refusal.setting in ("allow_local", "robots") else ""
            raise UserError(f"page={settings.page} cannot be read ({refusal.reason}{by}): name another.") from None
        except Failed as failure:
            raise UserError(f"page={settings.page} cannot be read ({failure.reason}): try again later.") from None
        found = page_images(page_text(page.body, page.content_type), page.address)
        if not found:
            raise UserError(f"page={settings.page} names no images (scripts may add them): list them in urls=FILE.")
        addresses += found
    return distinct(addresses)


def _answers(
    pool: ThreadPoolExecutor, fetcher: Fetcher, addresses: Sequence[str], settings: CollectOptions
) -> Iterator[tuple[str, Fetched | Rejected | Failed]]:
    """Yield each address with what came of it, as soon as it comes; a few are under way, the rest is not begun."""

    def fetch(address: str) -> Fetched | Rejected | Failed:
        try:
            return fetcher.get(address, settings.limit)
        except (Rejected, Failed) as outcome:
            return outcome

    waiting = iter(addresses)
    running: dict[Future, str] = {}
    while True:
        for address in islice(waiting, 2 * settings.connections - len(running)):  # a second one each, to go on with
            running[pool.submit(fetch, address)] = address
        if not running:
            return
        done = wait(running, return_when=FIRST_COMPLETED).done
        for future in [future for future in running if future in done]:  # in the order of the addresses
            yield running.pop(future), future.result()


def _what_next(label: str, out: Path) -> str:
    """Return the line to type next: the other class's, or the main job's."""
    names, folder = class_folders(out), shlex.quote(str(out))
    if label not in names:
        return f"No image is in {out / label} yet: see there why."
    if len(names) > 2:
        return f"{out} holds {len(names)} class folders ({listed(names)}): leave two, then ./run.sh data={folder}"
    if len(names) < 2:
        is_ai = "".join(filter(str.isalnum, label.lower())) in POSITIVE_NAMES
        return f"Next, the other class: ./run.sh collect urls=FILE label={'human' if is_ai else 'ai'} out={folder}"
    try:
        two_classes(names, None, out)
    except UserError:
        return f"Next: ./run.sh data={folder} positive={names[0]} (or {names[1]}, whichever was made by AI)"
    return f"Next: ./run.sh data={folder}"
