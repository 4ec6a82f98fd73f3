"""What a worker does when it begins to lead, and when Redis is back: nobody waits for more than an interval."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest
from redis.asyncio import Redis

from shared.bus import Bus
from shared.channels import Channels
from shared.envelope import Envelope
from shared.errors import BusError, NoSourceError
from shared.payloads import News, Payload
from shared.settings import Settings
from shared.timestamps import now_iso
from tests.proxy import Proxy
from tests.shared.outage import Clock
from tests.waiting import until
from workers.collector import Collector
from workers.worker import Worker


@dataclass
class Numbers:
    """A service that collects 1, 2, 3, … and can lose Redis while it does."""

    proxy: Proxy | None = None
    at: int = 0
    collected: int = 0
    fails: bool = False

    pools = ()

    async def collect(self, now: float, deadline: float) -> Payload:
        if self.fails:
            raise NoSourceError("news", [])
        self.at += 1
        self.collected += 1
        if self.proxy is not None:
            self.proxy.cut(refuse=True)
            self.proxy = None
        return News(articles=[], sources=[str(self.at)], categories=[], timestamp=now_iso())


@dataclass
class Counting(Numbers):
    """The same, going on where its last published update ended."""

    resumed: list[bytes | None] = field(default_factory=list)

    @property
    def cursor(self) -> bytes:
        return str(self.at).encode()

    def resume(self, cursor: bytes | None) -> None:
        self.resumed.append(cursor)
        self.at = int(cursor or 0)


async def numbers(redis: Redis, channels: Channels) -> list[str]:
    """What the service's stream has."""
    entries = await redis.xrange(channels.stream("news"))
    return [Envelope.unpack(fields[b"m"]).data["sources"][0] for _, fields in entries]


@pytest.fixture
def channels(settings: Settings) -> Channels:
    return Channels(settings.redis_prefix)


@asynccontextmanager
async def at_work(worker: Worker) -> AsyncIterator[asyncio.Task[int]]:
    """A worker that runs, and has ended in order at the end."""
    task = asyncio.create_task(worker.run())
    try:
        yield task
    finally:
        worker._stop.set()
        assert await task == 0


# Taking over.


async def test_a_new_leader_runs_what_is_overdue_and_lets_the_rest_wait(
    settings: Settings, redis: Redis, channels: Channels
) -> None:
    """It knows from Redis when each service was published last: by Redis' clock, whatever its machine says."""
    before = Bus(redis, channels, 10)
    for service in ("news", "sentiment"):
        await before.publish(service, {"sources": ["before"]})
    published = int(await redis.hget(channels.meta("news"), "published_at") or 0)
    await redis.hset(channels.meta("news"), "published_at", published - 60_000)
    worker = Worker(settings, "system")  # which has no services of its own
    overdue, waiting = Numbers(), Numbers()
    worker.add("news", overdue)
    worker.add("sentiment", waiting)
    async with at_work(worker):
        await until(lambda: overdue.collected == 1)
        due = worker.jobs.next_run("sentiment")
        told = published / 1000 + 30
        assert due is not None
        assert told - 1 < due < told + 1
    assert waiting.collected == 0


async def test_a_worker_that_stops_hands_over_without_a_gap(
    settings: Settings, redis: Redis, channels: Channels, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its stand-by leads at once, repeats nothing, and publishes next when its predecessor would have."""
    monkeypatch.setattr("shared.bus.lease._ASK", 4.0)  # so that it is not by its next question that it hears of it
    settings = settings.model_copy(update={"lease_seconds": 30.0})
    first, second = Worker(settings, "system"), Worker(settings, "system")
    services = Numbers(), Numbers()
    for worker, service in zip((first, second), services, strict=True):
        worker.add("news", service)
    loop = asyncio.get_running_loop()
    async with at_work(first) as ending:
        await until(lambda: services[0].collected == 1)
        async with at_work(second):
            await until(lambda: second.lease.known)
            assert second.fence == 0
            planned = first.jobs.next_run("news")
            assert planned is not None
            first._stop.set()
            await ending
            ended = loop.time()
            await until(lambda: second.jobs.next_run("news") is not None)
            assert loop.time() - ended < 2
            assert planned - 1 < (second.jobs.next_run("news") or 0) < planned + 1
    assert services[1].collected == 0
    assert await numbers(redis, channels) == ["1"]


# Redis away.


@dataclass
class Away:
    """A collector whose worker loses Redis while it collects, and a clock that tests move."""

    worker: Worker
    proxy: Proxy
    clock: Clock = field(default_factory=Clock)

    def collector(self, service: Numbers) -> Collector:
        collector = Collector("news", service, self.worker, clock=self.clock)
        collector.lead(None)
        return collector

    async def cycle_without_redis(self, collector: Collector, service: Numbers) -> None:
        """One cycle at whose end Redis is away; afterwards it is back."""
        service.proxy = self.proxy
        with pytest.raises(BusError):
            await collector.cycle()
        self.proxy.heal()

    async def lead(self, collector: Collector) -> float | None:
        """What the worker does when it got its lease again."""
        return collector.lead(await self.worker.last_publish("news"))


@pytest.fixture
async def away(settings: Settings) -> AsyncIterator[Away]:
    assert settings.redis_url is not None
    url = settings.redis_url.get_secret_value()
    async with Proxy(urlsplit(url).port or 0) as proxy:
        changes = {"redis_url": type(settings.redis_url)(proxy.before(url)), "lease_seconds": 300.0}
        worker = Worker(settings.model_copy(update=changes), "system")
        worker._bus._publish.seconds = 0.5
        await worker.lease.refresh()
        yield Away(worker, proxy)
        await worker.aclose()


@pytest.mark.parametrize("kind", [Numbers, Counting])
async def test_what_could_not_be_published_is_published_when_redis_is_back(
    kind: type[Numbers], away: Away, redis: Redis, channels: Channels
) -> None:
    """The sources are not asked again for it; a service that follows something goes on behind it."""
    service = kind()
    collector = away.collector(service)
    assert await collector.cycle()
    await away.cycle_without_redis(collector, service)
    away.clock.now += 20
    assert await away.lead(collector) == 60.0  # which makes it due at once
    assert await collector.cycle()
    assert service.collected == 2
    assert await collector.cycle()
    assert await numbers(redis, channels) == ["1", "2", "3"]


async def test_a_publish_whose_answer_was_lost_is_not_repeated(away: Away, redis: Redis, channels: Channels) -> None:
    """It had happened: the update counts, and is neither published nor collected again."""
    service = Counting()
    collector = away.collector(service)
    await away.cycle_without_redis(collector, service)
    await away.worker._bus.publish("news", {"sources": ["1"]}, fence=away.worker.fence, cursor=b"1")
    assert await collector.cycle()
    assert await numbers(redis, channels) == ["1"]
    assert await collector.cycle()
    assert await numbers(redis, channels) == ["1", "2"]


@pytest.mark.parametrize("leads_again", [False, True])
async def test_what_another_worker_has_overtaken_is_not_published(
    leads_again: bool, away: Away, redis: Redis, channels: Channels
) -> None:
    """An older value never follows a newer one."""
    service = Counting()
    collector = away.collector(service)
    assert await collector.cycle()
    await away.cycle_without_redis(collector, service)
    other = Bus(redis, channels, 10)
    await other.publish("news", {"sources": ["other"]}, fence=away.worker.fence, cursor=b"10")
    if leads_again:
        age = await away.lead(collector)
        assert age is not None
        assert age < 5
    assert await collector.cycle()
    assert await numbers(redis, channels) == ["1", "other", "11"]


async def test_what_redis_lost_is_gone_through_again(away: Away, redis: Redis, channels: Channels) -> None:
    """A service that follows something then goes on from what Redis has, and drops what was behind that."""
    service = Counting()
    collector = away.collector(service)
    assert await collector.cycle()
    await away.cycle_without_redis(collector, service)
    await redis.delete(channels.meta("news"), channels.stream("news"), channels.last("news"))
    assert await away.lead(collector) is None
    assert await collector.cycle()
    assert service.resumed == [None, None]
    assert await numbers(redis, channels) == ["1"]


@pytest.mark.parametrize(
    ("seconds", "fails", "published"),
    [(59, False, ["1"]), (61, False, ["1", "2"]), (61, True, ["1"]), (181, False, ["2"]), (181, True, [])],
)
async def test_old_values_are_followed_by_new_ones_and_stale_ones_dropped(
    seconds: float, fails: bool, published: list[str], away: Away, redis: Redis, channels: Channels
) -> None:
    """After an interval the sources are asked too; after three the value would be stale."""
    service = Numbers()
    collector = away.collector(service)
    await away.cycle_without_redis(collector, service)
    away.clock.now += seconds
    service.fails = fails
    assert await collector.cycle() is not fails
    assert await numbers(redis, channels) == published
