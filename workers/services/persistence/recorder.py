"""Recorder: writes every update of the bus into the database exactly once, also after crashes."""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from types import MappingProxyType
from typing import NamedTuple

import msgspec
import structlog

from shared.bus import Entry, Position, StreamReader
from shared.catalog import CHANNEL_NAMES
from shared.database import HOUR, MINUTE, Charts, Database, Record
from shared.envelope import Envelope
from shared.errors import BusError, DatabaseError, EnvelopeError
from shared.metrics import WorkerMetrics
from shared.outage import Backoff, Outage
from shared.settings import Retention
from workers.services.persistence.ages import Gaps, oldest_kept, oldest_of

log = structlog.get_logger()

GROUP = "recorder"
"""The consumer group, and its only consumer: the holder of the lease."""

_BATCH = 100  # entries per service and transaction: some MB of market_data; more are no faster
_LARGEST = _BATCH * len(CHANNEL_NAMES)  # records of a transaction; fewer where one fails, which may be for its size
_FIRST_PAUSE, _LONGEST_PAUSE = 0.2, 5.0  # s between attempts, doubling, with full jitter
_PRUNE_EVERY = 300.0  # s between two deletions of records older than their retention, which is in days
_PRUNED = 500  # records deleted per transaction, so that the recorder's own transactions wait only briefly
_PRUNE_PAUSE = 0.05  # s between two such transactions: SQLite has no queue, waiting writers just poll
_HIGHEST = 2**63 - 1  # largest BIGINT
_WHOLE = {MINUTE: 900_000, HOUR: 86_400_000}
"""Milliseconds of the longest candle that is made of stored ones. Only whole ones of these are deleted."""
CANDLE_DAYS: Mapping[int, float] = MappingProxyType({MINUTE: 7.0, HOUR: 365.0})
"""Days that candles are kept by default, by their length in seconds."""


class _Batch(NamedTuple):
    """What one transaction writes, and the state after its commit."""

    records: list[Record]
    lost: dict[str, int]
    """By service, the number of updates that left the stream before they were read."""
    positions: dict[str, Position]
    foreign: list[tuple[str, str]]
    """Service and reason of each entry that is not an update of ours."""


class Recorder:
    """Reads the streams, writes, and acknowledges what is committed: in this order, so that nothing is lost.

    An update that was written but not acknowledged is read again. It is in the database already, so it is not stored
    twice.
    """

    def __init__(
        self,
        database: Database,
        reader: StreamReader,
        retention: Retention,
        metrics: WorkerMetrics,
        *,
        candle_days: Mapping[int, float] = CANDLE_DAYS,
        clock: Callable[[], float] = time.time,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """`candle_days`: see CANDLE_DAYS. `clock` gives unix seconds; `jitter` gives 0 ≤ x < 1."""
        self._database = database
        self._charts = Charts(database)
        self._candle_days = candle_days
        self._reader = reader
        self._retention = retention
        self._metrics = metrics
        self._clock = clock
        self._gaps = Gaps()
        self._jitter = jitter
        self._positions: dict[str, Position] = {}
        self._foreign: Counter[str] = Counter()
        self.writing = False
        """Whether it runs, and its last transaction was committed."""

    async def run(self) -> None:
        """Record until cancelled. While Redis or the database is down, it retries without limit."""
        try:
            await self._insist("database", self._prepare)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._record())
                tasks.create_task(self._prune())
        finally:
            self.writing = False
            await self._database.aclose()

    async def _prepare(self) -> None:
        await self._database.migrate()
        found = await self._database.positions(CHANNEL_NAMES)
        self._positions = {service: Position(epoch, seq) for (service, epoch), seq in found.items()}
        self.writing = True
        log.info("recording", database=self._database.location)

    async def _record(self) -> None:
        entries: list[Entry] = []
        batch = _Batch([], {}, {}, [])
        size = _LARGEST

        async def read() -> None:
            nonlocal entries
            try:
                entries = await self._reader.read(_BATCH)
            except BusError:
                self._reader.rewind()  # the last answer of Redis may have been lost on the way
                raise

        async def gather() -> None:
            nonlocal batch
            batch = await self._gather(entries)

        async def write() -> None:
            nonlocal size
            first, most = 0, size
            size = max(1, min(size, len(batch.records)) // 2)  # if it fails
            try:
                if not self.writing:
                    # After a failure there may be another database at the same address, or none.
                    await self._database.aclose()
                    await self._database.migrate()
                reached = dict(batch.positions.items() - self._positions.items())
                while len(batch.records) - first > most:
                    await self._database.insert(batch.records[first : first + most])
                    first += most
                # Last: a recorder that dies before it counts what was lost again.
                await self._database.insert(batch.records[first:], unrecorded=batch.lost, positions=reached)
            except DatabaseError:
                self.writing = False
                raise
            self.writing, size = True, _LARGEST

        async def acknowledge() -> None:
            try:
                await self._reader.acknowledge(entries)
            except BusError:
                self._reader.rewind()
                raise

        while True:
            await self._insist("redis", read)
            if entries:
                await self._insist("redis", gather)
                await self._insist("database", write)
                self._written(batch)
                await self._insist("redis", acknowledge)

    async def _gather(self, entries: Sequence[Entry]) -> _Batch:
        """The records, and the number of updates missing between them. Raises BusError."""
        positions, missing = dict(self._positions), Counter[str]()
        records: list[Record] = []
        foreign: list[tuple[str, str]] = []
        for entry in entries:
            if entry.envelope is None:
                if entry.fault is not None:
                    foreign.append((entry.service, entry.fault))
                continue
            try:
                records.append(record_of(entry.envelope))
            except EnvelopeError as error:
                foreign.append((entry.service, str(error)))
                continue
            known, position = positions.get(entry.service), Position(entry.envelope.epoch, entry.envelope.seq)
            if missing_between(known, position):
                # Updates still in the stream are not missing: a predecessor that has not ended yet holds them.
                oldest = await self._reader.oldest(entry.service) or position.seq
                gone = Position(position.epoch, min(oldest, position.seq))
                missing[entry.service] += missing_between(known, gone)
            if known is None or known.epoch != position.epoch or known.seq < position.seq:
                positions[entry.service] = position
        lost = {service: count for service, count in missing.items() if count}
        return _Batch(records, lost, positions, foreign)

    def _written(self, batch: _Batch) -> None:
        self._positions = batch.positions
        for record in batch.records:
            self._metrics.stored.labels(record.service).inc()
        for service, count in batch.lost.items():
            self._metrics.missed.labels(service).inc(count)
            log.warning("updates left the bus before they were read", service=service, count=count)
        for service, reason in batch.foreign:
            self._foreign[service] += 1
            count = self._foreign[service]
            if (
                str(count).strip("0") == "1"
            ):  # log the first, the tenth, the hundredth, so that many of them don't flood the log
                log.warning("foreign entries left out", service=service, count=count, reason=reason)

    async def _prune(self) -> None:
        while True:
            with contextlib.suppress(DatabaseError):  # recording logs the outage; deletion can wait
                await self.prune()
            await asyncio.sleep(_PRUNE_EVERY)

    async def prune(self) -> None:
        """Delete records and candles older than their retention. Raises DatabaseError.

        See `oldest_kept` for how their age is counted: no clock that is set ahead makes all of them old.
        """
        now_ms = int(self._clock() * 1000)
        kept: dict[float, int | None] = {}
        for service in CHANNEL_NAMES:
            days = self._retention.of(service)
            if days not in kept:
                kept[days] = await oldest_kept(self._database, days, now_ms, self._gaps)
            await self._delete(partial(self._database.prune, service), kept[days])
        for seconds, days in self._candle_days.items():
            before = await oldest_of(partial(self._charts.around, seconds), days, now_ms)
            whole = None if before is None else before - before % _WHOLE[seconds]
            await self._delete(partial(self._charts.prune, seconds), whole)

    async def _delete(self, prune: Callable[[int, int], Awaitable[int]], before: int | None) -> None:
        if before is None:
            return
        while True:
            if await prune(before, _PRUNED) < _PRUNED:
                return
            await asyncio.sleep(_PRUNE_PAUSE)

    async def _insist(self, what: str, attempt: Callable[[], Awaitable[None]]) -> None:
        """Repeat `attempt` until it succeeds."""
        outage = Outage(f"recorder: {what} lost", f"recorder: {what} back")
        backoff = Backoff(_FIRST_PAUSE, _LONGEST_PAUSE, self._jitter)
        while True:
            try:
                await attempt()
            except (BusError, DatabaseError) as error:
                outage.lost(error)
                await asyncio.sleep(backoff.pause())
            else:
                outage.back()
                return


def record_of(envelope: Envelope) -> Record:
    """An update as a record of the database. Raises EnvelopeError if it is not a valid update of ours."""
    try:
        published = datetime.fromisoformat(envelope.timestamp)
        data = msgspec.json.encode(envelope.data).decode()
    except (ValueError, TypeError, RecursionError, msgspec.MsgspecError) as error:
        raise EnvelopeError(f"it can't be kept: {type(error).__name__}") from None
    if envelope.seq > _HIGHEST or "\0" in envelope.epoch:
        raise EnvelopeError("no database holds its position")
    if published.tzinfo is None:
        raise EnvelopeError("its time has no zone")
    return Record(envelope.service, envelope.epoch, envelope.seq, round(published.timestamp() * 1000), data)


def missing_between(known: Position | None, position: Position) -> int:
    """How many updates are missing between the newest known one and this; 0 if this is not newer.

    An epoch begins with 1. Before the first record of a service nothing counts as missing: no recorder ran.
    """
    if known is None:
        return 0
    if known.epoch != position.epoch:
        return position.seq - 1
    return max(0, position.seq - known.seq - 1)
