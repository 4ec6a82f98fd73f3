"""Database: every statement that coinwire sends to one."""

from __future__ import annotations

import asyncio
import fcntl
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import MappingProxyType
from typing import Any

from sqlalchemy import delete, func, select, text, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from shared.database import schema
from shared.database.candle_table import add_candles
from shared.database.engine import DATABASE_FAULTS, fault_text, location_of, open_engine, url_of
from shared.database.record import Record, SortKey
from shared.database.statements import NOTED, SIZE, around, between, bytes_of, counted, pruned, row_of
from shared.database.tables import metadata, totals, updates
from shared.errors import DatabaseError, NothingStoredError
from shared.settings import Settings

_ROWS = 100  # rows per read of a page that is limited in bytes: it reads at most this many rows too many, about 1 MB
_SECONDS = 15.0  # per transaction: the largest batch takes a second or two; beyond it the server counts as down
_KEY = (updates.c.service, updates.c.epoch, updates.c.seq)
_SORT_KEY = (updates.c.published_at, updates.c.epoch, updates.c.seq)


def open_database(settings: Settings) -> Database:
    """The database of DATABASE_URL; nothing is opened yet. Raises SettingsError."""
    return Database(settings)


class Database:
    """Records, in SQLite or PostgreSQL. Every method except `aclose` raises DatabaseError if the database fails."""

    def __init__(
        self, settings: Settings, clock: Callable[[], float] = time.time, *, deadline: float = _SECONDS
    ) -> None:
        """Connects to nothing yet. `clock` gives unix seconds. Raises SettingsError.

        `deadline` limits each transaction, in seconds. It does not apply to `migrate`, `clear` and `count`, whose
        duration grows with the number of records. With a server that hangs, a call takes up to ten seconds longer.
        """
        self._url = url = url_of(settings)
        self.location = location_of(url)
        self.dialect = url.get_backend_name()
        """`sqlite` or `postgresql`."""
        self._file = Path(str(url.database)) if self.dialect == "sqlite" else None
        self._engine = open_engine(url)
        self._clock = clock
        self._deadline = deadline
        self._insert: Any = sqlite.insert if self.dialect == "sqlite" else postgresql.insert

    # Opening and closing.

    async def migrate(self) -> None:
        """Create the tables, or bring them up to date. Several processes may call it at once."""
        async with self._alone():
            if self._file is not None:
                # In WAL mode readers and the recorder don't block each other. The mode is stored in the file.
                async with self._connected(making=True, patient=True) as connection:
                    await connection.execution_options(isolation_level="AUTOCOMMIT")
                    await connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            async with self.begun(making=True, patient=True) as connection:
                await schema.upgrade(connection)

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Hold a lock beside an SQLite file: SQLite refuses a second migration instead of letting it wait."""
        if self._file is None:
            yield
            return
        lock = self._file.with_name(self._file.name + ".lock")
        try:
            lock.parent.mkdir(parents=True, exist_ok=True)
            with lock.open("w") as held:
                await asyncio.to_thread(fcntl.flock, held, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise DatabaseError(f"{self.location}: {error.strerror}") from None

    async def check(self) -> None:
        """Raise DatabaseError if the database can't be reached, or its tables are not those of this version."""
        async with self.begun() as connection:
            found = await connection.run_sync(schema.revision_of)
        if found is None:
            raise NothingStoredError(f"{self.location}: its tables are at nothing, not at {schema.head()}")
        if found != schema.head():
            raise DatabaseError(f"{self.location}: its tables are at {found}, not at {schema.head()}")

    async def aclose(self) -> None:
        """Close its connections."""
        await self._engine.dispose()

    # Writing.

    async def insert(
        self,
        records: Sequence[Record],
        *,
        unrecorded: Mapping[str, int] | None = None,
        positions: Mapping[str, tuple[str, int]] | None = None,
    ) -> int:
        """Store `records`, add to the count of `unrecorded` updates, and note the `positions` recorded last.

        Both are per service. All is one transaction. Returns how many records are new; their prices are added to the
        candles. Records that are already stored are left unchanged.
        """
        # Always in the same order, so that two writers never deadlock.
        ordered = sorted(records, key=lambda record: (record.service, record.epoch, record.seq))
        lost, reached = unrecorded or {}, positions or {}
        if not ordered and not lost and not reached:
            return 0
        async with self.begun() as connection:
            new: list[Record] = []
            if ordered:
                statement = self._insert(updates).on_conflict_do_nothing().returning(*_KEY)
                stored = await connection.execute(statement, [row_of(record) for record in ordered])
                by_key = {(record.service, record.epoch, record.seq): record for record in reversed(ordered)}
                new = [by_key[key] for key in map(tuple, stored.all())]
                await connection.run_sync(add_candles, new)
            await self._add(connection, Counter(record.service for record in new), lost, reached)
        return len(new)

    async def prune(self, service: str, before_ms: int, limit: int) -> int:
        """Delete at most `limit` of the oldest records of `service` published before `before_ms`; return how many."""
        async with self.begun() as connection:
            oldest = (
                select(*_KEY)
                .where(updates.c.service == service, updates.c.published_at < before_ms)
                .order_by(*_SORT_KEY)
                .limit(limit)
            )
            gone = await connection.execute(delete(updates).where(tuple_(*_KEY).in_(oldest)))
            if gone.rowcount:
                await self._add(connection, Counter({service: -gone.rowcount}))
                await connection.execute(pruned(service, before_ms))
            return gone.rowcount

    async def clear(self) -> None:
        """Delete every record, all candles and all counts."""
        async with self.begun(patient=True) as connection:
            if self.dialect == "postgresql":
                # Inserts wait: a record between the two statements would be missing from the totals.
                await connection.execute(text("LOCK TABLE updates IN SHARE ROW EXCLUSIVE MODE"))
            for table in metadata.sorted_tables:
                await connection.execute(delete(table))

    async def _add(
        self,
        connection: AsyncConnection,
        records: Mapping[str, int],
        lost: Mapping[str, int] = MappingProxyType({}),
        reached: Mapping[str, tuple[str, int]] = MappingProxyType({}),
    ) -> None:
        for service in sorted({*records, *lost, *reached}):
            added = records.get(service, 0)
            saved = self._clock() if added > 0 else None
            epoch, seq = reached.get(service, (None, None))
            row = {"records": added, "unrecorded": lost.get(service, 0), "last_save": saved, "epoch": epoch, "seq": seq}
            await connection.execute(counted(self._insert(totals).values(service=service, **row)))

    # Reading.

    async def page(
        self,
        service: str,
        *,
        first: int | None = None,
        last: int | None = None,
        after: SortKey | None = None,
        limit: int,
        most_bytes: int | None = None,
    ) -> list[Record]:
        """Records of `service` after `after`, in order of SortKey, from `first` to `last` (unix ms, both inclusive).

        At most `limit`. Fewer if their `data` would exceed `most_bytes`, but at least one if there is any.
        """
        found: list[Record] = []
        size = 0
        async with self.begun() as connection:
            while len(found) < limit:
                wanted = min(_ROWS, limit - len(found)) if most_bytes is not None else limit
                statement = between(select(updates), service, first, last).order_by(*_SORT_KEY).limit(wanted)
                if after is not None:
                    statement = statement.where(tuple_(*_SORT_KEY) > tuple_(*after))
                rows = [Record(*row) for row in (await connection.execute(statement)).all()]
                for record in rows:
                    size += len(record.data.encode())
                    if found and most_bytes is not None and size > most_bytes:
                        return found
                    found.append(record)
                if len(rows) < wanted:
                    break
                after = found[-1].sort_key
        return found

    async def newest(self, service: str) -> SortKey | None:
        """The sort key of the last record of `service`; None if it has no record."""
        backwards = [column.desc() for column in _SORT_KEY]
        async with self.begun() as connection:
            found = await connection.execute(
                select(*_SORT_KEY).where(updates.c.service == service).order_by(*backwards).limit(1)
            )
            row = found.first()
        return None if row is None else SortKey(*row)

    async def count(self, service: str | None = None, *, first: int | None = None, last: int | None = None) -> int:
        """The number of records, counted now; of one service and of one span if given."""
        async with self.begun(patient=True) as connection:
            statement = between(select(func.count()).select_from(updates), service, first, last)
            return int((await connection.execute(statement)).scalar_one())

    async def services(self) -> list[str]:
        """The services that have records, sorted by name."""
        return sorted(name for name, count in (await self.totals()).items() if count)

    async def totals(self) -> dict[str, int]:
        """The number of records per service."""
        async with self.begun() as connection:
            rows = (await connection.execute(select(totals.c.service, totals.c.records))).all()
        return {row.service: row.records for row in rows}

    async def unrecorded(self) -> int:
        """The number of updates that had left the bus before the recorder read them."""
        async with self.begun() as connection:
            return int((await connection.execute(select(func.coalesce(func.sum(totals.c.unrecorded), 0)))).scalar_one())

    async def last_save(self) -> float | None:
        """Unix seconds of the last commit that stored a record; None before the first."""
        async with self.begun() as connection:
            found: float | None = (await connection.execute(select(func.max(totals.c.last_save)))).scalar_one()
        return found

    async def around(self, services: Collection[str], moment: int) -> tuple[int | None, int | None]:
        """Times of the newest record of `services` up to `moment`, and of the oldest after it; None for no record."""
        async with self.begun() as connection:
            found = [time for time in (await connection.execute(around(services, moment))).one() if time is not None]
        before, after = ([time for time in found if (time <= moment) is up_to] for up_to in (True, False))
        return max(before, default=None), min(after, default=None)

    async def positions(self, services: Collection[str]) -> dict[tuple[str, str], int]:
        """The seq per (service, epoch) that was recorded last of each of `services`.

        Where none was noted (by an older version, or after a restore): the highest seq in the newest record's epoch.
        """
        async with self.begun() as connection:
            noted = (await connection.execute(NOTED)).all()
            found: dict[tuple[str, str], int] = {(row.service, row.epoch): row.seq for row in noted}
            for service in set(services) - {name for name, _ in found}:
                newest = (
                    select(updates.c.epoch)
                    .where(updates.c.service == service)
                    .order_by(*(column.desc() for column in _SORT_KEY))
                    .limit(1)
                    .scalar_subquery()
                )
                highest = select(updates.c.epoch, func.max(updates.c.seq)).where(
                    updates.c.service == service, updates.c.epoch == newest
                )
                for epoch, seq in (await connection.execute(highest.group_by(updates.c.epoch))).all():
                    found[service, epoch] = seq
        return found

    async def size(self) -> int:
        """Bytes on disk."""
        if self._file is not None:
            return await asyncio.to_thread(bytes_of, self._file)
        async with self.begun() as connection:
            return sum((await connection.execute(SIZE)).one())

    @asynccontextmanager
    async def begun(self, *, making: bool = False, patient: bool = False) -> AsyncIterator[AsyncConnection]:
        """One transaction, committed at the end; without a deadline if `patient`."""
        async with self._connected(making=making, patient=patient) as connection, connection.begin():
            yield connection

    @asynccontextmanager
    async def _connected(self, *, making: bool, patient: bool) -> AsyncIterator[AsyncConnection]:
        if self._file is not None and not making and not self._file.exists():
            raise NothingStoredError(f"{self.location}: nothing has been stored there yet")  # opening it would make it
        try:
            async with asyncio.timeout(None if patient else self._deadline), self._engine.connect() as connection:
                yield connection
        except DATABASE_FAULTS as error:
            raise DatabaseError(f"{self.location}: {fault_text(error, self._url)}") from error
