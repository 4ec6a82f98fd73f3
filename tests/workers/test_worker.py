"""A worker's cycles, with a service written for the test and a real Redis."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import msgspec
import pytest

from launcher.ports import free_port
from shared.bus import Bus, open_redis
from shared.bus.coin_list import CoinList
from shared.channels import Channels
from shared.coins import unpack_coins
from shared.envelope import Envelope
from shared.errors import NoSourceError, SettingsError
from shared.payloads import News, Payload
from shared.settings import Settings
from shared.timestamps import now_iso
from tests.waiting import until
from workers.collector import Collector
from workers.worker import Worker, failover_text


@dataclass
class Headlines:
    """A service that answers with numbered headlines, or not at all."""

    fails: bool = False
    collected: int = 0
    during: Callable[[], None] = field(default=lambda: None)

    pools = ()

    async def collect(self, now: float, deadline: float) -> Payload:
        self.collected += 1
        self.during()
        if self.fails:
            raise NoSourceError("news", [])
        return News(articles=[], sources=[str(self.collected)], categories=[], timestamp=now_iso())


@dataclass
class Bench:
    """A worker that holds its lease, one collector, and what came out on the bus."""

    settings: Settings
    worker: Worker
    service: Headlines
    collector: Collector

    async def published(self, service: str) -> list[Envelope]:
        """Everything in a service's stream."""
        redis = open_redis(self.settings)
        entries = await redis.xrange(Channels(self.settings.redis_prefix).stream(service))
        await redis.aclose()
        return [Envelope.unpack(fields[b"m"]) for _, fields in entries]


@pytest.fixture
async def bench(settings: Settings) -> AsyncIterator[Bench]:
    worker = Worker(settings.model_copy(update={"lease_seconds": 30.0}), "data_collection")
    holding = asyncio.create_task(worker.lease.hold())
    await until(lambda: worker.fence > 0, 5)
    service = Headlines()
    yield Bench(settings, worker, service, Collector("news", service, worker))
    holding.cancel()
    await asyncio.gather(holding, return_exceptions=True)
    await worker.aclose()


async def test_a_worker_that_is_refused_leads_again_if_nobody_else_does(bench: Bench) -> None:
    """An earlier leader may have published with a higher fence, on a server that had lost both, its clock behind."""
    before = bench.worker.fence
    redis = open_redis(bench.settings)
    await redis.hset(Channels(bench.settings.redis_prefix).meta("news"), "fence", before + 10**6)
    await redis.aclose()
    assert not await bench.collector.cycle()
    await until(lambda: bench.worker.fence > before, 5)
    assert await bench.collector.cycle()
    assert len(await bench.published("news")) == 1


async def test_a_cycle_publishes_what_the_service_collected(bench: Bench) -> None:
    """One cycle is one update, with the payload as its data."""
    assert await bench.collector.cycle()
    (update,) = await bench.published("news")
    assert msgspec.convert(update.data, News).sources == ["1"]
    assert (update.service, update.type, update.seq) == ("news", "update", 1)


async def test_what_a_service_knows_of_coins_is_stored_with_each_update(bench: Bench) -> None:
    """After its first update, and again after one that finds the list gone."""
    redis, names = open_redis(bench.settings), Channels(bench.settings.redis_prefix)
    stored = CoinList(redis, names)
    payload = News(articles=[], sources=[], categories=[], timestamp=now_iso())
    await bench.worker.publish("market_data", payload, bench.worker.fence)
    before = await stored.read()
    assert before is not None
    assert unpack_coins(before.raw).resolve("BTC") == "bitcoin"
    await redis.delete(names.coins("market_data"))
    assert await bench.collector.cycle()  # of another service
    assert await stored.read() is None
    await bench.worker.publish("market_data", payload, bench.worker.fence)
    assert await stored.read() == before
    await redis.aclose()


async def test_a_worker_without_the_lease_asks_nobody(bench: Bench, settings: Settings) -> None:
    """The second worker of a category stands by: it collects nothing and publishes nothing."""
    standby = Worker(settings, "data_collection")
    service = Headlines()
    assert await Collector("news", service, standby).cycle()
    assert service.collected == 0
    assert await bench.published("news") == []
    await standby.aclose()


async def test_a_paused_worker_cannot_publish_over_its_successor(bench: Bench, settings: Settings) -> None:
    """What a worker collected before another took over and published is refused."""
    redis = open_redis(settings)
    newer = Bus(redis, Channels(settings.redis_prefix), 10)
    await newer.publish("news", {"by": "the successor"}, fence=bench.worker.fence + 1)
    assert not await bench.collector.cycle()
    assert [update.data for update in await bench.published("news")] == [{"by": "the successor"}]
    await redis.aclose()


async def test_a_service_without_sources_turns_stale_once_and_recovers(bench: Bench) -> None:
    """After three intervals without an update `system` says so, once; and again when updates are back."""
    clock = [1000.0]
    collector = Collector("news", bench.service, bench.worker, clock=lambda: clock[0])
    bench.service.fails = True
    for _ in range(6):
        assert not await collector.cycle()
        clock[0] += 60
    bench.service.fails = False
    assert await collector.cycle()
    notices = [update.data for update in await bench.published("system")]
    assert [(notice["event"], notice["about"]) for notice in notices] == [
        ("service_stale", "news"),
        ("service_recovered", "news"),
    ]
    assert len(await bench.published("news")) == 1


@dataclass
class Counting(Headlines):
    """A service that goes on where its last published update ended."""

    at: int = 0
    resumed: list[bytes | None] = field(default_factory=list)

    @property
    def cursor(self) -> bytes:
        return str(self.at).encode()

    def resume(self, cursor: bytes | None) -> None:
        self.resumed.append(cursor)
        self.at = int(cursor or 0)

    async def collect(self, now: float, deadline: float) -> Payload:
        self.at += 1
        await super().collect(now, deadline)
        return News(articles=[], sources=[str(self.at)], categories=[], timestamp=now_iso())


async def test_cycles_that_end_together_publish_each_notice_once(bench: Bench) -> None:
    """Services of one worker end their cycles at the same moment; its notices come once, and in order."""
    for number in range(20):
        bench.worker._notice("service_stale", "news", f"number {number}")
    await asyncio.gather(*(bench.worker.publish_notices() for _ in range(3)))
    assert [update.data["message"] for update in await bench.published("system")] == [
        f"number {number}" for number in range(20)
    ]


async def test_a_service_goes_on_where_its_last_update_ended(bench: Bench, settings: Settings) -> None:
    """A successor resumes from the cursor that was stored with the last update: nothing twice, nothing left out."""
    first = Counting()
    collector = Collector("news", first, bench.worker)
    assert await collector.cycle()
    assert await collector.cycle()
    assert first.resumed == [None]
    second = Counting()
    assert await Collector("news", second, bench.worker).cycle()
    assert second.resumed == [b"2"]
    assert [update.data["sources"] for update in await bench.published("news")] == [["1"], ["2"], ["3"]]


async def test_after_a_failed_cycle_a_service_resumes_from_what_was_published(bench: Bench) -> None:
    """Whatever a failed cycle went through is gone through again: it was not published."""
    service = Counting()
    collector = Collector("news", service, bench.worker)
    assert await collector.cycle()
    service.fails = True
    assert not await collector.cycle()
    assert not await collector.cycle()
    service.fails = False
    assert await collector.cycle()
    assert service.resumed == [None, b"1", b"1"]
    assert [update.data["sources"] for update in await bench.published("news")] == [["1"], ["2"]]


async def test_services_see_what_the_others_published_last(bench: Bench) -> None:
    """`latest` gives the last payload that was published, while it is young enough; never one that was refused."""
    assert bench.worker.latest("news", 60) is None
    assert await bench.collector.cycle()
    payload = bench.worker.latest("news", 60)
    assert isinstance(payload, News)
    assert payload.sources == ["1"]
    assert bench.worker.latest("news", -1) is None
    assert bench.worker.latest("market_data", 60) is None


async def test_a_taken_metrics_port_is_a_settings_error(settings: Settings) -> None:
    """WORKER_METRICS_PORT that somebody listens on is one readable line."""
    with contextlib.ExitStack() as stack:
        port = free_port()
        server = await asyncio.start_server(lambda r, w: None, "127.0.0.1", port)
        stack.callback(server.close)
        worker = Worker(settings.model_copy(update={"worker_metrics_port": port}), "data_collection")
        with pytest.raises(SettingsError, match="WORKER_METRICS_PORT"):
            worker.serve_status()
        await worker.aclose()


@pytest.mark.parametrize(
    ("before", "after", "reason", "text"),
    [
        ("a", "b", "HTTP 500", "news: a gave way to b: HTTP 500"),
        ("a", None, "HTTP 500", "news: a failed and no other source answers: HTTP 500"),
        (None, "b", "b answers again", "news: b answers again"),
    ],
)
def test_a_failover_is_told_in_a_sentence(before: str | None, after: str | None, reason: str, text: str) -> None:
    """The notice names who takes over from whom; where there was or is nobody, it says that."""
    assert failover_text("news", before, after, reason) == text
