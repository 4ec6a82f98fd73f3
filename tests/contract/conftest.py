"""Two gateways in this process over a real Redis, and real clients."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
import websockets
from websockets.asyncio.client import ClientConnection

from gateway.node import Node
from shared.bus import Bus, open_redis
from shared.channels import Channels
from shared.settings import Settings
from tests.waiting import until


class Client:
    """One WebSocket client that reads JSON."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def next(self, seconds: float = 5.0) -> dict[str, Any]:
        """The next message."""
        async with asyncio.timeout(seconds):
            message: dict[str, Any] = json.loads(await self.connection.recv())
            return message

    async def take(self, count: int) -> list[dict[str, Any]]:
        """The next `count` messages."""
        return [await self.next() for _ in range(count)]

    async def say(self, **command: Any) -> dict[str, Any]:
        """Send a command; the next message is its answer."""
        await self.connection.send(json.dumps(command))
        return await self.next()

    async def rest(self, seconds: float = 10.0) -> tuple[list[dict[str, Any]], int | None]:
        """All remaining messages, and the gateway's close code."""
        messages: list[dict[str, Any]] = []
        try:
            async with asyncio.timeout(seconds):
                while True:
                    messages.append(await self.next())
        except websockets.ConnectionClosed:
            return messages, self.connection.close_code

    async def quiet(self) -> None:
        """Assert that no message is under way: the answer to a ping is its pong."""
        assert (await self.say(action="ping"))["type"] == "pong"


Connect = Callable[..., Awaitable[Client]]


@dataclass
class Cluster:
    """Two gateways."""

    settings: Settings
    nodes: list[Node]
    bus: Bus
    http: httpx.AsyncClient
    clients: list[ClientConnection] = field(default_factory=list)

    def url(self, path: str, node: int = 0, scheme: str = "http") -> str:
        return f"{scheme}://127.0.0.1:{self.nodes[node].port}{path}"

    async def connect(self, path: str, node: int = 0, *, greeted: bool = True, **options: Any) -> Client:
        """A client, past its greeting."""
        connection = await websockets.connect(self.url(path, node, "ws"), **options)
        self.clients.append(connection)
        client = Client(connection)
        if greeted:
            await client.next()
        return client

    async def publish(self, service: str, count: int = 1, **data: Any) -> None:
        """Publish, and wait until both gateways have it."""
        for _ in range(count):
            position = await self.bus.publish(service, data)
        for node in self.nodes:
            history = node.hub.recent[service]
            await until(lambda history=history: history.latest is not None and history.latest.position == position)


@asynccontextmanager
async def running(settings: Settings, other: Settings | None = None, **options: Any) -> AsyncIterator[Cluster]:
    """Two gateways that are ready, until the block ends; the second has `other` settings. `options` are a Node's."""
    nodes = [Node(settings, **options), Node(other or settings, **options)]
    tasks = [asyncio.create_task(node.run(node.bind())) for node in nodes]
    redis = open_redis(settings)
    try:
        async with httpx.AsyncClient() as http:
            found = Cluster(settings, nodes, Bus(redis, Channels(settings.redis_prefix), settings.history_length), http)
            for node in nodes:
                await until(lambda node=node: not node.unready)
            yield found
            await asyncio.gather(*(client.close() for client in found.clients))
    finally:
        for node in nodes:
            node.stop("the test is over")
        statuses = await asyncio.gather(*tasks)
        await redis.aclose()
    assert statuses == [0, 0]


@pytest.fixture
async def cluster(settings: Settings) -> AsyncIterator[Cluster]:
    async with running(settings) as found:
        yield found
