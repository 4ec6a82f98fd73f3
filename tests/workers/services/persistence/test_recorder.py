"""The recorder, on both databases and a real Redis: every update once, whatever dies."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from redis.asyncio import Redis
from structlog.testing import capture_logs

from shared.bus import Bus, Position, open_redis
from shared.catalog import CHANNEL_NAMES
from shared.channels import Channels
from shared.database import HOUR, MINUTE, Charts, Database, Record, open_database
from shared.envelope import Envelope, pack_draft
from shared.errors import EnvelopeError
from shared.metrics import WorkerMetrics, open_registry
from shared.settings import Retention, Settings
from tests.waiting import until
from workers.services.persistence.recorder import GROUP, Recorder, missing_between, record_of

NOW = "2026-11-23T12:00:00.123Z"


@dataclass
class Recording:
    """A bus, a database, and a recorder between them that can be started again."""

    settings: Settings
    redis: Redis
    bus: Bus
    database: Database
    """A second view of what the recorder writes."""
    metrics: WorkerMetrics = field(default_factory=lambda: WorkerMetrics(open_registry()))
    recorder: Recorder | None = None
    task: asyncio.Task[None] | None = None

    def start(self) -> Recorder:
        """A new recorder, as a new process would have it."""
        channels = Channels(self.settings.redis_prefix)
        reader = Bus(self.redis, channels, 1000).stream_reader(CHANNEL_NAMES, GROUP, GROUP)
        self.recorder = Recorder(open_database(self.settings), reader, Retention(7.0), self.metrics)
        self.task = asyncio.create_task(self.recorder.run())
        return self.recorder

    async def stop(self) -> None:
        """End it as a lost lease would."""
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
            self.task = None

    async def publish(self, service: str, numbers: Iterable[int]) -> None:
        """One update a number."""
        for number in numbers:
            await self.bus.publish(service, {"n": number, "timestamp": NOW})

    async def recorded(self, service: str = "news") -> list[Record]:
        """What the database has of a service."""
        return await self.database.page(service, limit=10_000)

    async def holds(self, count: int, service: str = "news", seconds: float = 20.0) -> list[Record]:
        """Wait until it has `count` records."""

        async def enough() -> bool:
            return (await self.database.totals()).get(service, 0) >= count

        await until(enough, seconds)
        return await self.recorded(service)

    async def acknowledged(self, service: str = "news") -> bool:
        """Whether nothing that was read waits for an acknowledgement."""
        stream = Channels(self.settings.redis_prefix).stream(service)
        groups: Any = await self.redis.xinfo_groups(stream)
        return bool(groups) and groups[0]["pending"] == 0 and groups[0].get("lag", 0) in (0, None)


@pytest.fixture
async def recording(database_settings: Settings, database: Database) -> AsyncIterator[Recording]:
    redis = open_redis(database_settings)
    bus = Bus(redis, Channels(database_settings.redis_prefix), 1000)
    found = Recording(database_settings, redis, bus, database)
    yield found
    await found.stop()
    await redis.aclose()


def numbers(records: list[Record]) -> list[int]:
    """What was published, in order."""
    return [msgspec.json.decode(record.data)["n"] for record in records]


async def test_every_update_of_every_service_is_kept_with_its_position(recording: Recording) -> None:
    """What was published before the recorder ran and what comes after, with epoch, seq and time."""
    await recording.publish("news", range(3))
    recording.start()
    await recording.publish("system", range(2))
    await recording.publish("news", range(3, 5))
    records = await recording.holds(5)
    await recording.holds(2, "system")
    assert numbers(records) == [0, 1, 2, 3, 4]
    assert [record.seq for record in records] == [1, 2, 3, 4, 5]
    newest = await recording.bus.newest("news")
    assert newest is not None
    assert records[-1] == record_of(newest)


async def test_what_is_committed_is_acknowledged(recording: Recording) -> None:
    """Redis has nothing left to give again."""
    recording.start()
    await recording.publish("news", range(10))
    await recording.holds(10)
    await until(recording.acknowledged, 10)


async def test_a_recorder_that_was_down_catches_up(recording: Recording) -> None:
    """What was published meanwhile is recorded by the next one."""
    recording.start()
    await recording.publish("news", range(5))
    await recording.holds(5)
    await recording.stop()
    await recording.publish("news", range(5, 700))
    recording.start()
    assert numbers(await recording.holds(700)) == list(range(700))
    assert await recording.database.unrecorded() == 0


async def test_what_was_read_and_not_acknowledged_is_recorded_once(recording: Recording) -> None:
    """A predecessor that died after its commit, or before it, leaves its entries to the next: no hole, no double."""
    await recording.publish("news", range(6))
    channels = Channels(recording.settings.redis_prefix)
    dead = Bus(recording.redis, channels, 1000).stream_reader(CHANNEL_NAMES, GROUP, GROUP)
    assert await dead.read(6) == []  # there is nothing unacknowledged yet
    entries = await dead.read(6)
    assert len(entries) == 6
    await recording.database.insert([record_of(entry.envelope) for entry in entries[:3] if entry.envelope])
    recording.start()
    assert numbers(await recording.holds(6)) == list(range(6))
    await until(recording.acknowledged, 10)
    assert await recording.database.count("news") == 6


async def test_prices_that_are_read_again_count_once_in_candles(recording: Recording) -> None:
    """Whether a predecessor died before its commit or after it; and with two recorders at once."""
    for price in range(1, 31):
        await recording.bus.publish("market_data", {"prices": {"bitcoin": price}, "timestamp": NOW})
    dead = recording.bus.stream_reader(CHANNEL_NAMES, GROUP, GROUP)
    await dead.read(30)
    entries = await dead.read(30)
    await recording.database.insert([record_of(entry.envelope) for entry in entries[:10] if entry.envelope])
    recording.start()
    first = recording.task
    recording.start()
    for price in range(31, 61):
        await recording.bus.publish("market_data", {"prices": {"bitcoin": price}, "timestamp": NOW})
    await recording.holds(60, "market_data")
    await until(lambda: recording.acknowledged("market_data"), 10)
    page = await Charts(recording.database).page("bitcoin", 3600, first=0, last=2**42, limit=10)
    bars = page.bars  # two, where an hour has just begun
    assert sum(bar.samples for bar in bars) == 60
    assert (min(bar.low for bar in bars), max(bar.high for bar in bars)) == (1.0, 60.0)
    assert page.recorded_to == (await recording.recorded("market_data"))[-1].published_at
    assert first is not None
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)


async def test_two_recorders_at_once_record_each_update_once(recording: Recording) -> None:
    """A predecessor that does not know yet that its lease has run out does no harm."""
    recording.start()
    first = recording.task
    recording.start()
    await recording.publish("news", range(300))
    assert numbers(await recording.holds(300)) == list(range(300))
    assert await recording.database.totals() == {"news": 300}
    assert first is not None
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)


async def test_a_new_epoch_is_recorded_from_its_start(recording: Recording) -> None:
    """After Redis lost its data the same numbers start again: both epochs are stored."""
    recording.start()
    await recording.publish("news", range(3))
    await recording.holds(3)
    channels = Channels(recording.settings.redis_prefix)
    await recording.redis.delete(channels.meta("news"), channels.stream("news"))
    await recording.publish("news", range(3, 5))
    records = await recording.holds(5)
    assert sorted(numbers(records)) == [0, 1, 2, 3, 4]
    assert len({record.epoch for record in records}) == 2
    assert await recording.database.unrecorded() == 0


async def test_updates_that_were_gone_before_they_were_read_are_counted(recording: Recording) -> None:
    """After an absence longer than the stream, the recorder reports the missed number."""
    recording.start()
    await recording.publish("news", range(2))
    await recording.holds(2)
    await recording.stop()
    await recording.publish("news", range(2, 10))
    await recording.redis.xtrim(Channels(recording.settings.redis_prefix).stream("news"), maxlen=3, approximate=False)
    with capture_logs() as logs:
        recording.start()
        assert numbers(await recording.holds(5)) == [0, 1, 7, 8, 9]
    assert await recording.database.unrecorded() == 5
    (line,) = (line for line in logs if "left the bus" in line["event"])
    assert (line["service"], line["count"]) == ("news", 5)


async def test_foreign_entries_hold_nothing_up(recording: Recording) -> None:
    """What is no message of ours is left out, said, and not given again."""
    recording.start()
    await recording.publish("news", range(1))
    stream = Channels(recording.settings.redis_prefix).stream("news")
    await recording.redis.xadd(stream, {"m": b"\xc1"}, id="5-0")
    strange = pack_draft("news", {"n": 6}, "yesterday") + b"\xa5epoch\xa1e\xa3seq\x06"
    await recording.redis.xadd(stream, {"m": strange}, id="6-0")
    for seq, position in ((7, b"\xa5epoch\xa1\0\xa3seq\x07"), (8, b"\xa5epoch\xa1e\xa3seq\xcf" + b"\xff" * 8)):
        await recording.redis.xadd(stream, {"m": pack_draft("news", {"n": seq}, NOW) + position}, id=f"{seq}-0")
    await recording.redis.hset(Channels(recording.settings.redis_prefix).meta("news"), "seq", "8")
    await recording.publish("news", range(9, 10))
    await recording.holds(2)
    await until(recording.acknowledged, 10)
    assert numbers(await recording.recorded()) == [0, 9]


async def test_a_flood_of_foreign_entries_is_told_now_and_then(recording: Recording) -> None:
    """The first, the tenth and so on are logged, with their count."""
    stream = Channels(recording.settings.redis_prefix).stream("news")
    for _ in range(250):
        await recording.redis.xadd(stream, {"m": b"\xc1"})
    with capture_logs() as logs:
        recording.start()
        await until(lambda: any(line.get("count") == 100 for line in logs), 10)
        await until(recording.acknowledged, 10)
    told = [(line["service"], line["count"]) for line in logs if line["event"] == "foreign entries left out"]
    assert told == [("news", 1), ("news", 10), ("news", 100)]
    assert await recording.database.count() == 0


async def test_a_database_that_was_deleted_is_made_anew(recording: Recording) -> None:
    """If its file or tables are deleted, the running recorder logs it, creates them and continues."""
    recording.start()
    await recording.publish("news", range(3))
    await recording.holds(3)
    await until(recording.acknowledged, 10)
    with capture_logs() as logs:
        await delete(recording.settings.database_url.get_secret_value())
        await recording.database.aclose()
        await recording.publish("news", range(3, 6))
        await until(lambda: any(line["event"] == "recorder: database back" for line in logs), 20)
        assert numbers(await recording.holds(3)) == [3, 4, 5]
    assert [line["event"] for line in logs if "lost" in line["event"]] == ["recorder: database lost"]


async def delete(url: str) -> None:
    """Somebody else deletes what is at that address."""
    if url.startswith("sqlite"):
        file = Path(url.removeprefix("sqlite:///"))
        for part in file.parent.glob(file.name + "*"):
            part.unlink()
        return
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        await connection.execute("DROP TABLE updates, totals, alembic_version")


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
async def test_a_batch_that_is_too_large_for_a_transaction_is_recorded_in_several(recording: Recording) -> None:
    """A database that never takes it whole holds nothing up."""
    await recording.publish("news", range(60))
    async with recording.database.begun() as connection:
        await connection.exec_driver_sql(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            "IF (SELECT count(*) FROM new_rows) > 20 THEN RAISE 'too many'; END IF; RETURN NULL; END $$"
        )
        await connection.exec_driver_sql(
            "CREATE TRIGGER refuse AFTER INSERT ON updates REFERENCING NEW TABLE AS new_rows EXECUTE FUNCTION refuse()"
        )
    recording.start()
    assert numbers(await recording.holds(60)) == list(range(60))
    await until(recording.acknowledged)
    assert await recording.database.positions(["news"]) == {("news", (await recording.recorded())[0].epoch): 60}


async def test_redis_going_and_coming_loses_nothing(recording: Recording) -> None:
    """A broken connection is logged once; reading continues at its position."""
    recording.start()
    await recording.publish("news", range(3))
    await recording.holds(3)
    with capture_logs() as logs:
        await recording.redis.client_kill_filter(_type="normal", skipme=True)
        await until(lambda: any("redis" in line["event"] for line in logs), 10)
        await recording.publish("news", range(3, 6))
        assert numbers(await recording.holds(6)) == list(range(6))
        await until(lambda: any(line["event"] == "recorder: redis back" for line in logs), 10)
    assert [line["event"] for line in logs if "lost" in line["event"]] == ["recorder: redis lost"]


async def test_records_older_than_their_retention_go(recording: Recording) -> None:
    """Each service by its own number of days, in as many transactions as it takes."""
    now_ms = record_of(Envelope("news", "update", {}, NOW, "e", 1)).published_at
    day = 86_400_000
    ages = [(service, days) for service in ("news", "market_data") for days in range(10) for _ in range(120)]
    await recording.database.insert(
        [Record(service, "e", seq, now_ms - days * day, "{}") for seq, (service, days) in enumerate(ages)],
    )
    opened = open_database(recording.settings)
    reader = recording.bus.stream_reader(CHANNEL_NAMES, GROUP, GROUP)
    metrics = WorkerMetrics(open_registry())
    recorder = Recorder(opened, reader, Retention(2.5, {"news": 6.5}), metrics, clock=lambda: now_ms / 1000)
    await recorder.prune()
    await opened.aclose()
    assert await recording.database.totals() == {"news": 7 * 120, "market_data": 3 * 120}
    assert await recording.database.count() == 10 * 120


@pytest.mark.parametrize(("ahead", "minutes_kept", "hours_kept"), [(0, 2 * 96 + 1, 133), (365, 96 + 1, 109)])
async def test_candles_go_by_retentions_of_their_own(
    recording: Recording, ahead: int, minutes_kept: int, hours_kept: int
) -> None:
    """Those of minutes in quarters of an hour, those of hours in days of UTC; a clock that is ahead takes a day."""
    quarter, day = 900_000, 86_400_000
    now_ms = record_of(Envelope("news", "update", {}, NOW, "e", 1)).published_at
    data = '{"prices":{"bitcoin":1}}'
    records = [Record("market_data", "e", n, now_ms - n * quarter, data) for n in range(8 * 24 * 4)]
    await recording.database.insert(records)
    opened = open_database(recording.settings)
    reader = recording.bus.stream_reader(CHANNEL_NAMES, GROUP, GROUP)
    metrics = WorkerMetrics(open_registry())
    clock = (now_ms + ahead * day) / 1000
    days = {MINUTE: 2.0, HOUR: 5.25}
    recorder = Recorder(opened, reader, Retention(1.0), metrics, candle_days=days, clock=lambda: clock)
    await recorder.prune()
    await opened.aclose()
    charts = Charts(recording.database)
    minutes = (await charts.page("bitcoin", 60, first=0, last=now_ms, limit=2000)).bars
    hours = (await charts.page("bitcoin", 3600, first=0, last=now_ms, limit=2000)).bars
    assert (len(minutes), len(hours)) == (minutes_kept, hours_kept)


async def test_a_recorder_whose_clock_is_a_year_ahead_keeps_what_it_has(recording: Recording) -> None:
    """All but a day of it, however often it looks; see test_ages."""
    day, now_ms = 86_400_000, record_of(Envelope("news", "update", {}, NOW, "e", 1)).published_at
    await recording.database.insert([Record("news", "e", days, now_ms - days * day, "{}") for days in range(7)])
    opened = open_database(recording.settings)
    reader = recording.bus.stream_reader(CHANNEL_NAMES, GROUP, GROUP)
    metrics = WorkerMetrics(open_registry())
    recorder = Recorder(opened, reader, Retention(6.5), metrics, clock=lambda: (now_ms + 365 * day) / 1000)
    for _ in range(3):
        await recorder.prune()
    await opened.aclose()
    assert await recording.database.count("news") == 6


async def test_after_a_restart_nothing_is_missing_although_a_clock_was_set_back(recording: Recording) -> None:
    """Where the recorder goes on is known by the order of recording, not by the times of updates."""
    await recording.publish("news", range(3))
    recording.start()
    await recording.holds(3)
    year_3000 = 32_503_680_000_000
    await recording.database.insert([Record("news", "before", 9, year_3000, "{}")])
    await recording.stop()
    await recording.redis.xtrim(Channels(recording.settings.redis_prefix).stream("news"), maxlen=0, approximate=False)
    recording.start()
    await recording.publish("news", [3])
    await recording.holds(5)
    assert await recording.database.unrecorded() == 0


async def test_writing_says_whether_it_does(recording: Recording) -> None:
    """True once the database is there, false when it has ended."""
    recorder = recording.start()
    assert not recorder.writing
    await until(lambda: recorder.writing, 10)
    await recording.stop()
    assert not recorder.writing


@pytest.mark.parametrize(
    ("known", "position", "missing"),
    [
        (None, Position("e", 7), 0),
        (Position("e", 7), Position("e", 8), 0),
        (Position("e", 7), Position("e", 10), 2),
        (Position("e", 7), Position("e", 5), 0),
        (Position("e", 7), Position("f", 1), 0),
        (Position("e", 7), Position("f", 4), 3),
    ],
)
def test_what_is_missing_between_two_updates(known: Position | None, position: Position, missing: int) -> None:
    """Counted from one newest update to the next, and from the beginning of an epoch."""
    assert missing_between(known, position) == missing


@pytest.mark.parametrize(
    ("data", "timestamp"), [({"n": 1}, "soon"), ({"n": 1}, "2026-11-23T12:00:00"), ({None: 1}, NOW)]
)
def test_what_has_no_form_in_the_database_is_refused(data: Any, timestamp: str) -> None:
    """With an EnvelopeError, for it is not one of ours."""
    try:
        kept = record_of(Envelope("news", "update", data, timestamp, "e", 1))
    except EnvelopeError:
        return
    assert msgspec.json.decode(kept.data) == {"null": 1}
