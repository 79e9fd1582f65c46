"""The collection itself: each list, page and search of a run names addresses, the class that has the fewest images
first; they are fetched a few at a time and judged one by one, in the order in which they come.

An image is stored byte for byte as it was served. Run again, it requests only what is not finished; killed at any
moment, it loses the images in flight and nothing else.
"""

import asyncio
import math
import re
from collections import Counter, deque
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scrapy import Spider
from tqdm import tqdm

from competition.collect.crawl import NoAnswer, crawl, fetch
from competition.collect.folder import DataFolder, Row
from competition.collect.options import CollectOptions, wishes
from competition.collect.sources import named_rows
from competition.core.errors import UserError
from competition.core.locks import only_one


class Collection(Spider):
    """A collection, and what it did: ``counts`` of addresses by label and what became of them, or ``finished`` before;
    what could not be read and why (``unread``); the class that came to its end (``exhausted``); and the ``folder``."""

    name = "collect"

    def __init__(self, options: CollectOptions):
        super().__init__()
        self.options, self.wishes, self.out = options, wishes(options), Path(options.out)
        self.counts: dict[str, Counter[str]] = {wish.label: Counter() for wish in self.wishes}
        self.unread: list[str] = []
        self.exhausted = ""
        self.error: Exception | None = None
        self._seen: set[tuple[str, str]] = set()

    async def start(self) -> AsyncIterator[Any]:
        """Do the work; nothing is left for Scrapy to schedule."""
        try:
            await self.work()
        except Exception as error:  # Scrapy would only log it
            self.error = error
        return
        yield

    async def work(self) -> None:
        """Fetch and judge what is named, until there is no more or there is enough."""
        self._named: dict[str, deque[tuple[CollectOptions, AsyncIterator[Row]]]] = {one: deque() for one in self.counts}
        for wish in self.wishes:
            self._named[wish.label].append((wish, named_rows(wish, self)))
        self.folder = DataFolder(self.options)
        running: set[asyncio.Task[None]] = set()
        with tqdm(desc=f"collect {' '.join(self.counts)}", unit="img", disable=None) as bar:
            while True:
                while len(running) < self.options.connections and (chosen := await self._next()):
                    running.add(asyncio.create_task(self._fetch(*chosen)))
                if not running:
                    return
                done, running = await asyncio.wait(running, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
                    bar.update()

    async def _fetch(self, wish: CollectOptions, row: Row) -> None:
        row = row._replace(time=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))
        try:
            answer = await fetch(self, row.address)
            row = self.folder.judged(row, f"{row.label}/{wish.name}".rstrip("/"), answer)
        except NoAnswer as none:
            row = row._replace(status=str(none))
        self.folder.add(row)
        self.counts[row.label][re.split("[ :]", row.status)[0]] += 1
        self.folder.images[row.label] -= row.status != "saved"

    async def _next(self) -> tuple[CollectOptions, Row] | None:
        """Return the next address of the class that has the fewest images, of its lists, pages and searches in turn;
        None if that class has no more, or enough."""
        images = self.folder.images  # saved or under way
        while True:
            label = min(self._named, key=images.__getitem__)
            if images[label] >= (self.options.max or math.inf):
                return None
            if not self._named[label]:
                self.exhausted = label
                return None
            wish, rows = self._named[label].popleft()
            try:
                row = await anext(rows)
                self._named[label].append((wish, rows))
                if self._is_new(row):
                    images[label] += 1
                    return wish, row
            except StopAsyncIteration:
                pass
            except NoAnswer as none:
                what = f"search={wish.search} of {wish.source}" if wish.search else f"page={wish.page}"
                self.unread.append(f"{what} cannot be read ({none}): try again later, or name another.")

    def _is_new(self, row: Row) -> bool:
        """Tell whether an address has yet to be requested: not where it was refused, unless by a setting."""
        before = self.folder.rows[row.label].get(row.address)
        finished = before is not None and not before.status.startswith(("failed", "refused by"))
        first = (row.label, row.address) not in self._seen
        self._seen.add((row.label, row.address))
        self.counts[row.label]["finished"] += first and finished
        return first and not finished


def collect(options: CollectOptions) -> Collection:
    """Download what ``options`` name into the class folders of ``out``, and return what came of it.

    Raises ``UserError`` for a list that cannot be read, where nothing can be read, and while another collection works
    in ``out``. What becomes of a single address is not an error but a row of ``out/label/provenance.csv``.
    """
    out = Path(options.out)
    with only_one(out / ".collect.lock", patience=0, busy=f"Another collection works in {out}: wait for it."):
        run: Collection = crawl(Collection, options)
    if run.error:
        raise run.error
    if len(run.unread) == len(run.wishes) and not any(run.counts.values()):
        raise UserError(run.unread[0])
    return run
