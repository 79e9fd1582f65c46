"""The collection itself: each list, page and search of a run gives addresses, the class that has the fewest images
first; they are fetched a few at a time and judged one by one, in the order in which they come.

An image is stored byte for byte as it was served. Run again, it requests only what is not finished; killed at any
moment, it loses the images in flight and nothing else.
"""

import asyncio
import shutil
from collections import Counter, deque
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm import tqdm

from competition.collect.addresses import MAX_ADDRESS, Failed, Rejected, read_list, same, taking_turns
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
SPARE = 100_000_000  # bytes of disk left free beside one more image


@dataclass(eq=False)
class Source:
    """One list, page or search of a run: what it has yet to give, and how many of its images are saved or under way."""

    wish: CollectOptions
    batches: AsyncIterator[list[Row]]
    ready: deque[Row] = field(default_factory=deque)
    taken: int = 0

    @property
    def folder(self) -> str:
        """Where its images go, relative to the data set's folder."""
        return f"{self.wish.label}/{self.wish.name}".rstrip("/")


class Run:
    """A run of the collection, and what it did: ``counts`` of addresses by label and ``Row.kind``, how many were
    ``finished`` before, how many ``too_long`` for a row, and in plain words what could not be read (``unread``)."""

    def __init__(self, settings: CollectOptions):
        self.settings, self.wishes, self.out = settings, wishes(settings), Path(settings.out)
        self.labels = list(dict.fromkeys(wish.label for wish in self.wishes))
        self.counts: dict[str, Counter[str]] = {label: Counter() for label in self.labels}
        self.finished, self.too_long = Counter[str](), 0
        self.unread: list[str] = []
        self._seen: set[tuple[str, str]] = set()
        self._choosing = asyncio.Lock()

    async def work(self, fetcher: Fetcher) -> None:
        """Fetch and judge what the sources name, until they have no more or there is enough."""
        self._fetcher = fetcher
        self._sources = [Source(wish, self._batches(wish)) for wish in self.wishes]
        self._tables = {label: Provenance(self.out / label / NAME) for label in self.labels}
        rows = [row for table in self._tables.values() for row in table.rows.values()]
        self._taken = Counter(row.label for row in rows if row.file and (self.out / row.file).exists())
        self._judge = Judge(self.settings, survey(self.out), {row.file for row in rows})
        workers = [asyncio.ensure_future(self._worker()) for _ in range(self.settings.connections)]
        try:
            with tqdm(total=0, desc=f"collect {' '.join(self.labels)}", unit="img", disable=None) as self._bar:
                await asyncio.gather(*workers)
        finally:
            for worker in workers:
                worker.cancel()
            for table in self._tables.values():
                table.close()

    async def _worker(self) -> None:
        while chosen := await self._next():
            source, row = chosen
            self._check_disk()
            try:
                answer: Any = await self._fetcher.get(row.address, self.settings.limit)
            except (Rejected, Failed) as outcome:
                answer = outcome
            row = self._judge.judged(row, source.folder, answer)
            self._tables[row.label].add(row)
            self.counts[row.label][row.kind] += 1
            source.taken -= row.kind != "saved"
            self._taken[row.label] -= row.kind != "saved"
            self._bar.update()

    async def _next(self) -> tuple[Source, Row] | None:
        """Return the next address of the class that has the fewest images, of its source that has; ``None`` if that
        class has no more, or enough."""
        async with self._choosing:
            label = min(self.labels, key=lambda label: self._taken[label])
            enough = self.settings.max is not None and self._taken[label] >= self.settings.max
            while sources := [one for one in self._sources if one.wish.label == label and not enough]:
                source = min(sources, key=lambda one: one.taken)
                if source.ready:
                    source.taken += 1
                    self._taken[label] += 1
                    return source, source.ready.popleft()
                try:
                    source.ready.extend(self._unfinished(await anext(source.batches)))
                    continue
                except (Rejected, Failed) as refusal:
                    self.unread.append(self._sentence(source.wish, refusal))
                except StopAsyncIteration:
                    pass
                self._sources.remove(source)
            return None

    def _unfinished(self, batch: list[Row]) -> list[Row]:
        """Return those that have yet to be requested, in the order in which they will be."""
        todo: dict[str, Row] = {}
        tried = set()
        for row in batch:
            key = same(row.address)
            if len(row.address) > MAX_ADDRESS:
                self.too_long += 1
            elif (row.label, key) not in self._seen:
                self._seen.add((row.label, key))
                before = self._tables[row.label].rows.get(key)
                if before and before.finished(self.settings):
                    self.finished[row.label] += 1
                    continue
                todo[row.address] = row
                # What failed by itself comes last: else a few dead addresses would again keep the rest of a host back.
                if before and before.kind == "failed" and not before.status.endswith(SILENT):
                    tried.add(row.address)
        self._bar.total += len(todo)
        return [todo[address] for address in taking_turns(sorted(todo, key=lambda address: address in tried))]

    async def _batches(self, wish: CollectOptions) -> AsyncIterator[list[Row]]:
        """Yield rows, of which nothing is known but where they come from, for what a list, a page and a search name."""
        if wish.urls:
            yield [Row(label=wish.label, address=address, status="") for address in read_list(wish.urls)]
        if wish.page:
            response = await self._fetcher.get(wish.page, PAGE_BYTES)  # by which a browser learns of robots.txt, too
            found = await _rendered(wish.page) if wish.browser else page_images(response)
            if not found:
                raise Rejected("it names no images" + ("" if wish.browser else "; if scripts add them: browser=true"))
            yield [Row(label=wish.label, address=address, status="", page=wish.page) for address in found]
        seen: set[str] = set()
        more: dict[str, Any] = {}
        barren = 0  # answers in a row that name nothing new
        while wish.search and barren < MAX_BARREN and len(seen) < MAX_FOUND:
            # Without robots.txt, which forbids APIs to crawlers: this one is offered for what it is asked for.
            response = await self._fetcher.get(search_address(wish, more), PAGE_BYTES, robots=False)
            rows, more = search_rows(wish, response.body)
            fresh = [row for row in rows if row.address not in seen]
            seen.update(row.address for row in fresh)
            barren = 0 if fresh else barren + 1
            yield fresh
            if not more:
                break
        if wish.search and not seen:
            raise Rejected("it finds nothing")

    def _sentence(self, wish: CollectOptions, refusal: Rejected | Failed) -> str:
        by = getattr(refusal, "setting", "")
        reason = f"{refusal.reason}, {wish.typed(by)}" if by in ("allow_local", "robots") else refusal.reason
        what = f"search={wish.search} of {wish.source}" if wish.search else f"page={wish.page}"
        return f"{what} cannot be read ({reason}): " + (
            "try again later." if isinstance(refusal, Failed) else "name another."
        )

    def _check_disk(self) -> None:
        free = shutil.disk_usage(self.out).free
        if free < self.settings.limit + SPARE:
            raise UserError(
                f"Only {free / 1e6:,.0f} MB are free in {self.out}: make room, then run the same line again."
            )


def collect(settings: CollectOptions) -> Run:
    """Download what ``settings`` name into the class folders of ``out``, and return what came of it.

    Raises ``UserError`` for a list that cannot be read, where nothing can be read, and while another collection works
    in ``out``. What becomes of a single address is not an error but a row of ``out/label/provenance.csv``.
    """
    run = Run(settings)
    with _alone(run.out):
        crawl(settings, run.work)
    if len(run.unread) == len(run.wishes) and not any(run.counts.values()):
        raise UserError(run.unread[0])
    return run


async def _rendered(address: str) -> list[str]:
    from competition.collect.browser import rendered_images  # here, for only this needs Playwright

    return await rendered_images(address, AGENT)


def _alone(out: Path) -> AbstractContextManager[None]:
    """Hold the folder's lock; ``UserError`` if another collection does."""
    lock = out / ".collect.lock"
    if lock.is_symlink() or (lock.exists() and not lock.is_file()):
        raise UserError(f"{lock} is not this program's file: move it away.")
    return only_one(lock, patience=0, busy=f"Another collection works in {out}: wait for it.")
