"""What workers tell of their work, through a real Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import msgspec
import pytest
from redis.asyncio import Redis

from launcher.ports import free_port
from launcher.redis_server import RedisServer
from shared.bus import open_redis
from shared.bus.lease import Lease
from shared.bus.reports import CallReport, JobReport, JobsReport, PoolReport, PoolsReport, Reports, SourceReport
from shared.channels import Channels
from shared.errors import BusError
from shared.settings import Settings
from tests.proxy import Proxy
from tests.waiting import until

CALL = CallReport(at=5.0, milliseconds=12.5, error=None)
POOLS = PoolsReport(
    worker="w1",
    category="data_collection",
    at=5.0,
    pools=(PoolReport(name="news", active="a", sources=(SourceReport(name="a", available=True),)),),
)
JOB = JobReport(
    id="news_collection",
    service="news",
    interval=60.0,
    status="waiting",
    next_run=7.0,
    last_run=None,
    last_duration=None,
    failures=0,
)
JOBS = JobsReport(worker="w1", at=5.0, jobs=(JOB,))


@pytest.fixture
async def redis(settings: Settings) -> AsyncIterator[Redis]:
    client = open_redis(settings)
    yield client
    await client.aclose()


@pytest.fixture
def channels(settings: Settings) -> Channels:
    return Channels(settings.redis_prefix)


@pytest.fixture
def reports(redis: Redis, channels: Channels) -> Reports:
    return Reports(redis, channels)


async def write(reports: Reports, **parts: object) -> None:
    """Write only these parts of a report."""
    empty: dict[str, dict[str, object]] = {key: {} for key in ("calls", "failed", "pools", "failovers", "jobs")}
    await reports.write(**(empty | parts))  # type: ignore[arg-type]


async def test_what_is_written_is_read(reports: Reports) -> None:
    """Calls, pools and jobs are read as they were reported, by provider, service and category."""
    await write(reports, calls={"a": CALL}, pools={"news": POOLS}, jobs={"data_collection": JOBS})
    assert await reports.calls() == {"a": CALL}
    assert await reports.pools() == {"news": POOLS}
    assert await reports.jobs() == {"data_collection": JOBS}


async def test_nothing_reported_is_nothing_known(reports: Reports) -> None:
    """Before the first report every answer is empty."""
    assert (await reports.calls(), await reports.pools(), await reports.jobs(), await reports.failovers()) == (
        ({},) * 4
    )
    assert await reports.leaders(["data_collection"]) == {}


async def test_failures_of_all_workers_add_up_until_one_succeeds(reports: Reports) -> None:
    """Consecutive failures are the cluster's: counted over reports, back to zero with a success."""

    async def told(count: int) -> int:
        await write(reports, calls={"a": CALL}, failed={"a": count})
        return (await reports.calls())["a"].failures

    assert [await told(count) for count in (2, 1, -1, 1, -3, 0)] == [2, 3, 0, 1, 2, 2]


async def test_failovers_are_counted_for_ever(reports: Reports, redis: Redis, channels: Channels) -> None:
    """Each report adds its failovers; another reader, as after a restart, has the same sum."""
    await write(reports, failovers={"news": 1})
    await write(reports, failovers={"news": 2, "market_data": 1})
    assert await Reports(redis, channels).failovers() == {"news": 3, "market_data": 1}


async def test_leaders_are_those_who_hold_a_lease_now(reports: Reports, redis: Redis, channels: Channels) -> None:
    """A category whose lease has run out has no leader."""
    lease = Lease(redis, channels, "monitoring", 10.0)
    await lease.refresh()
    assert await reports.leaders(["monitoring", "integration"]) == {"monitoring": lease.owner}
    await redis.delete(channels.lease("monitoring"))
    assert await reports.leaders(["monitoring"]) == {}


async def test_a_report_of_another_version_is_left_out(reports: Reports, redis: Redis, channels: Channels) -> None:
    """While workers are upgraded one by one, what can't be read hides nothing else."""
    await write(reports, calls={"a": CALL})
    await redis.hset(channels.calls, mapping={"b": msgspec.msgpack.encode({"of": "tomorrow"}), "c": b"\xff"})
    assert await reports.calls() == {"a": CALL}


async def test_redis_away_is_a_bus_error(settings: Settings, channels: Channels) -> None:
    """Whoever reports or reads is told by one kind of error."""
    away = open_redis(settings.model_copy(update={"redis_url": _secret(f"redis://127.0.0.1:{free_port()}/0")}))
    reports = Reports(away, channels)
    for call in (reports.calls(), reports.pools(), reports.jobs(), reports.failovers(), reports.leaders(["x"])):
        with pytest.raises(BusError):
            await call
    with pytest.raises(BusError):
        await write(reports, failovers={"news": 1})
    await away.aclose()


def _secret(url: str) -> object:
    return Settings(_env_file=None, redis_url=url).redis_url


class TestLostAnswers:
    """A report that Redis may have stored or not is sent again, and counted once."""

    @pytest.fixture
    async def line(self, redis_server: RedisServer, channels: Channels) -> AsyncIterator[tuple[Proxy, Reports]]:
        """A reporter whose line to Redis can fail."""
        async with Proxy(redis_server.port) as proxy:
            redis = open_redis(Settings(_env_file=None, redis_url=proxy.before(redis_server.url)))
            await redis.ping()  # else `delay` would hold up the opening of the connection
            yield proxy, Reports(redis, channels)
            await redis.aclose()

    @staticmethod
    async def unanswered(reports: Reports, proxy: Proxy, reader: Reports) -> asyncio.Task[None]:
        """A report that Redis has stored, and whose answer is on its way."""
        proxy.delay(0.3)
        task = asyncio.create_task(write(reports, calls={"a": CALL}, failed={"a": 2}, failovers={"news": 1}))

        async def stored() -> bool:
            return await reader.failovers() == {"news": 1}

        await until(stored)
        return task

    async def test_the_same_report_is_counted_once(self, line: tuple[Proxy, Reports], reports: Reports) -> None:
        """The connection breaks after Redis has stored it."""
        proxy, writer = line
        task = await self.unanswered(writer, proxy, reports)
        proxy.cut()
        proxy.heal()
        await task
        await write(writer, failed={"a": 1}, failovers={"news": 1})
        assert await reports.failovers() == {"news": 2}
        assert (await reports.calls())["a"].failures == 3

    async def test_a_report_that_was_given_up_is_sent_again_with_the_next(
        self, line: tuple[Proxy, Reports], reports: Reports
    ) -> None:
        """What it counted is not lost, and not counted twice."""
        proxy, writer = line
        task = await self.unanswered(writer, proxy, reports)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        proxy.heal()
        await write(writer, failed={"a": 1}, failovers={"news": 1})
        assert await reports.failovers() == {"news": 2}
        assert (await reports.calls())["a"].failures == 3

    async def test_who_stops_leading_repeats_only_its_failovers(
        self, line: tuple[Proxy, Reports], reports: Reports, redis: Redis, channels: Channels
    ) -> None:
        """Of calls and jobs, the next leader has newer reports."""
        proxy, writer = line
        task = await self.unanswered(writer, proxy, reports)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        proxy.heal()
        names = [key async for key in redis.scan_iter(f"{channels.prefix}:{{reports}}:*")]
        await redis.delete(*names)  # as if Redis had lost it
        newer = CallReport(at=9.0, milliseconds=1.0, error=None)
        await write(reports, calls={"a": newer}, failed={"a": -1})
        writer.stop_leading()
        await write(writer)
        assert await reports.calls() == {"a": newer}
        assert await reports.failovers() == {"news": 1}
