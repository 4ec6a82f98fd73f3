"""pool_manager: what it makes of the workers' reports."""

from __future__ import annotations

from typing import Any

import pytest

from shared.bus.lease import Lease
from shared.bus.reports import CallReport, PoolReport, PoolsReport, SourceReport
from shared.channels import Channels
from shared.errors import NoSourceError
from shared.payloads import PoolManager
from tests.workers.stage import Stage


class Reporting:
    """Workers that tell of their pools."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self.reports = stage.context().reports
        self.lease = Lease(stage.redis, Channels(stage.settings.redis_prefix), "data_collection", 60.0)

    async def tells(self, service: str, *pools: PoolReport, failovers: int = 0) -> None:
        """The worker that holds the lease reports these pools of a service."""
        await self.lease.refresh()
        report = PoolsReport(worker=self.lease.owner, category="data_collection", at=self._stage.now, pools=pools)
        await self.reports.write(calls={}, failed={}, pools={service: report}, failovers={service: failovers}, jobs={})

    async def fails(self, provider: str, count: int = 1) -> None:
        """Calls of a provider failed, as some worker says."""
        call = CallReport(at=self._stage.now, milliseconds=None, error="connection: ConnectError")
        await self.reports.write(calls={provider: call}, failed={provider: count}, pools={}, failovers={}, jobs={})

    async def dies(self) -> None:
        """The worker's lease runs out."""
        await self._stage.redis.delete(Channels(self._stage.settings.redis_prefix).lease("data_collection"))

    async def state(self) -> PoolManager:
        """What is published now."""
        payload: PoolManager = await self._stage.collect()
        return payload


def pool(name: str, active: str | None, **available: bool) -> PoolReport:
    """A pool and whether it would ask each of its sources."""
    sources = tuple(SourceReport(name=source, available=is_so) for source, is_so in available.items())
    return PoolReport(name=name, active=active, sources=sources)


@pytest.fixture
def workers(stage: Stage) -> Reporting:
    stage.open("pool_manager")
    return Reporting(stage)


async def test_a_pool_is_shown_as_its_worker_has_it(workers: Reporting) -> None:
    """The active source, those that stand by in their order, and the count of failovers."""
    await workers.tells(
        "market_data",
        pool("market_data listing", "coingecko", coingecko=True, coinpaprika=True),
        pool("market_data prices", "kraken", binance=False, kraken=True),
        failovers=3,
    )
    found = await workers.state()
    market = found.pools["market_data"]
    assert (market.active_source, market.available_sources) == ("coingecko", ["coingecko", "coinpaprika", "kraken"])
    assert (market.health, market.failover_count, found.failover_count) == ("degraded", 3, 3)
    prices = market.pools["market_data prices"]
    assert (prices.active_source, prices.unavailable_sources) == ("kraken", ["binance"])
    assert found.active_sources == ["coingecko", "kraken"]
    assert found.inactive_sources == ["coinpaprika", "binance"]


async def test_failovers_add_up_over_services_and_restarts(workers: Reporting, stage: Stage) -> None:
    """The sum is the cluster's, and a new worker goes on counting."""
    await workers.tells("news", pool("news", "coindesk", coindesk=True), failovers=2)
    await workers.tells("market_data", pool("market_data listing", "coingecko", coingecko=True), failovers=1)
    stage.open("pool_manager")
    restarted = Reporting(stage)
    await workers.dies()
    await restarted.tells("news", pool("news", "coindesk", coindesk=True), failovers=1)
    found = await restarted.state()
    assert (found.failover_count, found.pools["news"].failover_count) == (4, 3)


@pytest.mark.parametrize(
    ("available", "health"),
    [
        ({"a": True, "b": True}, "healthy"),
        ({"a": False, "b": True}, "degraded"),
        ({"a": False, "b": False}, "unhealthy"),
    ],
)
async def test_health_follows_the_sources_of_the_first_pool(
    workers: Reporting, available: dict[str, bool], health: str
) -> None:
    """All available is healthy, some degraded, none unhealthy; a second pool without any only degrades."""
    await workers.tells("sentiment", pool("sentiment fear and greed", "a", **available))
    assert (await workers.state()).pools["sentiment"].health == health
    await workers.tells(
        "sentiment", pool("sentiment fear and greed", "a", a=True), pool("sentiment votes", None, c=False)
    )
    assert (await workers.state()).pools["sentiment"].health == "degraded"


async def test_what_another_service_saw_counts_at_once(workers: Reporting) -> None:
    """A source whose last call failed, whoever made it, is unavailable to every pool until one succeeds."""
    for service in ("market_data", "sentiment"):
        await workers.tells(service, pool(service, "coingecko", coingecko=True, other=True))
    await workers.fails("coingecko")
    found = await workers.state()
    assert {state.health for state in found.pools.values()} == {"degraded"}
    assert found.pools["sentiment"].available_sources == ["other"]
    await workers.fails("coingecko", -1)
    assert {state.health for state in (await workers.state()).pools.values()} == {"healthy"}


async def test_the_pools_of_a_dead_worker_are_unhealthy(workers: Reporting) -> None:
    """No worker asks its sources any more: none is active."""
    await workers.tells("news", pool("news", "coindesk", coindesk=True))
    await workers.dies()
    found = await workers.state()
    assert (found.pools["news"].health, found.pools["news"].active_source) == ("unhealthy", None)
    assert (found.active_sources, found.inactive_sources) == ([], ["coindesk"])


async def test_nothing_reported_is_nothing_published(workers: Reporting) -> None:
    """Before any worker has told of a pool there is no update, and a pool without a source is none."""
    with pytest.raises(NoSourceError):
        await workers.state()
    await workers.tells("whale_tracking", pool("whale_tracking alerts", None))
    with pytest.raises(NoSourceError):
        await workers.state()


async def test_the_order_is_the_documents(workers: Reporting) -> None:
    """Services are in the order of the catalogue, regardless of the order of reports."""
    for service in ("onchain", "news", "market_data"):
        await workers.tells(service, pool(service, "a", a=True))
    found: Any = await workers.state()
    assert list(found.pools) == ["market_data", "news", "onchain"]
