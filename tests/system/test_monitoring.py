"""What monitoring says of a whole cluster while parts of it fail."""

from __future__ import annotations

import asyncio
import signal
import uuid
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
import websockets

from shared.catalog import DATA_COLLECTION, MONITORING, SERVICES
from tests.system.clients import send, until_message
from tests.system.processes import Cluster

pytestmark = pytest.mark.slow

COINGECKO = "api.coingecko.com"


@pytest_asyncio.fixture
async def own(tmp_path: Path) -> AsyncIterator[Cluster]:
    """A cluster for this test alone, with a worker that collects and one that monitors."""
    running = Cluster(tmp_path, f"test-{uuid.uuid4().hex[:8]}", (DATA_COLLECTION, MONITORING))
    try:
        yield await running.start()
    finally:
        await running.stop()


async def says(
    cluster: Cluster, service: str, wanted: Callable[[dict[str, Any]], bool], seconds: float
) -> dict[str, Any]:
    """The data of the first update of `service` that `wanted` accepts, from now on."""
    async with websockets.connect(cluster.ws("/ws/monitoring")) as client:
        await send(client, action="subscribe", service=service)
        message = await until_message(
            client,
            lambda message: message["type"] == "update" and message["service"] == service and wanted(message["data"]),
            seconds,
        )
    data: dict[str, Any] = message["data"]
    return data


async def test_a_stopped_coingecko_shows_within_two_intervals_and_its_return_too(own: Cluster) -> None:
    """health_checker and pool_manager turn when CoinGecko stops, whether or not a collector asks it just then, and
    back when it answers again."""

    def coingecko(data: dict[str, Any]) -> str | None:
        status: str | None = data["providers"].get("coingecko", {}).get("status")
        return status

    def unavailable(data: dict[str, Any]) -> bool:
        pools = data["pools"].get("market_data", {}).get("pools", {})
        return "coingecko" in pools.get("market_data listing", {}).get("unavailable_sources", [])

    health = await says(own, "health_checker", lambda data: coingecko(data) == "healthy", 90)
    assert health["providers"]["coingecko"]["response_time_ms"] > 0
    pools = await says(own, "pool_manager", lambda data: "market_data" in data["pools"], 60)
    assert not unavailable(pools)

    await own.fault(COINGECKO, "refuse")
    health, pools = await asyncio.gather(
        says(own, "health_checker", lambda data: coingecko(data) != "healthy", 2 * SERVICES["health_checker"].interval),
        says(own, "pool_manager", unavailable, 2 * SERVICES["pool_manager"].interval),
    )
    assert health["overall_health"] != "healthy"
    assert health["providers"]["coingecko"]["consecutive_failures"] >= 1
    assert pools["pools"]["market_data"]["health"] == "degraded"

    await own.mend()
    await asyncio.gather(
        says(own, "health_checker", lambda data: coingecko(data) == "healthy", 2 * SERVICES["health_checker"].interval),
        # A pool leaves a source alone for up to five minutes after failures; after a minute of them, for one or two.
        says(own, "pool_manager", lambda data: not unavailable(data), 300),
    )


async def test_failovers_are_counted_and_outlive_the_worker(own: Cluster) -> None:
    """The count grows when another source takes over, and goes on where it was after a restart of the worker."""
    await says(own, "pool_manager", lambda data: "market_data" in data["pools"], 60)
    await own.fault("data-api.binance.vision", "500")
    first = await says(own, "pool_manager", lambda data: data["pools"]["market_data"]["failover_count"] >= 1, 60)
    await own.workers[0].end(signal.SIGKILL)
    await own.mend()
    own.workers[0] = await own.worker(DATA_COLLECTION).start()
    alive = await says(own, "pool_manager", lambda data: data["pools"]["market_data"]["active_source"] is not None, 60)
    assert alive["failover_count"] >= first["failover_count"]


async def test_the_jobs_of_a_killed_worker_are_lost_within_its_lease(own: Cluster) -> None:
    """Killed, its jobs are `lost` in the first update after its lease of 3 s; a successor's are planned again; told to
    stop, they are `stopped`."""

    def statuses(data: dict[str, Any]) -> set[str]:
        return {job["status"] for job in data["jobs"] if job["category"] == DATA_COLLECTION}

    found = await says(own, "scheduler", lambda data: len(statuses(data)) > 0, 60)
    assert {job["service"] for job in found["jobs"]} >= {"market_data", "news", "scheduler", "pool_manager"}
    assert statuses(found) <= {"running", "waiting"}

    await own.workers[0].end(signal.SIGKILL)
    lost = await says(own, "scheduler", lambda data: statuses(data) == {"lost"}, 3 + 2 * SERVICES["scheduler"].interval)
    assert lost["running"]  # the monitoring worker's own jobs
    assert all(job["next_run"] is None for job in lost["jobs"] if job["category"] == DATA_COLLECTION)

    own.workers[0] = await own.worker(DATA_COLLECTION).start()
    await says(own, "scheduler", lambda data: statuses(data) <= {"running", "waiting"}, 60)
    assert await own.workers[0].end(signal.SIGTERM) == 0
    await says(own, "scheduler", lambda data: statuses(data) == {"stopped"}, 60)
