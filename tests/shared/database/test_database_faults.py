"""The database when it fails, and when several write, read, and delete at once."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from pydantic import SecretStr
from sqlalchemy import create_engine, text

from shared.database import Database, Record, open_database
from shared.database.tables import metadata
from shared.errors import DatabaseError, SettingsError
from shared.settings import Settings
from tests.database import new_postgres
from tests.postgres import PostgresServer

pytestmark = pytest.mark.slow

SECRET = "hunter2hunter2"  # noqa: S105 - nobody's


def record(seq: int, data: str = "{}") -> Record:
    """One record of one service."""
    return Record("news", "e", seq, seq, data)


def opened(url: str, **more: Any) -> Database:
    """The database of that address."""
    return Database(Settings(_env_file=None, database_url=SecretStr(url)), **more)


@pytest.fixture
async def other(database: Database, database_settings: Settings) -> AsyncIterator[Database]:
    """Another process's view of the same database."""
    found = open_database(database_settings)
    yield found
    await found.aclose()


def test_migrations_make_the_tables_that_are_declared(database_url: str) -> None:
    """Alembic finds no difference, on either database."""
    database = opened(database_url)

    async def migrate() -> None:
        await database.migrate()
        await database.aclose()

    asyncio.run(migrate())
    engine = create_engine(database_url.replace("postgresql:", "postgresql+psycopg:"))
    with engine.connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
    engine.dispose()


async def test_postgresql_sorts_by_code_point_whatever_its_language(postgres: PostgresServer) -> None:
    """The columns that order pages say so themselves."""
    url = postgres.new_database()
    database = opened(url)
    await database.migrate()
    await database.aclose()
    with psycopg.connect(url) as connection:
        rows = connection.execute(
            "SELECT column_name, collation_name FROM information_schema.columns"
            " WHERE table_name = 'updates' AND column_name IN ('service', 'epoch')"
        ).fetchall()
    assert sorted(rows) == [("epoch", "C"), ("service", "C")]


async def test_emptied_while_others_write_the_totals_are_true(database: Database, other: Database) -> None:
    """Each record that is there afterwards is in the totals, and no other."""

    async def write() -> None:
        for start in range(0, 1000, 20):
            await other.insert([record(seq) for seq in range(start, start + 20)])

    async def empty() -> None:
        for _ in range(10):
            await database.clear()

    await asyncio.gather(write(), empty())
    assert sum((await database.totals()).values()) == await database.count()


async def test_pruned_by_two_at_once_the_totals_are_true(database: Database, other: Database) -> None:
    """A record is deleted once, and counted once."""
    await database.insert([record(seq) for seq in range(2000)])

    async def prune(by: Database) -> int:
        gone = 0
        while (now := await by.prune("news", 1500, 100)) > 0:
            gone += now
        return gone

    assert sum(await asyncio.gather(prune(database), prune(other))) == 1500
    assert await database.totals() == {"news": 500}
    assert await database.count() == 500


async def test_readers_do_not_wait_for_a_writer(tmp_path: Path) -> None:
    """During a write to SQLite's file, pages and totals are those of the last commit."""
    database = opened(f"sqlite:///{tmp_path}/history.db")
    await database.migrate()
    await database.insert([record(1)])
    with closing(sqlite3.connect(tmp_path / "history.db", isolation_level=None)) as writer:
        writer.execute("BEGIN IMMEDIATE")
        writer.execute("DELETE FROM updates")
        async with asyncio.timeout(30):
            assert await database.page("news", limit=5) == [record(1)]
            assert await database.totals() == {"news": 1}
        writer.execute("ROLLBACK")
    await database.aclose()


@pytest.mark.slow  # psycopg gives a server ten seconds to end what was cancelled
async def test_a_server_that_hangs_is_a_database_error() -> None:
    """A server that accepts connections but never answers is given up, and is used again afterwards."""
    with new_postgres() as server:
        database = opened(server.new_database(), deadline=0.5)
        await database.migrate()
        await database.insert([record(1)])
        with server.frozen():
            async with asyncio.timeout(25):
                with pytest.raises(DatabaseError, match="TimeoutError"):
                    await database.insert([record(2)])
        assert await database.insert([record(1), record(3)]) == 1
        assert await database.totals() == {"news": await database.count()}
        await database.aclose()


async def test_an_error_says_what_the_database_said(postgres: PostgresServer, tmp_path: Path) -> None:
    """One line that an operator can act on, without the password."""
    for url, said in (
        (f"postgresql://coinwire:{SECRET}@127.0.0.1:{postgres.port}/nowhere", 'database "nowhere" does not exist'),
        (f"postgresql://nobody:{SECRET}@127.0.0.1:{postgres.port}/postgres", 'role "nobody" does not exist'),
        (f"postgresql://coinwire:{SECRET}@127.0.0.1:{postgres.port}/postgres?sslmode=require", "does not support SSL"),
        (f"sqlite:///{tmp_path}", "unable to open database file"),
    ):
        database = opened(url)
        with pytest.raises(DatabaseError, match=said) as caught:
            await database.migrate()
        assert SECRET not in str(caught.value)
        assert "\n" not in str(caught.value)
        await database.aclose()


@pytest.mark.parametrize("address", ["me:{0}@127.0.0.1:{1}/postgres", "{0}@127.0.0.1:{1}/postgres?password={0}"])
async def test_what_a_server_says_is_not_told_where_it_has_the_password(postgres: PostgresServer, address: str) -> None:
    """Servers repeat their input: here the user's name, which may equal the password."""
    database = opened(f"postgresql://{address.format(SECRET, postgres.port)}")
    with pytest.raises(DatabaseError, match=r": OperationalError") as caught:
        await database.check()
    assert SECRET not in str(caught.value)
    await database.aclose()


async def test_tables_of_a_later_version_are_left_alone(database: Database, database_settings: Settings) -> None:
    """After a downgrade the tables are not written, and the error explains it."""
    url = database_settings.database_url.get_secret_value().replace("postgresql:", "postgresql+psycopg:")
    engine = create_engine(url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
    engine.dispose()
    with pytest.raises(DatabaseError, match="9999"):
        await database.migrate()
    with pytest.raises(DatabaseError, match="9999"):
        await database.check()


@pytest.mark.parametrize("option", ["no_such=1", f"pasword={SECRET}"])
def test_an_option_that_postgresql_does_not_have_is_refused(option: str) -> None:
    """When the address is read, and by no other name than the setting's."""
    with pytest.raises(SettingsError, match=r"^DATABASE_URL: has an option") as caught:
        opened(f"postgresql://me:{SECRET}@host/name?{option}")
    assert SECRET not in str(caught.value)


async def test_a_file_that_is_no_database_is_left_as_it_is(tmp_path: Path) -> None:
    """An address that names something else by mistake does no harm."""
    file = tmp_path / "letter.txt"
    letter = "dear sir or madam, " * 500
    file.write_text(letter)
    database = opened(f"sqlite:///{file}")
    for call in (database.migrate(), database.check(), database.totals()):
        with pytest.raises(DatabaseError, match="file is not a database"):
            await call
    await database.aclose()
    assert file.read_text() == letter


async def test_a_batch_larger_than_sqlite_takes_in_one_statement_is_written(database: Database) -> None:
    """Seven thousand records are 35,000 values, and one statement may hold 32,766."""
    records = [record(seq) for seq in range(7000)]
    assert await database.insert(records) == 7000
    assert await database.insert([*records[:7], record(7000)]) == 1
    assert await database.totals() == {"news": 7001}
