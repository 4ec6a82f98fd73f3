"""`/api/v1/history/{service}`: the stored updates of a service, page by page.

Few pages are made at once and each is bounded, because the same process broadcasts. `data` goes from the database to
the client as text, without being parsed.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Protocol

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from gateway.history.query import DEFAULT_LIMIT, LARGEST_LIMIT, LIMIT, PARAMETERS, Range, encode_cursor, range_of
from gateway.http.api import ApiRoute
from gateway.http.parameters import Asked
from gateway.http.rest import NOT_KEPT, failure
from gateway.messages.http import HISTORIES, FailureData, HistoryLimits, HistoryRecord, HttpCode, Success
from shared.database import Database, Record
from shared.errors import CoinwireError, DatabaseError
from shared.metrics import GatewayMetrics
from shared.outage import Outage
from shared.settings import Retention
from shared.timestamps import iso_of, now_iso

_to_json = msgspec.json.Encoder().encode

PAGE_BYTES = 4_194_304  # of `data` per page, then `next_cursor`: 4 MiB are read and sent in about 0.1 s

_READING = 2  # pages read at once: their rows become Python objects between broadcasts; others wait for their turn
UNDER_WAY = 16  # pages requested and not yet sent: 64 MiB at most; beyond it 503 `busy`
_PATIENCE = 10.0  # s per page, including its wait for a turn; then 503. A page normally takes milliseconds
_AWAY_SECONDS, _BUSY_SECONDS = 5, 1  # Retry-After: the restart of a database; a page or two


class BusyError(CoinwireError):
    """UNDER_WAY pages are in progress."""


class PageResponse(Response):
    """Holds the slot of a page until it is sent."""

    media_type = "application/json"

    def __init__(self, body: bytes, held: ExitStack) -> None:
        super().__init__(body, headers=NOT_KEPT)
        self._held = held

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the page."""
        with self._held:
            await super().__call__(scope, receive, send)


class Archive:
    """The database as requests see it: few at a time, and outages are logged once."""

    def __init__(
        self,
        database: Database,
        retention: Retention,
        metrics: GatewayMetrics,
        *,
        patience: float = _PATIENCE,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Opens nothing. `patience` is the time in s that a page may take, including its wait for a turn."""
        self._database = database
        self._retention = retention
        self._metrics = metrics
        self._patience = patience
        self._turns = asyncio.Semaphore(_READING)
        self.under_way = 0
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
            self._metrics.history.labels("busy").inc()
            raise BusyError
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1

    async def page(self, asked: Range, limit: int) -> tuple[list[Record], bool]:
        """The next records of a range, and whether there are more after them.

        Raises DatabaseError where the database is away, has no tables yet, or takes too long.
        """
        try:
            async with asyncio.timeout(self._patience), self._turns:
                records, more = await self._read(asked, limit)
        except TimeoutError:
            self._lose(f"no answer within {self._patience:g} s")
            raise DatabaseError(f"{self._database.location}: no answer") from None
        except DatabaseError as error:
            self._lose(str(error))
            raise
        self._outage.back()
        self._metrics.history.labels("page").inc()
        return records, more

    async def _read(self, asked: Range, limit: int) -> tuple[list[Record], bool]:
        page = functools.partial(self._database.page, asked.service, first=asked.first, last=asked.last)
        records = await page(after=asked.after, limit=limit + 1, most_bytes=PAGE_BYTES)
        if not records or len(records) > limit:  # the extra record shows that there are more
            return records[:limit], bool(records)
        # The page ended at PAGE_BYTES or at the end of the range; only the database knows which.
        return records, bool(await page(after=records[-1].sort_key, limit=1, most_bytes=1))

    def _lose(self, reason: str) -> None:
        self._metrics.history.labels("unavailable").inc()
        self._outage.lost(reason)

    async def aclose(self) -> None:
        """Close the database."""
        await self._database.aclose()


class HistoryPort(Protocol):
    """What this route needs from the node."""

    archive: Archive


def _sent(record: Record) -> HistoryRecord[msgspec.Raw]:
    return HistoryRecord(
        epoch=record.epoch,
        seq=record.seq,
        published_at=iso_of(record.published_at),
        data=msgspec.Raw(record.data.encode()),
    )


def _later(message: str, code: HttpCode, seconds: int) -> Response:
    response = failure(503, FailureData(message=message, code=code))
    response.headers["Retry-After"] = str(seconds)
    return response


async def history(request: Request, query: Asked) -> Response:
    """The stored updates of a service, oldest first, page by page."""
    node: HistoryPort = request.state.node
    service, archive = request.path_params["service"], node.archive
    limit = query[LIMIT]
    try:
        asked = range_of(service, query, time.time())
    except ValueError as error:
        return failure(400, FailureData(message=str(error), code="invalid_parameter"))
    held: ExitStack[bool | None] = ExitStack()
    with held:
        try:
            held.enter_context(archive.slot())
            records, more = await archive.page(asked, limit)
        except BusyError:
            return _later("Too many pages are being made: try again", "busy", _BUSY_SECONDS)
        except DatabaseError:  # the log has the reason: it names hosts
            return _later("The history is not available: its database can't be read", "unavailable", _AWAY_SECONDS)
        page = HISTORIES[service](
            first=iso_of(asked.first),
            last=iso_of(asked.last),
            limit=limit,
            records=[_sent(record) for record in records],
            next_cursor=encode_cursor(asked, records[-1]) if more else msgspec.UNSET,
            limits=archive.limits(service),
        )
        return PageResponse(_to_json(Success(status="success", data=page, timestamp=now_iso())), held.pop_all())


ROUTES = [ApiRoute("/api/v1/history/{service}", history, PARAMETERS)]
