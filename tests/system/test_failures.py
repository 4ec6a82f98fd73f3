"""What the cluster does when something under it fails. Each test has a cluster of its own, for it breaks it."""

from __future__ import annotations

import asyncio
import signal
import uuid
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
import websockets

from tests.system.clients import send, until_closed, until_message, update
from tests.system.processes import Cluster

pytestmark = pytest.mark.slow


@pytest_asyncio.fixture
async def own(tmp_path: Path) -> AsyncIterator[Cluster]:
    """A cluster for this test alone."""
    running = Cluster(tmp_path, f"test-{uuid.uuid4().hex[:8]}")
    try:
        yield await running.start()
    finally:
        await running.stop()


async def test_redis_killed_and_restarted_under_a_connected_client(own: Cluster) -> None:
    """A client stays connected while Redis is killed and comes back, updates go on without a restart of gateway or
    worker, and no seq is missing or doubled."""
    async with websockets.connect(own.ws("/ws/market_data?meta=1")) as client:
        before = [(await update(client))["meta"] for _ in range(2)]
        own.redis.kill()
        await own.gateways[0].prints("redis lost")
        own.redis.start()
        after = [(await update(client, seconds=40))["meta"] for _ in range(3)]
        seqs = [meta["seq"] for meta in (*before, *after)]
        assert seqs == list(range(seqs[0], seqs[0] + 5))
        assert len({meta["epoch"] for meta in (*before, *after)}) == 1
        await send(client, action="ping", data={"still": "here"})
        pong = await until_message(client, lambda message: message["type"] == "pong")
        assert pong["data"] == {"still": "here"}
    assert all(process.child.returncode is None for process in (*own.gateways, *own.workers))


async def test_redis_that_hangs_is_noticed_and_what_it_delivers_later_is_not_lost(own: Cluster) -> None:
    """A Redis that is stopped (SIGSTOP) keeps its sockets open; the gateway turns not ready all the same, and goes on
    when it wakes."""
    async with websockets.connect(own.ws("/ws/market_data?meta=1")) as client:
        first = (await update(client))["meta"]
        assert own.redis.process is not None
        own.redis.process.send_signal(signal.SIGSTOP)
        try:
            await own.gateways[0].prints("redis lost")
            async with httpx.AsyncClient() as http:
                answer = await http.get(own.http("/health/ready"))
            assert answer.status_code == 503
        finally:
            own.redis.process.send_signal(signal.SIGCONT)
        later = (await update(client, seconds=40))["meta"]
        assert (later["epoch"], later["seq"]) == (first["epoch"], first["seq"] + 1)
        await own.ready(own.ports[0])


async def test_a_killed_gateway_costs_its_clients_nothing_that_they_cannot_recover(own: Cluster) -> None:
    """A client of a gateway that is killed reconnects to the other with `since` and has every seq."""
    async with websockets.connect(own.ws("/ws/market_data?meta=1", 0)) as client:
        last = (await update(client))["meta"]
        await own.gateways[0].end(signal.SIGKILL)
        rest, code = await until_closed(client)
        assert code is None
        last = rest[-1]["meta"] if rest else last
    async with websockets.connect(own.ws("/ws/market_data", 1)) as other:
        await update(other)  # so that there is something to have missed
        await update(other)
    async with websockets.connect(own.ws("/ws", 1)) as client:
        await send(
            client, action="subscribe", service="market_data", since={"epoch": last["epoch"], "seq": last["seq"]}
        )
        confirmed = await until_message(client, lambda message: message["type"] == "subscription_confirmed")
        assert confirmed["data"]["recovered"] is True
        metas = [(await update(client))["meta"] for _ in range(3)]
    assert [meta["seq"] for meta in metas] == [last["seq"] + 1, last["seq"] + 2, last["seq"] + 3]
    assert metas[0]["recovered"] is True


async def test_a_standby_worker_takes_over_from_a_killed_one(own: Cluster) -> None:
    """Of two workers one collects; when it is killed the other goes on, in the same epoch."""
    standby = own.worker()
    own.workers.append(standby)
    await standby.start()
    await standby.prints("standing by")
    async with websockets.connect(own.ws("/ws/market_data?meta=1")) as client:
        before = (await update(client))["meta"]
        await own.workers[0].end(signal.SIGKILL)
        await standby.prints('"state": "held"')
        after = (await update(client, seconds=40))["meta"]
    assert after["epoch"] == before["epoch"]
    assert after["seq"] > before["seq"]


async def test_sources_fail_over_and_come_back(own: Cluster) -> None:
    """With Binance and CoinGecko failing, updates go on from the fallbacks, a notice on `system` says so, and the
    primaries take over again once they answer."""
    async with websockets.connect(own.ws("/ws/market_data")) as client:
        await send(client, action="subscribe", service="system")
        assert "binance" in (await update(client))["data"]["source"]
        await own.fault("data-api.binance.vision", "500")
        await until_message(
            client,
            lambda m: m["data"].get("event") == "source_failed_over" and m["data"]["about"] == "market_data",
        )
        fallen = await until_message(
            client, lambda m: m["service"] == "market_data" and "binance" not in m["data"].get("source", "binance"), 40
        )
        assert fallen["data"]["prices"]["bitcoin"] > 0
        await own.mend()
        await until_message(client, lambda m: m["type"] == "update" and "binance" in m["data"].get("source", ""), 60)


async def test_with_no_source_nothing_is_published_and_the_service_is_reported_stale(own: Cluster) -> None:
    """All sources down from the start: no update at all, a `service_stale` notice, and recovery by itself."""
    hosts = (
        "api.coingecko.com",
        "api.coinpaprika.com",
        "api.coinlore.net",
        "data-api.binance.vision",
        "api.kraken.com",
        "api.coinbase.com",
    )
    await own.workers[0].end(signal.SIGKILL)
    for host in hosts:
        await own.fault(host, "500")
    fresh = own.worker()
    own.workers.append(fresh)
    async with websockets.connect(own.ws("/ws/market_data?meta=1")) as client:
        # Whatever the first worker published before it was killed has come by now.
        await send(client, action="subscribe", service="system")
        await send(client, action="ping", data={"mark": 1})
        await until_message(client, lambda message: message["type"] == "pong")
        await fresh.start()
        seen: list[str] = []
        stale = await until_message(client, lambda m: _note(m, seen) and m["data"].get("event") == "service_stale", 60)
        assert stale["data"]["about"] == "market_data"
        assert "market_data/update" not in seen
        await own.mend()
        await until_message(client, lambda m: m["data"].get("event") == "service_recovered", 120)
        await update(client)


async def test_a_stopped_gateway_says_goodbye_and_leaves_no_trace(own: Cluster) -> None:
    """SIGTERM: clients are closed with 1012, the exit status is 0, and the other gateway no longer counts them."""
    async with websockets.connect(own.ws("/ws/market_data", 0)) as client, httpx.AsyncClient() as http:
        await update(client)
        ended = asyncio.create_task(own.gateways[0].end(signal.SIGTERM))
        _, code = await until_closed(client)
        assert code == 1012
        assert await ended == 0
        stats = (await http.get(own.http("/ws/stats", 1))).json()["data"]
        assert stats["total_connections"] == 0


def _note(message: dict[str, object], seen: list[str]) -> bool:
    seen.append(f"{message['service']}/{message['type']}")
    return True
