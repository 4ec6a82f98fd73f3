"""persistence: what it publishes of the recorder and its database, on both of them."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from shared.catalog import CHANNEL_NAMES
from shared.database import Database, Record
from shared.errors import NoSourceError
from shared.payloads import Persistence
from shared.settings import Settings
from shared.timestamps import iso
from tests.waiting import until
from tests.workers.stage import NOON, Stage
from workers.services.persistence.service import PersistenceService, size_text
from workers.services.service import Resident


@contextlib.asynccontextmanager
async def running(stage: Stage, settings: Settings) -> AsyncIterator[PersistenceService]:
    """The service as a worker that leads has it: its recorder runs."""
    service: PersistenceService = stage.open("persistence", database_url=settings.database_url)
    task = asyncio.create_task(service.run())
    try:
        await until(lambda: service.recorder.writing or task.done())
        yield service
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_its_figures_are_those_of_the_database(
    stage: Stage, database_settings: Settings, database: Database
) -> None:
    """Records by service, bytes and the last commit equal the results of direct queries."""
    async with running(stage, database_settings) as service:
        assert isinstance(service, Resident)
        bus = stage.context().bus
        for service_name in CHANNEL_NAMES:
            await bus.publish(service_name, {"n": 1})
        await bus.publish("news", {"n": 2})

        async def recorded() -> bool:
            return await database.count() == len(CHANNEL_NAMES) + 1

        await until(recorded)
        saved = await database.last_save()
        state: Persistence = await stage.collect()
        assert state.records_by_service == {name: 2 if name == "news" else 1 for name in CHANNEL_NAMES}
        assert state.total_records == len(CHANNEL_NAMES) + 1
        assert state.storage_bytes == await database.size()
        assert state.storage_size == size_text(state.storage_bytes)
        assert state.last_save == (None if saved is None else iso(saved))
        assert (state.active_writers, state.unrecorded, state.timestamp) == (1, 0, iso(NOON))
        assert state.as_of == {"database": iso(NOON)}


async def test_a_new_database_has_recorded_nothing(stage: Stage, database_settings: Settings) -> None:
    """Zeros, and no last save: not the time at which it was made."""
    async with running(stage, database_settings):
        state: Persistence = await stage.collect()
    assert (state.total_records, state.records_by_service, state.last_save, state.unrecorded) == (0, {}, None, 0)
    assert state.storage_bytes > 0


async def test_what_left_the_bus_unread_is_told(stage: Stage, database_settings: Settings, database: Database) -> None:
    """The number for all services together, for the lifetime of the database."""
    await database.insert([Record("news", "e", 9, 1, "{}")], unrecorded={"news": 8, "onchain": 3})
    async with running(stage, database_settings):
        assert (await stage.collect()).unrecorded == 11


async def test_it_says_where_it_keeps_and_no_password(stage: Stage, database_settings: Settings) -> None:
    """The location is the address without user, password and options."""
    secret = "hunter2hunter2"  # noqa: S105 - nobody's: this server trusts everybody
    url = database_settings.database_url.get_secret_value().replace("coinwire@", f"coinwire:{secret}@")
    settings = database_settings.model_copy(update={"database_url": SecretStr(url)})
    async with running(stage, settings):
        state: Persistence = await stage.collect()
    assert state.storage_location == url.replace(f"coinwire:{secret}@", "")
    assert secret not in repr(state)


async def test_a_database_that_cannot_be_read_is_no_source(stage: Stage, tmp_path: Path) -> None:
    """Nothing is published then, neither zeros nor old figures: the service goes stale."""
    file = tmp_path / "history.db"
    settings = stage.settings.model_copy(update={"database_url": SecretStr(f"sqlite:///{file}")})
    stage.open("persistence", database_url=settings.database_url)
    with pytest.raises(NoSourceError, match="nothing has been stored there yet"):
        await stage.collect()
    file.write_bytes(b"this is no database, and long enough to be none" * 100)
    with pytest.raises(NoSourceError, match="file is not a database"):
        await stage.collect()


@pytest.mark.slow  # as long as a writer waits for the other one
async def test_while_it_cannot_write_it_has_no_writer(stage: Stage, tmp_path: Path) -> None:
    """A locked SQLite can still be read: the figures are true, and there is no writer."""
    file = tmp_path / "history.db"
    settings = stage.settings.model_copy(update={"database_url": SecretStr(f"sqlite:///{file}")})
    async with running(stage, settings) as service:
        with contextlib.closing(sqlite3.connect(file, isolation_level=None, check_same_thread=False)) as other:
            await asyncio.to_thread(other.execute, "BEGIN IMMEDIATE")  # it may have to wait for the recorder
            await stage.context().bus.publish("news", {"n": 1})
            await until(lambda: not service.recorder.writing, 15)
            state: Persistence = await stage.collect()
            assert (state.active_writers, state.total_records) == (0, 0)
            other.execute("ROLLBACK")
        await until(lambda: service.recorder.writing, 15)
        state = await stage.collect()
        assert (state.active_writers, state.total_records) == (1, 1)


@pytest.mark.parametrize(
    ("size", "text"),
    [
        *((0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (2_450_000_000, "2.5 GB")),
        *((999_949, "999.9 kB"), (999_950, "1.0 MB"), (3 * 10**15, "3000.0 TB")),
    ],
)
def test_sizes_are_told_for_people(size: int, text: str) -> None:
    """In powers of a thousand, with one decimal."""
    assert size_text(size) == text
