"""The database, on SQLite and on PostgreSQL: what is written once is there once, and every figure of it is true."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from pydantic import SecretStr

from launcher.ports import free_port
from shared.database import Database, Record, SortKey, open_database
from shared.errors import DatabaseError, SettingsError
from shared.settings import Settings

SECRET = "hunter2hunter2"  # noqa: S105 - nobody's


def record(seq: int, *, service: str = "news", epoch: str = "e1", at: int = 1000, data: str = '{"a":1}') -> Record:
    """One record; those of one `at` differ in seq alone."""
    return Record(service, epoch, seq, at, data)


@pytest.fixture
async def others(database_settings: Settings) -> AsyncIterator[Sequence[Database]]:
    """Three more processes' views of the same database."""
    async with AsyncExitStack() as stack:
        found = [open_database(database_settings) for _ in range(3)]
        for each in found:
            stack.push_async_callback(each.aclose)
        yield found


async def everything(database: Database, service: str = "news", limit: int = 1000) -> list[Record]:
    """All records of a service, page by page."""
    found: list[Record] = []
    while page := await database.page(service, after=found[-1].sort_key if found else None, limit=limit):
        found += page
    return found


async def test_what_is_written_is_read_unchanged(database: Database) -> None:
    """Every column comes back as it was, be the text what it may."""
    written = [record(1, data='{"t":"naïve ☃ \\u0000 \\"quoted\\""}'), record(2**53, at=2**42, data="x" * 100_000)]
    assert await database.insert(written) == 2
    assert await everything(database) == written


async def test_a_record_is_kept_once(database: Database) -> None:
    """The key is service, epoch and seq: an existing record stays unchanged and is not counted."""
    assert await database.insert([record(1), record(2)]) == 2
    assert await database.insert([record(2, data="other"), record(3), record(1, epoch="e2")]) == 2
    assert [found.data for found in await everything(database)] == ['{"a":1}'] * 4
    assert await database.insert([record(1), record(1)]) == 0
    assert await database.totals() == {"news": 4}


async def test_writers_at_once_keep_each_record_once(database: Database, others: Sequence[Database]) -> None:
    """Four writers of the same ten thousand, in any order: ten thousand rows, and totals that say so."""
    records = [record(seq, service=service) for service in ("news", "market_data") for seq in range(2500)]

    async def write(writer: Database, turn: int) -> int:
        batches = [records[start : start + 100] for start in range(0, len(records), 100)]
        return sum([await writer.insert(batch) for batch in batches[turn * 10 :] + batches[: turn * 10]])

    written = await asyncio.gather(*(write(writer, turn) for turn, writer in enumerate((database, *others))))
    assert sum(written) == 5000
    assert await database.totals() == {"news": 2500, "market_data": 2500}
    assert await database.count() == 5000


@hypothesis_settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    times=st.lists(st.integers(0, 5), max_size=40),
    limit=st.integers(1, 50),
    most_bytes=st.one_of(st.none(), st.integers(1, 60)),
)
async def test_pages_of_any_size_give_each_record_once_in_order(
    database: Database, times: list[int], limit: int, most_bytes: int | None
) -> None:
    """Also where many have the same time: nothing is left out between two pages, nothing comes twice."""
    await database.clear()
    written = [record(seq, at=at, epoch=f"e{seq % 3}") for seq, at in enumerate(times)]
    await database.insert(written)
    found: list[Record] = []
    while page := await database.page(
        "news", after=found[-1].sort_key if found else None, limit=limit, most_bytes=most_bytes
    ):
        assert len(page) <= limit
        found += page
    assert found == sorted(written, key=lambda each: each.sort_key)


async def test_a_page_is_of_one_service_and_of_a_span(database: Database) -> None:
    """Both ends of the span belong to it; `after` is where the page before ended."""
    await database.insert([record(seq, at=seq) for seq in range(1, 10)] + [record(1, service="market_data")])
    page = await database.page("news", first=3, last=6, limit=100)
    assert [found.seq for found in page] == [3, 4, 5, 6]
    assert [
        found.seq for found in await database.page("news", first=3, last=6, after=SortKey(4, "e1", 4), limit=1)
    ] == [5]
    assert await database.count("news", first=3, last=6) == 4
    assert await database.page("onchain", limit=5) == []


async def test_a_page_ends_before_it_grows_too_large(database: Database) -> None:
    """Counted in bytes of UTF-8; one record there always is."""
    await database.insert([record(seq, data="☃" * 10) for seq in range(5)])
    for most, length in ((1, 1), (59, 1), (60, 2), (1000, 5)):
        assert len(await database.page("news", limit=10, most_bytes=most)) == length


async def test_totals_follow_what_is_deleted(database: Database) -> None:
    """The oldest go first, at most so many at once; other services are left alone."""
    await database.insert([record(seq, at=seq) for seq in range(10)] + [record(1, service="market_data", at=0)])
    assert await database.prune("news", 8, 5) == 5
    assert await database.prune("news", 8, 5) == 3
    assert await database.prune("news", 8, 5) == 0
    assert [found.seq for found in await everything(database)] == [8, 9]
    assert await database.totals() == {"news": 2, "market_data": 1}
    await database.clear()
    assert (await database.totals(), await database.count(), await database.last_save()) == ({}, 0, None)


async def test_what_was_missed_is_counted_with_what_was_written(database: Database) -> None:
    """In the same transaction, for ever."""
    await database.insert([record(5)], unrecorded={"news": 3})
    await database.insert([], unrecorded={"market_data": 2})
    assert await database.unrecorded() == 5
    assert await database.totals() == {"news": 1, "market_data": 0}


async def test_the_last_save_is_that_of_a_new_record(database_settings: Settings) -> None:
    """Writing nothing new saves nothing."""
    now = 100.0
    database = Database(database_settings, lambda: now)
    await database.migrate()
    assert await database.last_save() is None
    await database.insert([record(1)])
    now = 200.0
    await database.insert([record(1)])
    assert await database.last_save() == 100.0
    await database.aclose()


async def test_positions_are_those_of_the_newest_epoch(database: Database) -> None:
    """Where the next update of a service is expected to follow."""
    await database.insert([record(7, epoch="old", at=1), record(1, epoch="new", at=2), record(2, epoch="new", at=3)])
    assert await database.positions(["news", "onchain"]) == {("news", "new"): 2}


async def test_positions_follow_the_order_of_recording(database: Database) -> None:
    """A clock that was set back makes the newest update by order older than others by time."""
    await database.insert([record(5, epoch="ahead", at=9000)], positions={"news": ("ahead", 5)})
    await database.insert([record(1, epoch="right", at=5000)], positions={"news": ("right", 1)})
    await database.insert([record(1, service="onchain", at=4000)], positions={"onchain": ("e1", 1)})
    assert await database.positions(["news", "onchain"]) == {("news", "right"): 1, ("onchain", "e1"): 1}
    # A recorder that is about to end may come later with less.
    await database.insert([], positions={"news": ("right", 3)})
    await database.insert([record(2, epoch="right")], positions={"news": ("right", 2)})
    assert await database.positions(["news"]) == {("news", "right"): 3, ("onchain", "e1"): 1}
    await database.clear()
    assert await database.positions(["news"]) == {}


async def test_the_records_around_a_moment_are_those_of_any_service(database: Database) -> None:
    """Of the services that are named: the newest up to the moment, the oldest after it."""
    await database.insert([record(1, at=1000), record(2, at=3000), record(1, service="onchain", at=2000)])
    found = [await database.around(("news", "onchain"), moment) for moment in (999, 1000, 2500, 3000)]
    assert found == [(None, 1000), (1000, 2000), (2000, 3000), (3000, None)]
    assert await database.around(("news", "market_data"), 2500) == (1000, 3000)


async def test_size_grows_with_what_is_kept(database: Database) -> None:
    """Bytes on disk."""
    before = await database.size()
    await database.insert([record(seq, data=f"{seq}" * 500) for seq in range(1000)])
    assert await database.size() > before + 400_000


async def test_tables_are_made_once_by_whoever_comes_first(
    database_settings: Settings, others: Sequence[Database]
) -> None:
    """Processes that start together all find the tables, and a repetition changes nothing."""
    with pytest.raises(DatabaseError):
        await others[0].check()
    await asyncio.gather(*(each.migrate() for each in others))
    await others[0].insert([record(1)])
    await others[1].migrate()
    for each in others:
        await each.check()
        assert await each.count() == 1


async def test_a_database_that_is_away_is_a_database_error_without_its_password() -> None:
    """Every method reports address and reason, without credentials."""
    url = f"postgresql://me:{SECRET}@127.0.0.1:{free_port()}/name?sslmode=disable"
    database = open_database(Settings(_env_file=None, database_url=SecretStr(url)))
    assert database.location.startswith("postgresql://127.0.0.1:")
    calls = (database.migrate(), database.check(), database.insert([record(1)]), database.page("news", limit=1))
    for call in (*calls, database.totals(), database.size(), database.prune("news", 1, 1), database.clear()):
        with pytest.raises(DatabaseError) as caught:
            await call
        assert SECRET not in str(caught.value)
        assert "127.0.0.1" in str(caught.value)
    await database.aclose()


async def test_reading_makes_no_file(tmp_path: object) -> None:
    """A gateway that looks for history before a recorder has run leaves nothing behind."""
    database = open_database(Settings(_env_file=None, database_url=SecretStr(f"sqlite:///{tmp_path}/a/b.db")))
    with pytest.raises(DatabaseError, match="nothing has been stored"):
        await database.page("news", limit=1)
    await database.aclose()
    assert database.location == f"sqlite:///{tmp_path}/a/b.db"


@pytest.mark.parametrize(
    "url",
    [
        *("", "sqlite://", "sqlite:///:memory:", "history.db", "mysql://me@host/name", "postgresql://", "://"),
        *(f"postgresql://me:{SECRET}@host", f"oracle://me:{SECRET}@host/name", f"postgresql://me:{SECRET}@host:x/n"),
    ],
)
def test_an_address_that_is_none_is_refused_in_one_line(url: str) -> None:
    """Before anything is opened, and without repeating it."""
    with pytest.raises(SettingsError, match=r"^DATABASE_URL: ") as caught:
        open_database(Settings(_env_file=None, database_url=SecretStr(url)))
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_addresses_are_taken_as_people_have_them(scheme: str) -> None:
    """Both names of PostgreSQL, with options; the location has neither credentials nor options."""
    url = f"{scheme}://me:{SECRET}@db.example:6543/name?sslmode=require&application_name=x"
    database = open_database(Settings(_env_file=None, database_url=SecretStr(url)))
    assert database.location == "postgresql://db.example:6543/name"
