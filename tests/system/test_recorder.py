"""The recorder as a process of its own: killed in the middle, and with databases that go away."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
import pytest
from pydantic import SecretStr

from shared.bus import Bus, open_redis
from shared.channels import Channels
from shared.database import Charts, open_database
from shared.settings import Settings
from shared.timestamps import now_iso
from tests.database import new_postgres
from tests.system.processes import Process
from tests.waiting import until

pytestmark = pytest.mark.slow

BURST = 10_000


class Recording:
    """A bus, an integration worker in a process of its own, and a view of its database."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings.model_copy(update={"history_length": BURST, "lease_seconds": 1.0})
        self.redis = open_redis(settings)
        self.bus = Bus(self.redis, Channels(settings.redis_prefix), BURST)
        self.database = open_database(settings)
        self.worker = self._process()

    def _process(self) -> Process:
        settings = self.settings
        assert settings.redis_url is not None
        env = {
            "REDIS_URL": settings.redis_url.get_secret_value(),
            "REDIS_PREFIX": settings.redis_prefix,
            "DATABASE_URL": settings.database_url.get_secret_value(),
            "LEASE_SECONDS": str(settings.lease_seconds),
            "SIMULATOR_URL": "http://127.0.0.1:1",  # nobody: what this worker asks of the world is not asked here
        }
        return Process("worker", [sys.executable, "-m", "workers", "integration"], env)

    async def start(self) -> None:
        """A new worker, which records once it leads."""
        self.worker = await self._process().start()
        await self.worker.prints("recording")

    async def publish(self, first: int, count: int) -> None:
        """That many updates, numbered."""
        for number in range(first, first + count):
            await self.bus.publish("news", {"n": number, "timestamp": now_iso()})

    async def total(self) -> int:
        """How many updates of the burst's service the database says it has."""
        return (await self.database.totals()).get("news", 0)

    async def holds(self, count: int, seconds: float = 60.0) -> None:
        """Wait until it has `count`."""

        async def enough() -> bool:
            return await self.total() >= count

        await until(enough, seconds)

    async def numbers(self) -> list[int]:
        """What was recorded, in order."""
        found = await self.database.page("news", limit=2 * BURST)
        return [msgspec.json.decode(record.data)["n"] for record in found]

    async def aclose(self) -> None:
        """End all of it."""
        if self.worker._child is not None and self.worker.child.returncode is None:
            await self.worker.end(signal.SIGKILL)
        await self.database.aclose()
        await self.redis.aclose()


@pytest.fixture
async def recording(database_settings: Settings) -> AsyncIterator[Recording]:
    found = Recording(database_settings)
    yield found
    await found.aclose()


async def test_killed_in_the_middle_every_price_is_in_its_candle_once(recording: Recording) -> None:
    """4,000 prices, the recorder killed three times with SIGKILL while it writes them: 4,000 samples."""

    async def publish() -> None:
        for price in range(1, 4001):
            await recording.bus.publish("market_data", {"prices": {"bitcoin": price}, "timestamp": now_iso()})

    async def holds(count: int) -> bool:
        return (await recording.database.totals()).get("market_data", 0) >= count

    await recording.start()
    publishing = asyncio.create_task(publish())
    for killed_at in (300, 1200, 2500):
        await until(lambda count=killed_at: holds(count), 60)
        await recording.worker.end(signal.SIGKILL)
        await recording.start()
    await publishing
    await until(lambda: holds(4000), 60)
    for seconds in (60, 3600):
        bars = (await Charts(recording.database).page("bitcoin", seconds, first=0, last=2**42, limit=100)).bars
        assert sum(bar.samples for bar in bars) == 4000
        assert (min(bar.low for bar in bars), max(bar.high for bar in bars)) == (1.0, 4000.0)


async def test_killed_in_the_middle_of_a_burst_it_ends_with_every_update_once(recording: Recording) -> None:
    """10,000 updates, the recorder killed twice with SIGKILL while it writes them: 10,000 rows, none twice."""
    await recording.start()
    bursting = asyncio.create_task(recording.publish(0, BURST))
    for killed_at in (1500, 5000):
        await recording.holds(killed_at)
        await recording.worker.end(signal.SIGKILL)
        assert await recording.total() < BURST
        await recording.start()
    await bursting
    await recording.holds(BURST)
    assert await recording.numbers() == list(range(BURST))
    assert await recording.database.count("news") == BURST
    assert await recording.database.unrecorded() == 0
    assert await recording.worker.end(signal.SIGTERM) == 0


async def test_down_for_a_while_it_catches_up(recording: Recording) -> None:
    """Stopped and started again, it records what was published meanwhile."""
    await recording.start()
    await recording.publish(0, 10)
    await recording.holds(10)
    assert await recording.worker.end(signal.SIGTERM) == 0
    await recording.publish(10, 2000)
    await recording.start()
    await recording.holds(2010)
    assert await recording.numbers() == list(range(2010))


async def test_postgresql_stopped_and_started_under_it_loses_nothing(settings: Settings) -> None:
    """It says once that the database is lost and once that it is back; what came meanwhile is recorded."""
    with new_postgres() as server:
        recording = Recording(settings.model_copy(update={"database_url": SecretStr(server.new_database())}))
        try:
            await recording.start()
            await recording.publish(0, 10)
            await recording.holds(10)
            await asyncio.to_thread(server.stop, "immediate")
            await recording.publish(10, 50)
            await recording.worker.prints("database lost")
            await asyncio.to_thread(server.start)
            await recording.holds(60)
            assert await recording.numbers() == list(range(60))
            assert recording.worker.output.count("database lost") == 1
            await recording.worker.prints("database back")
            assert await recording.worker.end(signal.SIGTERM) == 0
        finally:
            await recording.aclose()


async def test_sqlite_locked_by_another_program_loses_nothing(settings: Settings, tmp_path: Path) -> None:
    """Somebody's long transaction holds it up, and no more than that."""
    url = f"sqlite:///{tmp_path}/history.db"
    recording = Recording(settings.model_copy(update={"database_url": SecretStr(url)}))
    try:
        await recording.start()
        await recording.publish(0, 10)
        await recording.holds(10)
        other = sqlite3.connect(urlsplit(url).path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        await recording.publish(10, 50)
        await recording.worker.prints("database lost")
        other.execute("ROLLBACK")
        other.close()
        await recording.holds(60)
        assert await recording.numbers() == list(range(60))
        await recording.worker.prints("database back")
    finally:
        await recording.aclose()


async def test_no_password_is_printed(settings: Settings) -> None:
    """Neither while the database is away, nor of an address that can't be used."""
    secret = "hunter2hunter2"  # noqa: S105 - nobody's
    away = SecretStr(f"postgresql://me:{secret}@127.0.0.1:1/name")
    recording = Recording(settings.model_copy(update={"database_url": away}))
    try:
        recording.worker = await recording._process().start()
        await recording.worker.prints("database lost")
        assert secret not in recording.worker.output
        assert "127.0.0.1:1" in recording.worker.output
    finally:
        await recording.aclose()
    wrong = Settings(_env_file=None, redis_url=settings.redis_url, database_url=SecretStr(f"mysql://me:{secret}@h/n"))
    env = {
        "REDIS_URL": wrong.redis_url.get_secret_value() if wrong.redis_url else "",
        "DATABASE_URL": wrong.database_url.get_secret_value(),
    }
    worker = await Process("worker", [sys.executable, "-m", "workers", "integration"], env).start()
    assert await worker.child.wait() == 2
    await worker.end()
    assert secret not in worker.output
    assert "DATABASE_URL" in worker.output
