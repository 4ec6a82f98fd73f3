"""Archive: the database as requests see it.

Few pages are read at once and each is bounded, because the same process broadcasts.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace

from gateway.history.query import DEFAULT_LIMIT, LARGEST_LIMIT, Range
from gateway.messages.http import HistoryLimits
from shared.database import ChartPage, Charts, Database, Record
from shared.errors import CoinwireError, DatabaseError
from shared.outage import Outage
from shared.settings import Retention

PAGE_BYTES = 4_194_304  # of `data` per page, then `next_cursor`: 4 MiB are read and sent in about 0.1 s

_READING = 2  # pages read at once: their rows become Python objects between broadcasts; others wait for their turn
UNDER_WAY = 16  # pages requested and not yet sent: 64 MiB at most; beyond it 503 `busy`
_PATIENCE = 10.0  # s per page, including its wait for a turn; then 503. A page normally takes milliseconds


class BusyError(CoinwireError):
    """As many answers are in progress as may be."""


class Archive:
    """The database as requests see it: few at a time, and outages are logged once."""

    def __init__(
        self,
        database: Database,
        retention: Retention,
        *,
        patience: float = _PATIENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Opens nothing. `patience` is the time in s that a page may take, including its wait for a turn."""
        self._database = database
        self._charts = Charts(database)
        self._retention = retention
        self._patience = patience
        self._turns = asyncio.Semaphore(_READING)
        self.filtering = asyncio.Semaphore(1)
        """The turns of answers that filter records: see `sent`."""
        self.under_way = 0
        self._stopping = False
        self._outage = Outage(
            "database lost: no history is served", "database back", clock=clock, database=database.location
        )

    def limits(self, service: str) -> HistoryLimits:
        """The limits that every answer states."""
        return HistoryLimits(
            default_limit=DEFAULT_LIMIT,
            largest_limit=LARGEST_LIMIT,
            page_bytes=PAGE_BYTES,
            retention_days=self._retention.of(service),
        )

    @contextmanager
    def slot(self) -> Iterator[None]:
        """Count a page from its request until it is sent. Raises BusyError beyond UNDER_WAY."""
        if self.under_way >= UNDER_WAY:
            raise BusyError
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1

    async def page(self, asked: Range, limit: int) -> tuple[list[Record], bool]:
        """The next records of a range, and whether there are more after them. Raises as `read`."""
        records = await self.read(asked, limit + 1, PAGE_BYTES)
        if not records or len(records) > limit:  # the extra record shows that there are more
            return records[:limit], bool(records)
        # The page ended at PAGE_BYTES or at the end of the range; only the database knows which.
        return records, bool(await self.read(replace(asked, after=records[-1].sort_key), 1, 1))

    async def read(self, asked: Range, rows: int, most_bytes: int) -> list[Record]:
        """The next records of a range: at most `rows`, fewer for their size, none at its end.

        Raises DatabaseError where the database is away, has no tables yet, or takes too long, and after `stop`.
        """
        if self._stopping:
            raise DatabaseError("this gateway stops")
        page = functools.partial(self._database.page, asked.service, first=asked.first, last=asked.last)
        async with self._turn():
            return await page(after=asked.after, limit=rows, most_bytes=most_bytes)

    async def chart(self, coin: str, seconds: int, opens: tuple[int, int], limit: int) -> tuple[ChartPage, bool]:
        """The first candles of `seconds` that open from one time to another, and whether there are more.

        Raises as `read`.
        """
        first, last = opens
        async with self._turn():
            page = await self._charts.page(coin, seconds, first=first, last=last, limit=limit + 1)
        return page._replace(bars=page.bars[:limit]), len(page.bars) > limit

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """A turn to read. Raises DatabaseError."""
        try:
            async with asyncio.timeout(self._patience), self._turns:
                yield
        except TimeoutError:
            self._outage.lost(f"no answer within {self._patience:g} s")
            raise DatabaseError(f"{self._database.location}: no answer") from None
        except DatabaseError as error:
            self._outage.lost(str(error))
            raise
        self._outage.back()

    def stop(self) -> None:
        """Read no more: answers in lines end where they are, and the gateway does not wait for them."""
        self._stopping = True

    async def aclose(self) -> None:
        """Close the database."""
        await self._database.aclose()
