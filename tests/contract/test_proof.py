"""What a gateway says of a position while it can't ask Redis, and before it has its history."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import websockets
from pydantic import SecretStr

from gateway.node import Node
from launcher.redis_server import RedisServer
from shared.bus import Bus, open_redis
from shared.channels import Channels
from shared.settings import Settings
from tests.conftest import settings_on
from tests.contract.conftest import Client
from tests.gateway.events import listen
from tests.proxy import Proxy
from tests.waiting import until


@pytest.fixture
def settings(redis_server: RedisServer) -> Settings:
    """Those of one server, also where the run has a cluster: a proxy stands before it."""
    return settings_on(redis_server.url)


@asynccontextmanager
async def gateway(settings: Settings) -> AsyncIterator[tuple[Node, Proxy]]:
    """A gateway that reaches Redis through a proxy."""
    async with Proxy(port_of(settings)) as proxy:
        node = Node(through(proxy, settings))
        running = asyncio.create_task(node.run(node.bind()))
        try:
            yield node, proxy
        finally:
            node.stop("the test is over")
            assert await running == 0


def port_of(settings: Settings) -> int:
    """The port of Redis."""
    assert settings.redis_url is not None
    port = urlsplit(settings.redis_url.get_secret_value()).port
    assert port is not None
    return port


def through(proxy: Proxy, settings: Settings) -> Settings:
    """The same Redis, through a proxy."""
    assert settings.redis_url is not None
    url = SecretStr(proxy.before(settings.redis_url.get_secret_value()))
    return settings.model_copy(update={"redis_url": url, "delivery_deadline": 1.0})


@asynccontextmanager
async def publishing(settings: Settings) -> AsyncIterator[Bus]:
    """A publisher that Redis always answers."""
    redis = open_redis(settings)
    yield Bus(redis, Channels(settings.redis_prefix), 100)
    await redis.aclose()


@asynccontextmanager
async def connected(node: Node) -> AsyncIterator[Client]:
    """A client, past its greeting."""
    # A queue that is full keeps the library from reading the answer to its close, for ten seconds.
    async with websockets.connect(f"ws://127.0.0.1:{node.port}/ws/data?meta=1", max_queue=None) as connection:
        client = Client(connection)
        await client.next()
        yield client


async def ask(client: Client, epoch: str, seq: int) -> None:
    """Come back with a position."""
    command = {"action": "subscribe", "service": "news", "since": {"epoch": epoch, "seq": seq}}
    await client.connection.send(json.dumps(command))


async def test_no_client_is_taken_before_the_histories_are_read(settings: Settings) -> None:
    """503 for clients and snapshots, and not ready, until Redis has told everything: then all of it is there."""
    async with publishing(settings) as bus:
        for n in range(5):
            last = await bus.publish("news", {"n": n})
        async with Proxy(port_of(settings)) as proxy, httpx.AsyncClient() as http:
            proxy.hold()
            node = Node(through(proxy, settings))
            running = asyncio.create_task(node.run(node.bind()))
            url = f"http://127.0.0.1:{node.port}"
            await until(lambda: answers(http, f"{url}/health/live"))
            with pytest.raises(websockets.InvalidStatus, match="503"):
                await websockets.connect(f"ws://127.0.0.1:{node.port}/ws/data")
            assert (await http.get(f"{url}/api/v1/snapshot/news")).status_code == 503
            assert "the histories are not read yet" in (await http.get(f"{url}/health/ready")).text
            proxy.heal()
            await until(lambda: not node.unready, 30)
            async with connected(node) as client:
                await ask(client, last.epoch, 1)
                assert (await client.next())["data"]["recovered"] is True
                assert [(await client.next())["data"]["n"] for _ in range(4)] == [1, 2, 3, 4]
            node.stop("the test is over")
            assert await running == 0


async def answers(http: httpx.AsyncClient, url: str) -> bool:
    """Whether the gateway answers 200."""
    try:
        return (await http.get(url)).status_code == 200
    except httpx.HTTPError:
        return False


async def test_a_position_that_a_cut_off_gateway_has_not_heard_of_ends_with_1013(settings: Settings) -> None:
    """It can't be proven to be old, so nothing older is sent; a position that it knows is recovered all the same."""
    async with publishing(settings) as bus, gateway(settings) as (node, proxy):
        await until(lambda: not node.unready)
        first = await bus.publish("news", {"n": 1})
        await until(lambda: node.hub.recent["news"].position == first)
        proxy.cut(refuse=True)
        second = await bus.publish("news", {"n": 2})
        stream = f"/api/v1/stream/news?since={second.epoch}-{second.seq}"
        async with connected(node) as client, connected(node) as other, listen(node.port, stream) as events:
            await ask(client, second.epoch, second.seq)
            await ask(other, "begun meanwhile", 1)
            assert await client.rest() == await other.rest() == ([], 1013)
            assert [(event.name, event.data["data"]["code"]) for event in await events.rest()] == [
                ("stream_closed", 1013)
            ]
        async with connected(node) as client:
            await ask(client, first.epoch, first.seq)
            assert (await client.next())["data"]["recovered"] is True


async def test_a_position_is_waited_for_where_redis_answers(settings: Settings) -> None:
    """An update whose message the gateway has not got yet is read from the stream: nothing is missed, nothing twice."""
    async with publishing(settings) as bus, gateway(settings) as (node, _):
        await until(lambda: not node.unready)
        elsewhere = Channels(settings.redis_prefix + "x")
        names = Channels(settings.redis_prefix)
        redis = open_redis(settings)
        first = await bus.publish("news", {"n": 1})
        await until(lambda: node.hub.recent["news"].position == first)
        for key in ("meta", "stream"):
            await redis.rename(getattr(names, key)("news"), getattr(elsewhere, key)("news"))
        second = await Bus(redis, elsewhere, 100).publish("news", {"n": 2})
        for key in ("meta", "stream"):
            await redis.rename(getattr(elsewhere, key)("news"), getattr(names, key)("news"))
        await redis.aclose()
        async with connected(node) as client:
            await ask(client, second.epoch, second.seq)
            assert (await client.next())["data"]["recovered"] is True
            await client.quiet()


async def test_updates_that_are_lost_are_told_to_everybody(settings: Settings) -> None:
    """Longer cut off than the history reaches: `meta.gap` names the lost ones, and `system` has a notice before."""
    async with publishing(settings) as bus, gateway(settings) as (node, proxy):
        await until(lambda: not node.unready)
        short_bus = Bus(bus._redis, Channels(settings.redis_prefix), 10, history_bytes=0)
        first = await short_bus.publish("news", {"n": 0})
        await until(lambda: node.hub.recent["news"].position == first)
        async with connected(node) as client:
            await client.say(action="subscribe", service=["news", "system"])
            assert (await client.next())["meta"]["seq"] == 1
            proxy.cut(refuse=True)
            for n in range(1, 400):
                await short_bus.publish("news", {"n": n})
            proxy.heal()
            notice, update = await lost(client), await client.next(30)
            gap = update["meta"]["gap"]
            assert notice["data"]["about"] == "news"
            assert (gap["from"], gap["to"]) == (2, update["meta"]["seq"] - 1)
            assert update["meta"]["skipped"] == gap["to"] - 1
            assert f"{gap['to'] - 1} updates of news are lost" in notice["data"]["message"]
            assert "gap" not in (await client.next())["meta"]
            async with connected(node) as other:
                await other.say(action="subscribe", service="news")
                assert "gap" not in (await other.next())["meta"]


async def lost(client: Client) -> dict[str, Any]:
    """The next notice that is no heartbeat."""
    while True:
        message = await client.next(30)
        if message["data"].get("event") != "heartbeat":
            assert message["data"]["event"] == "updates_lost"
            return message
