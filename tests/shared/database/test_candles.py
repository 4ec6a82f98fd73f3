"""Candles, on SQLite and on PostgreSQL: every recorded price counts once, whatever comes twice, late, or back."""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import tracemalloc
from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from alembic import command
from sqlalchemy import insert, select, text, update

from shared.coins import MOST_COINS
from shared.database import HOUR, MINUTE, Bar, Charts, Database, Record, open_database
from shared.database.candles import candles_of
from shared.database.schema import config, upgrade
from shared.database.statements import row_of
from shared.database.tables import candles, totals, updates
from shared.errors import DatabaseError
from shared.settings import Settings
from tests.waiting import until

BEGIN = 1_795_435_200_000  # 2026-11-23T12:00:00Z
SECOND, DAY = 1000, 86_400_000
FOREVER = 10 * DAY


def record(seq: int, at: float, prices: Any, *, epoch: str = "e1", service: str = "market_data") -> Record:
    """An update, `at` seconds after BEGIN."""
    data = json.dumps({"prices": prices, "source": "x"})
    return Record(service, epoch, seq, BEGIN + round(at * SECOND), data)


def priced(*moments: tuple[float, float]) -> list[Record]:
    """Updates with bitcoin's price at these seconds."""
    return [record(seq, at, {"bitcoin": price}) for seq, (at, price) in enumerate(moments, 1)]


def walk(count: int, every: float = 5.0, seed: int = 1) -> list[Record]:
    """Updates with prices of three coins that wander; some prices are missing."""
    chance, prices = random.Random(seed), {"bitcoin": 60000.0, "ethereum": 3000.0, "tether": 1.0}
    found = []
    for seq in range(count):
        prices = {coin: round(price * chance.uniform(0.999, 1.001), 4) for coin, price in prices.items()}
        told = {coin: price if chance.random() > 0.1 else None for coin, price in prices.items()}
        found.append(record(seq, seq * every, told))
    return found


def expected(records: Sequence[Record], coin: str, seconds: int) -> list[Bar]:
    """What the candles must be, by their definition."""
    found: dict[int, list[float]] = {}
    for each in sorted(records, key=lambda each: each.sort_key):
        price = json.loads(each.data)["prices"].get(coin)
        if price is not None:
            found.setdefault(each.published_at // (seconds * 1000) * seconds * 1000, []).append(price)
    return [Bar(at, each[0], max(each), min(each), each[-1], len(each)) for at, each in sorted(found.items())]


async def stored(database: Database) -> list[tuple[Any, ...]]:
    """Every row of candles."""
    async with database.begun() as connection:
        return [tuple(row) for row in await connection.execute(select(candles).order_by(*candles.primary_key))]


async def bars(database: Database, seconds: int = MINUTE, coin: str = "bitcoin") -> list[Bar]:
    """All candles of a coin."""
    found = await Charts(database).page(coin, seconds, first=0, last=BEGIN + FOREVER, limit=10_000)
    return found.bars


@pytest.mark.parametrize(
    "price",
    [None, "1", "", True, False, 0, -1, -0.5, float("nan"), float("inf"), 10**400, [1], {"usd": 1}, {}],
)
def test_what_is_no_price_makes_no_candle(price: Any) -> None:
    """Only a number above 0 counts; the other coins of the update still do."""
    found = candles_of([record(1, 0, {"odd": price, "fine": 2})])
    finite = price == price and price not in (float("inf"),)  # JSON has no NaN: such a text is none of ours
    assert {candle.coin for candle in found} == ({"fine"} if finite else set())


@pytest.mark.parametrize(
    "data",
    [
        *("", "x", "null", "[]", "7", "{}", '{"prices":null}', '{"prices":[1]}', '{"prices":"x"}', '{"prices":{"":1}}'),
        *('{"prices":{"\\u0000":1}}', '{"prices":{"\\ud800":1}}', '{"prices":{"%s":1}}' % ("x" * 201), "[" * 100_000),
    ],
)
def test_a_foreign_shape_makes_no_candle(data: str) -> None:
    """And no error: the update is recorded all the same. Nor does a name that a database can't hold."""
    assert candles_of([Record("market_data", "e", 1, BEGIN, data)]) == []


def test_an_update_has_so_many_coins_at_most() -> None:
    """Ten thousand, as a list of coins; a transaction that stores them takes a second."""
    found = candles_of([record(1, 0, {f"coin-{n}": 1 for n in range(MOST_COINS + 1)})])
    assert len(found) == 2 * MOST_COINS


def test_only_market_data_has_prices() -> None:
    """Another service's `prices` are something else."""
    assert candles_of([record(1, 0, {"bitcoin": 1}, service="news")]) == []


async def test_a_candle_has_the_prices_of_its_minute_and_of_its_hour(database: Database) -> None:
    """The first opens, the last closes. A minute ends before the next one's first millisecond."""
    records = priced((0, 5.0), (30, 9.0), (45, 3.0), (59.999, 4.0), (60, 7.0), (3599.999, 8.0), (3600, 1.0))
    await database.insert(records)
    assert await bars(database) == [
        Bar(BEGIN, 5.0, 9.0, 3.0, 4.0, 4),
        Bar(BEGIN + 60 * SECOND, 7.0, 7.0, 7.0, 7.0, 1),
        Bar(BEGIN + 3540 * SECOND, 8.0, 8.0, 8.0, 8.0, 1),
        Bar(BEGIN + 3600 * SECOND, 1.0, 1.0, 1.0, 1.0, 1),
    ]
    assert await bars(database, HOUR) == expected(records, "bitcoin", HOUR)


async def test_a_minute_without_a_price_has_no_candle(database: Database) -> None:
    """Neither where there was no update nor where the price was null."""
    await database.insert([*priced((0, 5.0), (180, 6.0)), record(9, 60, {"bitcoin": None})])
    assert [bar.open_at for bar in await bars(database)] == [BEGIN, BEGIN + 180 * SECOND]


async def test_what_comes_again_counts_once(database: Database) -> None:
    """Batches that are delivered again, in part and with new ones, and a record twice in one batch."""
    records = walk(200)
    for batch in (records[:90], records[:90], records[50:120], [*records[120:], *records[120:]], records):
        await database.insert(batch)
    for seconds in (MINUTE, HOUR):
        for coin in ("bitcoin", "ethereum", "tether"):
            assert await bars(database, seconds, coin) == expected(records, coin, seconds)


@pytest.mark.parametrize("seed", [1, 2])
async def test_records_in_any_order_make_the_same_candles(database: Database, seed: int) -> None:
    """What opens and what closes is decided by the time of the update, not by when it was recorded."""
    records = walk(150, seed=seed)
    mixed = random.Random(seed).sample(records, len(records))
    for start in range(0, len(mixed), 7):
        await database.insert(mixed[start : start + 7])
    assert await bars(database) == expected(records, "bitcoin", MINUTE)
    assert await bars(database, HOUR) == expected(records, "bitcoin", HOUR)


async def test_writers_at_once_count_each_price_once(database: Database, database_settings: Settings) -> None:
    """Two recorders with the same updates, from different ends."""
    other, records = open_database(database_settings), walk(300)
    batches = [records[start : start + 20] for start in range(0, len(records), 20)]

    async def write(writer: Database, order: list[list[Record]]) -> None:
        for batch in order:
            await writer.insert(batch)

    await asyncio.gather(write(database, batches), write(other, batches[7:] + batches[:7]))
    await other.aclose()
    assert await bars(database) == expected(records, "bitcoin", MINUTE)
    assert await bars(database, HOUR) == expected(records, "bitcoin", HOUR)


async def test_records_that_were_deleted_and_come_back_count_once(database: Database) -> None:
    """A backup is merged after retention has deleted its updates: the candles, which are kept for longer, have them."""
    records = walk(500)
    await database.insert(records)
    before = await stored(database)
    assert await database.prune("market_data", records[400].published_at, 1000) == 400
    for start in range(0, 500, 70):
        await database.insert(records[start : start + 70])
    assert await stored(database) == before


async def test_a_backup_of_times_without_candles_makes_them(database: Database) -> None:
    """Of before all that the database has seen. Its first hour, which was cut, gets the prices, but not all samples."""
    records = walk(800, every=15.0)
    await database.insert(records[780:])
    await database.prune("market_data", records[790].published_at, 1000)
    for start in range(0, 800, 70):
        await database.insert(records[start : start + 70])
    assert await bars(database) == expected(records, "bitcoin", MINUTE)
    *whole, cut = await bars(database, HOUR)
    *wanted, last = expected(records, "bitcoin", HOUR)
    assert whole == wanted
    assert cut[:5] == last[:5]
    assert cut.samples < last.samples


async def test_emptied_it_has_no_candles(database: Database) -> None:
    """What is inserted afterwards counts from the beginning."""
    await database.insert(walk(20))
    await database.clear()
    assert await stored(database) == []
    await database.insert(walk(20))
    assert await bars(database) == expected(walk(20), "bitcoin", MINUTE)


async def test_longer_candles_are_made_of_stored_ones(database: Database) -> None:
    """5 and 15 minutes of minutes; 4 hours and days of hours; the same page by page."""
    records = [each for each in walk(700, every=289.0) if (each.published_at // 3_600_000) % 5]
    await database.insert(records)
    for seconds in (60, 300, 900, 3600, 14400, 86400):
        wanted = expected(records, "bitcoin", seconds)
        assert await bars(database, seconds) == wanted
        found, first = [], 0
        limit = len(wanted) // 4 + 1
        charts = Charts(database)
        while page := (await charts.page("bitcoin", seconds, first=first, last=BEGIN + FOREVER, limit=limit)).bars:
            found += page
            first = page[-1].open_at + seconds * 1000
        assert found == wanted


async def test_a_page_has_whole_candles_of_a_span(database: Database) -> None:
    """Both ends are times at which candles open; the last one is not cut at its beginning."""
    records = walk(500)
    await database.insert(records)
    at = [BEGIN + 300_000 * n for n in range(10)]
    page = await Charts(database).page("bitcoin", 300, first=at[2], last=at[4], limit=100)
    assert page.bars == expected(records, "bitcoin", 300)[2:5]


async def test_a_coin_is_known_by_any_candle(database: Database) -> None:
    """Also where the page has none."""
    charts = Charts(database)
    assert await charts.page("bitcoin", 60, first=0, last=BEGIN, limit=5) == ([], None, False)
    await database.insert(priced((0, 5.0)))
    assert await charts.page("bitcoin", 60, first=0, last=0, limit=5) == ([], BEGIN, True)
    assert await charts.page("ethereum", 60, first=0, last=BEGIN, limit=5) == ([], BEGIN, False)


async def test_how_far_is_recorded_is_known_by_the_order_of_recording(database: Database) -> None:
    """An update whose clock was set ahead does not say that everything before it is there."""
    await database.insert([record(1, 3600, {"bitcoin": 1.0}, epoch="ahead")], positions={"market_data": ("ahead", 1)})
    await database.insert([record(1, 5, {"bitcoin": 1.0})], positions={"market_data": ("e1", 1)})
    page = await Charts(database).page("bitcoin", 60, first=0, last=BEGIN, limit=5)
    assert page.recorded_to == BEGIN + 5 * SECOND


async def test_old_candles_go_and_others_stay(database: Database) -> None:
    """Of one length, the oldest first, at most so many at once."""
    await database.insert(walk(120))  # ten minutes of three coins
    charts = Charts(database)
    assert await charts.around(MINUTE, BEGIN + 90_000) == (BEGIN + 60_000, BEGIN + 120_000)
    gone = [await charts.prune(MINUTE, BEGIN + 240_000, 7) for _ in range(3)]
    assert gone == [7, 5, 0]
    assert [bar.open_at for bar in await bars(database)] == [BEGIN + 60_000 * n for n in range(4, 10)]
    assert len(await bars(database, HOUR)) == 1
    assert await charts.around(MINUTE, BEGIN) == (None, BEGIN + 240_000)


# The migration.


async def back_to(database: Database, revision: str) -> None:
    """As an earlier version has left the database."""
    async with database.begun() as connection:
        await connection.run_sync(lambda sync: command.downgrade(config(sync), revision))


@pytest.mark.slow
async def test_a_migration_that_ends_early_begins_anew(database: Database) -> None:
    """What it had done is undone. Updates are read in pages, so memory does not grow with their number."""
    for start in range(0, 6000, 500):  # 60 MB in all
        padded = (f'{each.data[:-1]},"x":"{"x" * 10_000}"}}' for each in walk(6000)[start : start + 500])
        records = zip(walk(6000)[start : start + 500], padded, strict=True)
        await database.insert([msgspec.structs.replace(each, data=data) for each, data in records])
    before = await stored(database)
    await back_to(database, "0002")
    with contextlib.suppress(DatabaseError):
        async with database.begun() as connection:
            await upgrade(connection)
            raise TimeoutError
    with pytest.raises(DatabaseError, match="its tables are at 0002"):
        await database.check()
    tracemalloc.start()
    await database.migrate()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20_000_000
    assert await stored(database) == before


async def test_the_migration_makes_the_candles_of_what_is_recorded(
    database: Database, database_settings: Settings
) -> None:
    """The same as if they had been made at once; by one of the processes that start together, while the other waits."""
    await database.insert([*walk(1000), record(5000, 3, {"bitcoin": 1.0}, service="news")])
    before = await stored(database)
    await back_to(database, "0002")
    other = open_database(database_settings)
    await asyncio.gather(database.migrate(), other.migrate())
    await other.migrate()
    await other.aclose()
    assert await stored(database) == before
    await database.insert(walk(1003))
    assert await bars(database) == expected(walk(1003), "bitcoin", MINUTE)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)  # SQLite has one writer at a time
async def test_the_migration_waits_for_a_recorder_that_writes(database: Database, database_settings: Settings) -> None:
    """One of the version before is in the middle of a transaction. Neither is refused, and its record is not missed."""
    await database.insert(walk(20))
    await back_to(database, "0002")
    recorder = open_database(database_settings)
    async with recorder.begun() as connection:
        await connection.execute(insert(updates), row_of(record(99, 99, {"bitcoin": 7.0})))
        migrating = asyncio.create_task(database.migrate())
        waits = text("SELECT count(*) > 0 FROM pg_locks WHERE NOT granted")

        async def waiting() -> bool:
            return (await connection.execute(waits)).scalar_one() is True

        await until(waiting)
        await connection.execute(update(totals).values(records=totals.c.records + 1))
    await migrating
    await recorder.aclose()
    assert await bars(database) == expected([*walk(20), record(99, 99, {"bitcoin": 7.0})], "bitcoin", MINUTE)
