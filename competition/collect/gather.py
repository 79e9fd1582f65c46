"""The collection itself: each list, page and search of a run gives addresses, the class that has the fewest images
first; they are fetched a few at a time and judged one by one, in the order in which they come.

An image is stored byte for byte as it was served. Run again, it requests only what is not finished; killed at any
moment, it loses the images in flight and nothing else.
"""

import asyncio
import shutil
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

from tqdm import tqdm

from competition.collect.addresses import MAX_ADDRESS, Failed, Rejected, read_list
from competition.collect.crawl import AGENT, SILENT, Fetcher, crawl
from competition.collect.judge import Judge
from competition.collect.known import survey
from competition.collect.options import CollectOptions, wishes
from competition.collect.pages import page_images
from competition.collect.provenance import NAME, Provenance, Row
from competition.collect.searches import search_address, search_rows
from competition.core.errors import UserError
from competition.core.locks import only_one

PAGE_BYTES = 5_000_000  # of a page, or of an answer of an API
MAX_FOUND, MAX_BARREN = 100_000, 10  # images of one search, and answers in a row that name nothing new
MAX_ROWS = 1_000_000  # images of a class
SPARE = 100_000_000  # bytes of disk left free beside one more image


@dataclass(eq=False)
class Stream:
    """One list, page or search of a run: what it has yet to give, and how many of its images are saved or under way."""

    wish: CollectOptions
    batches: AsyncIterator[list[Row]]
    ready: deque[Row] = field(default_factory=deque)
    taken: int = 0


class Collection:
    """A collection, and what it did: ``counts`` of addresses by label and ``Row.kind``, how many were ``finished``
    before, how many ``too_long`` for a row, what could not be read and why (``unread``), and the class that came to
    its end (``exhausted``)."""

    def __init__(self, settings: CollectOptions):
        self.settings, self.wishes, self.out = settings, wishes(settings), Path(settings.out)
        self.counts: dict[str, Counter[str]] = {wish.label: Counter() for wish in self.wishes}
        self.finished, self.too_long = Counter[str](), 0
        self.unread: list[str] = []
        self.exhausted = ""
        self._seen: set[tuple[str, str]] = set()

    async def work(self, fetcher: Fetcher) -> None:
        """Fetch and judge what the streams name, until they have no more or there is enough."""
        self._streams = [Stream(wish, _batches(wish, fetcher)) for wish in self.wishes]
        self._tables = {label: Provenance(self.out / label / NAME) for label in self.counts}
        rows = [row for table in self._tables.values() for row in table.rows.values() if row.file]
        self._taken = Counter(row.label for row in rows if (self.out / row.file).exists())
        self._judge = Judge(self.settings, survey(self.out), {row.file for row in rows})
        self._choosing = asyncio.Lock()
        title = f"collect {' '.join(self.counts)}"
        with tqdm(total=0, desc=title, unit="img", disable=None) as self._bar:
            workers = [asyncio.ensure_future(self._worker(fetcher)) for _ in range(self.settings.connections)]
            try:
                await asyncio.gather(*workers)
            finally:
                for worker in workers:
                    worker.cancel()
                for table in self._tables.values():
                    table.close()

    async def _worker(self, fetcher: Fetcher) -> None:
        while chosen := await self._next():
            stream, row = chosen
            if (free := shutil.disk_usage(self.out).free) < self.settings.limit + SPARE:
                place = f"Only {free / 1e6:,.0f} MB are free in {self.out}"
                raise UserError(f"{place}: make room, then run the same line again.")
            try:
                answer: Any = await fetcher.get(row.address, self.settings.limit)
            except (Rejected, Failed) as outcome:
                answer = outcome
            row = self._judge.judged(row, f"{row.label}/{stream.wish.name}".rstrip("/"), answer)
            self._tables[row.label].add(row)
            self.counts[row.label][row.kind] += 1
            stream.taken -= row.kind != "saved"
            self._taken[row.label] -= row.kind != "saved"
            self._bar.update()

    async def _next(self) -> tuple[Stream, Row] | None:
        """Return the next address of the class that has the fewest images, of its stream that has; ``None`` if that
        class has no more, or enough."""
        async with self._choosing:
            label = min(self.counts, key=lambda label: self._taken[label])
            if self._taken[label] >= (self.settings.max or MAX_ROWS):
                return None
            while streams := [one for one in self._streams if one.wish.label == label]:
                stream = min(streams, key=lambda one: one.taken)
                if stream.ready:
                    stream.taken += 1
                    self._taken[label] += 1
                    return stream, stream.ready.popleft()
                try:
                    stream.ready.extend(self._unfinished(await anext(stream.batches)))
                except (Rejected, Failed) as refusal:
                    self.unread.append(_sentence(stream.wish, refusal))
                    self._streams.remove(stream)
                except StopAsyncIteration:
                    self._streams.remove(stream)
            self.exhausted = label
            return None

    def _unfinished(self, batch: list[Row]) -> Iterable[Row]:
        """Return those that have yet to be requested, in the order in which they will be."""
        todo: list[tuple[bool, Row]] = []
        self.too_long += sum(len(row.address) > MAX_ADDRESS for row in batch)
        for row in batch:
            if len(row.address) > MAX_ADDRESS or (row.label, row.key) in self._seen:
                continue
            self._seen.add((row.label, row.key))
            before = self._tables[row.label].rows.get(row.key)
            if before and before.finished(self.settings):
                self.finished[row.label] += 1
                continue
            # What failed by itself comes last: else a few dead addresses would again keep the rest of a host back.
            tried = before is not None and before.kind == "failed" and not before.status.endswith(SILENT)
            todo.append((tried, row))
        self._bar.total += len(todo)
        return taking_turns(row for _, row in sorted(todo, key=lambda one: one[0]))


def taking_turns(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield the rows with their hosts taking turns, so that waiting for one host seldom holds up the others."""
    queues: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        queues[row.address.partition("://")[2].partition("/")[0].lower()].append(row)
    return (row for turn in zip_longest(*queues.values()) for row in turn if row is not None)


async def _batches(wish: CollectOptions, fetcher: Fetcher) -> AsyncIterator[list[Row]]:
    """Yield rows, of which nothing is known but where they come from, for what a list, a page and a search name."""
    if wish.urls:
        yield [Row(label=wish.label, address=address) for address in read_list(wish.urls)]
    if wish.page:
        response = await fetcher.get(wish.page, PAGE_BYTES)  # of a page for the browser, too: for robots.txt counts
        if wish.browser:
            from competition.collect.browser import rendered_images  # here, for only this needs Playwright

            found = await rendered_images(wish.page, AGENT)
        else:
            found = page_images(response)
        if not found:
            raise Rejected("it names no images" + ("" if wish.browser else "; if scripts add them: browser=true"))
        yield [Row(label=wish.label, address=address, page=wish.page) for address in found]
    seen: set[str] = set()
    more: dict[str, Any] = {}
    barren = 0
    while wish.search and barren < MAX_BARREN and len(seen) < MAX_FOUND:
        # Without robots.txt, which forbids APIs to crawlers: this one is offered for what it is asked for.
        response = await fetcher.get(search_address(wish, more), PAGE_BYTES, robots=False)
        rows, more = search_rows(wish, response.body)
        fresh = [row for row in rows if row.address not in seen]
        seen.update(row.address for row in fresh)
        barren = 0 if fresh else barren + 1
        yield fresh
        if not more:
            break
    if wish.search and not seen:
        raise Rejected("it finds nothing")


def _sentence(wish: CollectOptions, refusal: Rejected | Failed) -> str:
    what = f"search={wish.search} of {wish.source}" if wish.search else f"page={wish.page}"
    setting = getattr(refusal, "setting", "")
    by = f", {wish.typed(setting)}" if setting in ("allow_local", "robots") else ""
    advice = "try again later" if isinstance(refusal, Failed) else "name another"
    return f"{what} cannot be read ({refusal}{by}): {advice}."


def collect(settings: CollectOptions) -> Collection:
    """Download what ``settings`` name into the class folders of ``out``, and return what came of it.

    Raises ``UserError`` for a list that cannot be read, where nothing can be read, and while another collection works
    in ``out``. What becomes of a single address is not an error but a row of ``out/label/provenance.csv``.
    """
    run, lock = Collection(settings), Path(settings.out) / ".collect.lock"
    if lock.is_symlink() or (lock.exists() and not lock.is_file()):
        raise UserError(f"{lock} is not this program's file: move it away.")
    with only_one(lock, patience=0, busy=f"Another collection works in {run.out}: wait for it."):
        crawl(settings, run.work)
    if len(run.unread) == len(run.wishes) and not any(run.counts.values()):
        raise UserError(run.unread[0])
    return run
