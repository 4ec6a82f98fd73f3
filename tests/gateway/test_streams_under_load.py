"""Event streams that are long, slow or many, and gateways that are killed (docs/reference/protocol.md)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import Any

import httpx
import pytest

from gateway.transport import outgoing
from launcher.ports import free_ports
from shared.bus import Bus, open_redis
from shared.channels import Channels
from shared.settings import Settings
from tests.contract.conftest import Cluster, running
from tests.gateway.events import Events, Happened, listen
from tests.started import Start
from tests.waiting import until

pytestmark = pytest.mark.slow

PATH = "/api/v1/stream/news"
MANY = 2_000


async def flood(cluster: Cluster, service: str, count: int, size: int = 150_000) -> None:
    """Publish more than the kernel and an outbox hold."""
    for n in range(1, count + 1):
        await cluster.publish(service, n=n, text=os.urandom(size).hex())


async def confirmed(events: Events) -> Happened:
    """The first event."""
    found = await events.next()
    assert found.name == "subscription_confirmed"
    return found


@pytest.mark.usefixtures("no_errors")
async def test_a_replay_that_is_larger_than_every_buffer_arrives_whole(cluster: Cluster) -> None:
    """30 MB to a client with a small window, while more is published: in order, each once, then live."""
    await flood(cluster, "news", 100)
    epoch = cluster.nodes[0].hub.recent["news"].position.epoch
    async with listen(cluster.nodes[0].port, f"{PATH}?since={epoch}-0", window=4096) as events:
        assert (await confirmed(events)).data["data"]["recovered"] is True
        before = await events.take(50)
        await cluster.publish("news", 5)
        after = await events.take(55)
        await cluster.publish("news")
        live = await events.next()
    assert [event.seq for event in (*before, *after, live)] == [*range(1, 107)]
    assert "recovered" not in live.data["meta"]


@pytest.mark.usefixtures("no_errors")
async def test_a_slow_stream_is_ended_with_4008_and_comes_back_to_the_rest(cluster: Cluster) -> None:
    """The outbox has the limits of every client. What the client comes back with is the last event that was whole."""
    node = cluster.nodes[0]
    async with listen(node.port, PATH, window=4096) as events:
        await confirmed(events)
        await flood(cluster, "news", 40)
        await until(lambda: not node._sessions)
        got = await events.rest()
    *updates, closed = got if got[-1].name == "stream_closed" else (*got, None)
    assert closed is None or closed.data["data"]["code"] == 4008
    async with listen(cluster.nodes[1].port, PATH, f"Last-Event-ID: {events.last_id}") as again:
        assert (await confirmed(again)).data["data"]["recovered"] is True
        rest = await again.take(40 - len(updates))
    assert [event.seq for event in (*updates, *rest)] == [*range(1, 41)]


@pytest.mark.usefixtures("no_errors")
async def test_a_slow_stream_of_the_latest_stays(cluster: Cluster) -> None:
    """It gets the newest, and `skipped` closes each hole."""
    node = cluster.nodes[0]
    async with listen(node.port, f"{PATH}?deliver=latest", window=4096) as events:
        await confirmed(events)
        await flood(cluster, "news", 40)
        found = [await events.next()]
        while found[-1].seq != 40:
            found.append(await events.next())
    assert len(found) < 40
    assert sum(event.data["meta"].get("skipped", 0) for event in found) + len(found) == 40


async def test_a_stream_that_takes_nothing_is_ended(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a WebSocket, also where everything that waits is in the kernel."""
    monkeypatch.setattr(outgoing, "STALLED", 1.0)
    quick = settings.model_copy(update={"ws_ping_interval": 1.0})
    async with running(quick) as cluster:
        node = cluster.nodes[0]
        async with listen(node.port, f"{PATH}?deliver=latest", window=4096):
            await flood(cluster, "news", 5)
            await until(lambda: not node._sessions, 10)
            assert 'closed_total{reason="slow"} 1.0' in (await cluster.http.get(cluster.url("/metrics"))).text


async def test_two_thousand_streams_beside_websockets(cluster: Cluster) -> None:
    """All on one gateway: each receives each update once, as does every WebSocket, and the update is encoded once."""
    node = cluster.nodes[0]
    async with contextlib.AsyncExitStack() as stack:
        sockets = [await cluster.connect("/ws/news?meta=1") for _ in range(20)]
        streams: list[Events] = []
        for _ in range(MANY // 100):
            opened = (stack.enter_async_context(listen(node.port, PATH)) for _ in range(100))
            streams += await asyncio.gather(*opened)
        await asyncio.gather(*(confirmed(events) for events in streams))
        assert len(node._sessions) == MANY + len(sockets)
        assert node.hub.cohorts == 2
        for socket in sockets:
            await socket.next()
        await cluster.publish("news", 3)
        for received in await asyncio.gather(*(events.take(3) for events in streams)):
            assert [event.seq for event in received] == [1, 2, 3]
        for messages in await asyncio.gather(*(socket.take(3) for socket in sockets)):
            assert [message["meta"]["seq"] for message in messages] == [1, 2, 3]
    await until(lambda: len(node._sessions) == len(sockets), 30)


async def test_a_gateway_that_is_killed_costs_its_streams_nothing(settings: Settings, start: Start) -> None:
    """kill -9 while updates are published: another gateway sends the rest, each update once."""
    assert settings.redis_url is not None
    ports = free_ports(2)
    env = {
        "REDIS_URL": settings.redis_url.get_secret_value(),
        "REDIS_PREFIX": settings.redis_prefix,
        "HOST": "127.0.0.1",
    }
    gateways = [start("gateway", **env, PORT=str(port)) for port in ports]
    for gateway in gateways:
        gateway.line("gateway listening")
    redis = open_redis(settings)
    bus = Bus(redis, Channels(settings.redis_prefix), settings.history_length)
    got: list[Happened] = []
    last, began = "", asyncio.Event()

    async def publish() -> None:
        for n in range(1, 201):
            await bus.publish("news", {"n": n, "text": "x" * 5_000})
            await asyncio.sleep(0.01)

    async def follow(port: int) -> Any:
        nonlocal last
        async with listen(port, PATH, *([f"Last-Event-ID: {last}"] if last else [])) as events:
            began.set()
            with contextlib.suppress(EOFError, ConnectionError):
                while len(got) < 200:
                    event = await events.next()
                    if event.name == "message":
                        got.append(event)
                        last = event.last_id

    try:
        await until_ready(ports)
        following = asyncio.create_task(follow(ports[0]))
        await began.wait()
        publishing = asyncio.create_task(publish())
        await until(lambda: len(got) > 50, 20)
        gateways[0].process.send_signal(signal.SIGKILL)
        await following
        assert len(got) < 200
        await follow(ports[1])
        await publishing
    finally:
        await redis.aclose()
    assert [event.seq for event in got] == [*range(1, 201)]


async def until_ready(ports: list[int]) -> None:
    """Wait until gateways take clients."""
    async with httpx.AsyncClient() as http:
        for port in ports:
            async with asyncio.timeout(20):
                while (await http.get(f"http://127.0.0.1:{port}/health/ready")).status_code != 200:
                    pass
