"""A gateway and a Redis that is full: it reads, so it is ready, takes clients, and says what it knows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
import websockets
from redis.asyncio import Redis

from gateway.node import Node
from launcher.redis_server import RedisServer
from shared.bus import Bus, presence
from shared.bus.client_numbers import DRAWN
from shared.channels import Channels
from shared.settings import Settings
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("no_errors")


@asynccontextmanager
async def ready(settings: Settings, own_server: RedisServer) -> AsyncIterator[Node]:
    """A gateway on the test's own Redis, once it is ready."""
    node = Node(settings.model_copy(update={"redis_url": Settings(_env_file=None, redis_url=own_server.url).redis_url}))
    running = asyncio.create_task(node.run(node.bind()))
    try:
        await until(lambda: not node.unready)
        yield node
    finally:
        node.stop("the test is over")
        status = await running
    assert status == 0


async def test_a_gateway_that_starts_on_a_full_redis_is_ready(
    settings: Settings, own_server: RedisServer, own_redis: Redis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the histories, and gives its clients numbers of its own; with room it goes on as any other."""
    monkeypatch.setattr(presence, "_HEARTBEAT", 0.3)
    await Bus(own_redis, Channels(settings.redis_prefix), 10).publish("news", {"n": 1})
    await own_redis.config_set("maxmemory", 1)
    async with ready(settings, own_server) as node:
        async with websockets.connect(f"ws://127.0.0.1:{node.port}/ws/news") as socket:
            greeting, confirmed, update = [json.loads(await socket.recv()) for _ in range(3)]
            assert int(greeting["data"]["client_id"].split("_")[1]) in DRAWN
            assert confirmed["type"] == "subscription_confirmed"
            assert update["data"] == {"n": 1}
        await own_redis.config_set("maxmemory", 0)
        await until(lambda: (node.next_number() or 2**53) not in DRAWN)
        async with httpx.AsyncClient() as http:
            answer = await http.get(f"http://127.0.0.1:{node.port}/ws/stats")
        assert answer.status_code == 200


async def test_a_gateway_that_loses_its_connections_to_a_full_redis_is_ready_again(
    settings: Settings, own_server: RedisServer, own_redis: Redis
) -> None:
    """To subscribe and to read takes no memory."""
    async with ready(settings, own_server) as node:
        await own_redis.config_set("maxmemory", 1)
        await own_redis.client_kill_filter(_type="pubsub")
        await until(lambda: bool(node.unready))
        await until(lambda: not node.unready)
